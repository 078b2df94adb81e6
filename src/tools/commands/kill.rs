//! qvm-kill: kills qubes, several at a time.

use clap::Args;

use crate::lifecycle::{Context, qube};
use crate::model::{VmName, stop_order};
use crate::tools::completion::QubeSubset;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::output::print_message;
use crate::tools::ui::parallel::{exit_code, run_in_parallel};
use crate::tools::ui::selection::Selection;
use crate::tools::{Command, Run};

/// `qvm-kill`
pub const QVM_KILL: Command =
    Command::of::<KillArguments>("qvm-kill", "Kill qubes without a shutdown");

/// The arguments of qvm-kill.
#[derive(Args)]
#[command(add = QubeSubset::Running)]
struct KillArguments {
    #[command(flatten)]
    selection: Selection,
}

impl Run for KillArguments {
    /// Runs qvm-kill. The exit code is the number of qubes that could not be killed.
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        let context = Context::new(call.system_with_progress()?);
        let names = self.selection.qubes(&context)?;
        let mut failed = 0;
        for group in group_in_stop_order(self.selection.all, &context, names)? {
            let failures = run_in_parallel(&context, &group, |context, name| {
                qube::kill(context, name).err()
            });
            for (name, error) in &failures {
                print_message(&format!(
                    "Error: Failed to kill: {name}: {}",
                    call.error_text(error)
                ));
                call.hint_for(error);
            }
            failed += failures.len();
        }
        Ok(exit_code(failed))
    }
}

/// Groups the qubes: with `--all` netvms follow their clients, else there is one group.
fn group_in_stop_order(
    all: bool,
    context: &Context,
    names: Vec<VmName>,
) -> Result<Vec<Vec<VmName>>, Failure> {
    if all {
        Ok(stop_order::group_by_stop_order(
            &*context.read()?,
            &names,
            context.facts(),
        ))
    } else {
        Ok(vec![names])
    }
}
