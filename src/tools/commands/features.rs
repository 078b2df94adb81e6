//! qvm-features: features of a qube, texts by name.

use clap::Args;

use crate::lifecycle::{Context, qube};
use crate::model::{Qubes, Vm};
use crate::tools::completion::{self, Completer, Cursor, KNOWN_FEATURES, Offer};
use crate::tools::ui::arguments::JsonOption;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::hint::Hint;
use crate::tools::ui::invocation::{Invocation, read_until_exit};
use crate::tools::ui::quoted::quoted;
use crate::tools::ui::suggestion::did_you_mean;
use crate::tools::ui::table;
use crate::tools::{Command, Run};

/// `qvm-features`
pub const QVM_FEATURES: Command =
    Command::of::<FeaturesArguments>("qvm-features", "Show or change features of a qube");

/// The arguments of qvm-features.
#[derive(Args)]
struct FeaturesArguments {
    /// Remove the feature
    #[arg(long, short = 'D', visible_aliases = ["default", "delete"])]
    unset: bool,
    #[command(flatten)]
    output: JsonOption,
    /// Name of the qube
    #[arg(value_name = "VMNAME", add = completion::QUBES)]
    qube: String,
    /// Feature to show or change (default: show all)
    #[arg(value_name = "FEATURE", add = Completer(complete_feature))]
    feature: Option<String>,
    /// New value of the feature; an empty value means off
    #[arg(value_name = "VALUE", allow_negative_numbers = true)]
    value: Option<String>,
}

fn complete_feature<'a>(cursor: &Cursor<'a>) -> Offer<'a> {
    Offer::Features {
        of: cursor.first(),
        only_own: cursor.has_unset_flag(),
    }
}

impl Run for FeaturesArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        if self.value.is_some() || self.unset {
            self.output.refuse("a change of a feature")?;
        }
        let context = Context::new(call.system()?);
        let qubes = read_until_exit(&context)?;
        let vm = call.named_qube(&qubes, &self.qube)?;
        match (self.feature.as_deref(), self.value.as_deref(), self.unset) {
            (None, _, true) => Err(Failure::usage("--unset requires a feature")),
            (Some(_), Some(_), true) => Err(Failure::usage("cannot both set and unset a value")),
            (None, _, false) => list(call, self.output, vm),
            (Some(feature), None, false) => {
                let value = vm.features.get(feature);
                if value.is_none() {
                    print_feature_hint(call, &qubes, vm, feature);
                }
                show(call, self.output, value)
            }
            (Some(feature), value, _) => {
                if value.is_none() && vm.features.get(feature).is_none() {
                    print_feature_hint(call, &qubes, vm, feature);
                }
                change(call, &context, vm, feature, value)
            }
        }
    }
}

fn list(call: &mut Invocation, output: JsonOption, vm: &Vm) -> Result<u8, Failure> {
    if output.json {
        let object: serde_json::Map<_, _> = vm
            .features
            .iter()
            .map(|(n, v)| (n.to_string(), v.into()))
            .collect();
        call.print_json(&object.into())?;
    } else {
        table::print_values(&mut call.out, vm.features.iter())?;
    }
    Ok(0)
}

/// Prints a hint for a feature that the qube does not have, if one is close. Features that any qube
/// has or that the core knows get none: scripts read unset features all the time.
fn print_feature_hint(call: &Invocation, qubes: &Qubes, vm: &Vm, feature: &str) {
    if let Some((name, value)) = feature.split_once('=') {
        return call.hint(&Hint::Text(format!(
            "feature and value are two words: {name} {value}"
        )));
    }
    let is_used = KNOWN_FEATURES.contains(&feature)
        || qubes.names().any(|name| {
            qubes.inspect(name.as_str(), |vm| vm.features.contains(feature)) == Some(true)
        });
    let close =
        did_you_mean(feature, vm.features.names().chain(KNOWN_FEATURES)).filter(|_| !is_used);
    close.iter().for_each(|close| {
        call.hint(&Hint::Text(format!(
            "{} has no feature {}; {close}",
            vm.name,
            quoted(feature)
        )))
    });
}

/// Prints a feature. The exit code 1 distinguishes a missing feature from an empty one.
fn show(call: &mut Invocation, output: JsonOption, value: Option<&str>) -> Result<u8, Failure> {
    let Some(value) = value else { return Ok(1) };
    if output.json {
        call.print_json(&value.into())?;
    } else {
        call.out.line(value)?;
    }
    Ok(0)
}

/// Sets a feature, or removes it without a value; prints effects that come later.
pub(crate) fn change(
    call: &Invocation,
    context: &Context,
    vm: &Vm,
    feature: &str,
    value: Option<&str>,
) -> Result<u8, Failure> {
    let notes = match value {
        Some(value) => qube::set_feature(context, &vm.name, feature, value),
        None => qube::remove_feature(context, &vm.name, feature),
    };
    notes?
        .iter()
        .for_each(|note| call.inform(vm.name.as_str(), note));
    Ok(0)
}
