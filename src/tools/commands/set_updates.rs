//! qubes-set-updates: switches the search for updates on or off, with the command line of R3.

use clap::Arg;

use crate::lifecycle::{Context, qube};
use crate::tools::completion::{Completer, Offer};
use crate::tools::ui::arguments::{invalid_choice, required_value};
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;

const ACTIONS: [&str; 3] = ["enable", "disable", "status"];

pub fn define(line: clap::Command) -> clap::Command {
    line.arg(
        Arg::new("updates")
            .required(true)
            .value_name("enable|disable|status")
            .help("Action: enable, disable or status")
            .add(Completer(|_| Offer::words(ACTIONS))),
    )
}

pub fn run(call: &mut Invocation) -> Result<u8, Failure> {
    let action = required_value(&call.matches, "updates", "enable|disable|status")?.to_string();
    let wanted = match action.as_str() {
        "enable" => Some(true),
        "disable" => Some(false),
        "status" => None,
        _ => return Err(invalid_choice("enable|disable|status", &action, &ACTIONS)),
    };
    let context = Context::new(call.system()?);
    match wanted {
        Some(on) => qube::set_update_checks(&context, on)?
            .iter()
            .for_each(|note| call.inform("dom0", note)),
        None => {
            let (dom0, qubes) = qube::update_checks(&context)?;
            call.out
                .line(&format!("dom0: {}\nvms: {}", dom0.as_str(), qubes.as_str()))?;
        }
    }
    Ok(0)
}
