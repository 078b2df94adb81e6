//! qvm-service: services of a qube, which are features whose names begin with `service.`.

use std::collections::BTreeSet;

use clap::Args;

use super::features;
use crate::lifecycle::Context;
use crate::model::boolean::BooleanDialect;
use crate::model::{Qubes, Vm};
use crate::tools::completion::{self, Completer, Cursor, Offer};
use crate::tools::ui::arguments::JsonOption;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::hint::Hint;
use crate::tools::ui::invocation::{Invocation, read_until_exit};
use crate::tools::ui::quoted::quoted;
use crate::tools::ui::suggestion::did_you_mean;
use crate::tools::ui::table;
use crate::tools::{Command, Run};

const PREFIX: &str = "service.";

/// `qvm-service`
pub const QVM_SERVICE: Command =
    Command::of::<ServiceArguments>("qvm-service", "Show or change services of a qube");

/// The arguments of qvm-service.
#[derive(Args)]
struct ServiceArguments {
    /// Remove the setting, so that the qube decides
    #[arg(long, short = 'D', visible_aliases = ["default", "delete"])]
    unset: bool,
    /// Accepted for compatibility: without SERVICE all are listed
    #[arg(long, short)]
    list: bool,
    /// Switch the service on
    #[arg(long, short, overrides_with = "disable")]
    enable: bool,
    /// Switch the service off
    #[arg(long, short)]
    disable: bool,
    #[command(flatten)]
    output: JsonOption,
    /// Name of the qube
    #[arg(value_name = "VMNAME", add = completion::QUBES)]
    qube: String,
    /// Service to show or change (default: show all)
    #[arg(value_name = "SERVICE", add = Completer(complete_service))]
    service: Option<String>,
    /// New state: on or off
    #[arg(value_name = "VALUE", add = Completer(|_| Offer::words(["on", "off"])))]
    value: Option<String>,
}

fn complete_service<'a>(cursor: &Cursor<'a>) -> Offer<'a> {
    Offer::Services {
        of: cursor.first(),
        only_own: cursor.has_unset_flag(),
    }
}

impl Run for ServiceArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        if self.unset || self.enable || self.disable || self.value.is_some() {
            self.output.refuse("a change of a service")?;
        }
        let context = Context::new(call.system()?);
        let qubes = read_until_exit(&context)?;
        let vm = call.named_qube(&qubes, &self.qube)?;
        let Some(service) = self.service.as_deref() else {
            return match self.unset {
                true => Err(Failure::usage("--unset requires a feature")),
                false => list(call, self.output, vm),
            };
        };
        let feature = format!("{PREFIX}{service}");
        let state = self.requested_state()?;
        match (state, self.unset) {
            (Some(_), true) => Err(Failure::usage("cannot both set and unset a value")),
            (None, true) => {
                print_service_hint(call, &qubes, vm, service);
                features::change(call, &context, vm, &feature, None)
            }
            (Some(on), false) => features::change(
                call,
                &context,
                vm,
                &feature,
                Some(if on { "1" } else { "" }),
            ),
            (None, false) => {
                print_service_hint(call, &qubes, vm, service);
                show(call, self.output, vm.features.get(&feature))
            }
        }
    }
}

impl ServiceArguments {
    /// Returns the new state of the service, from an option or the argument VALUE, which may agree.
    fn requested_state(&self) -> Result<Option<bool>, Failure> {
        let by_word = self.value.as_deref().map(parse_state).transpose()?;
        let by_option = match (self.enable, self.disable) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        };
        match (by_option, by_word) {
            (Some(option), Some(word)) if option != word => Err(Failure::usage(
                "VALUE says the opposite of --enable or --disable",
            )),
            (option, word) => Ok(option.or(word)),
        }
    }
}

/// Prints a hint for a service that no qube and no template knows, if a known one is close.
fn print_service_hint(call: &Invocation, qubes: &Qubes, vm: &Vm, service: &str) {
    if let Some((name, value)) = service.split_once('=') {
        return call.hint(&Hint::Text(format!(
            "service and value are two words: {name} {value}"
        )));
    }
    const SUPPORTED: &str = "supported-service.";
    let mut known: BTreeSet<String> = BTreeSet::new();
    for name in qubes.names() {
        qubes.inspect(name.as_str(), |vm| {
            let services = vm
                .features
                .names()
                .filter_map(|n| n.strip_prefix(PREFIX).or_else(|| n.strip_prefix(SUPPORTED)));
            known.extend(services.map(String::from));
        });
    }
    if !known.contains(service)
        && let Some(close) = did_you_mean(service, known.iter().map(String::as_str))
    {
        call.hint(&Hint::Text(format!(
            "{} has no service {}; {close}",
            vm.name,
            quoted(service)
        )));
    }
}

fn parse_state(word: &str) -> Result<bool, Failure> {
    BooleanDialect::Literal.parse(word).ok_or_else(|| {
        let text = format!("Invalid literal for boolean value: {}", quoted(word));
        Failure::error(text).with_hint(Hint::text("a service is on or off"))
    })
}

fn list(call: &mut Invocation, output: JsonOption, vm: &Vm) -> Result<u8, Failure> {
    let services = vm
        .features
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?, value)));
    if output.json {
        let object: serde_json::Map<_, _> = services
            .map(|(n, v)| (n.to_string(), (!v.is_empty()).into()))
            .collect();
        call.print_json(&object.into())?;
    } else {
        table::print_values(
            &mut call.out,
            services.map(|(name, value)| (name, state_word(value))),
        )?;
    }
    Ok(0)
}

fn show(call: &mut Invocation, output: JsonOption, value: Option<&str>) -> Result<u8, Failure> {
    let Some(value) = value else { return Ok(1) };
    if output.json {
        call.print_json(&(!value.is_empty()).into())?;
    } else {
        call.out.line(state_word(value))?;
    }
    Ok(0)
}

fn state_word(value: &str) -> &'static str {
    if value.is_empty() { "off" } else { "on" }
}
