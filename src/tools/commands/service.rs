//! qvm-service: services of a qube, which are features whose names begin with `service.`.

use std::collections::BTreeSet;

use clap::Arg;

use super::features;
use crate::model::{Qubes, Vm};
use crate::tools::completion::{Completer, Offer};
use crate::tools::ui::arguments::{self, flag, qube_argument};
use crate::tools::ui::failure::{Failure, quoted};
use crate::tools::ui::hint::Hint;
use crate::tools::ui::invocation::{Invocation, read_until_exit};
use crate::tools::ui::suggestion::did_you_mean;
use crate::tools::ui::table;

const PREFIX: &str = "service.";

pub fn define(line: clap::Command) -> clap::Command {
    line.arg(arguments::unset_flag(
        "Remove the setting, so that the qube decides",
    ))
    .arg(flag(
        "list",
        Some('l'),
        "Accepted for compatibility: without SERVICE all are listed",
    ))
    .arg(flag("enable", Some('e'), "Switch the service on").overrides_with("disable"))
    .arg(flag("disable", Some('d'), "Switch the service off"))
    .arg(arguments::json_flag())
    .arg(qube_argument("Name of the qube"))
    .arg(
        Arg::new("service")
            .value_name("SERVICE")
            .help("Service to show or change (default: show all)")
            .add(Completer(|cursor| Offer::Services {
                of: cursor.first(),
                only_own: cursor.has_unset_flag(),
            })),
    )
    .arg(
        Arg::new("switch")
            .value_name("VALUE")
            .help("New state: on or off")
            .add(Completer(|_| Offer::words(["on", "off"]))),
    )
}

pub fn run(call: &mut Invocation) -> Result<u8, Failure> {
    if ["unset", "enable", "disable"]
        .into_iter()
        .any(|id| call.has(id))
        || call.value("switch").is_some()
    {
        call.refuse_json("a change of a service")?;
    }
    let context = call.context_for_qube()?;
    let qubes = read_until_exit(&context)?;
    let vm = call.named_qube(&qubes)?;
    let Some(service) = call.value("service") else {
        return match call.has("unset") {
            true => Err(Failure::usage("--unset requires a feature")),
            false => list(call, vm),
        };
    };
    let feature = format!("{PREFIX}{service}");
    let state = requested_state(call)?;
    match (state, call.has("unset")) {
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
            show(call, vm.features.get(&feature))
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

/// Returns the new state of the service, from an option or the argument VALUE, which may agree.
fn requested_state(call: &Invocation) -> Result<Option<bool>, Failure> {
    let by_word = call.value("switch").map(parse_state).transpose()?;
    let by_option = match (call.has("enable"), call.has("disable")) {
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

fn parse_state(word: &str) -> Result<bool, Failure> {
    match word.to_ascii_lowercase().as_str() {
        "1" | "yes" | "true" | "on" => Ok(true),
        "0" | "no" | "false" | "off" => Ok(false),
        _ => {
            let failure = Failure::error(format!(
                "Invalid literal for boolean value: {}",
                quoted(word)
            ));
            Err(failure.with_hint(Hint::text("a service is on or off")))
        }
    }
}

fn list(call: &mut Invocation, vm: &Vm) -> Result<u8, Failure> {
    let services = vm
        .features
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?, value)));
    if call.has("json") {
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

fn show(call: &mut Invocation, value: Option<&str>) -> Result<u8, Failure> {
    let Some(value) = value else { return Ok(1) };
    if call.has("json") {
        call.print_json(&(!value.is_empty()).into())?;
    } else {
        call.out.line(state_word(value))?;
    }
    Ok(0)
}

fn state_word(value: &str) -> &'static str {
    if value.is_empty() { "off" } else { "on" }
}
