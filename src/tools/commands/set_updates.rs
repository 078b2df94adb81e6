//! qubes-set-updates: switches the search for updates on or off, with the command line of R3.

use clap::{Args, ValueEnum};

use crate::lifecycle::{Context, qube};
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;
use crate::tools::{Command, Run};

/// `qubes-set-updates`
pub const QUBES_SET_UPDATES: Command = Command::of::<SetUpdatesArguments>(
    "qubes-set-updates",
    "Switch the search for updates on or off",
);

/// The arguments of qubes-set-updates.
#[derive(Args)]
struct SetUpdatesArguments {
    /// Action: enable, disable or status
    #[arg(value_name = "enable|disable|status")]
    action: UpdateAction,
}

#[derive(Clone, Copy, ValueEnum)]
enum UpdateAction {
    Enable,
    Disable,
    Status,
}

impl Run for SetUpdatesArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        let wanted = match self.action {
            UpdateAction::Enable => Some(true),
            UpdateAction::Disable => Some(false),
            UpdateAction::Status => None,
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
}
