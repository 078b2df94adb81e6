//! qvm-pause and qvm-unpause: pause, suspend and resume qubes.

use clap::Args;

use crate::lifecycle::{Context, LifecycleError, qube};
use crate::model::VmName;
use crate::tools::completion::QubeSubset;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::output::print_message;
use crate::tools::ui::parallel::run_in_parallel;
use crate::tools::ui::selection::Selection;
use crate::tools::{Command, Run};

/// `qvm-pause`
pub const QVM_PAUSE: Command = Command::of::<PauseArguments>("qvm-pause", "Pause or suspend qubes");

/// The arguments of qvm-pause.
#[derive(Args)]
#[command(add = QubeSubset::Running)]
struct PauseArguments {
    #[command(flatten)]
    selection: Selection,
    /// Suspend the qubes (S3); pause those that cannot suspend
    #[arg(long, short = 'S')]
    suspend: bool,
}

impl Run for PauseArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        match self.suspend {
            true => run_for_each(call, &self.selection, "suspend", qube::suspend),
            false => run_for_each(call, &self.selection, "pause", qube::pause),
        }
    }
}

/// `qvm-unpause`
pub const QVM_UNPAUSE: Command =
    Command::of::<UnpauseArguments>("qvm-unpause", "Resume paused or suspended qubes");

/// The arguments of qvm-unpause.
#[derive(Args)]
#[command(add = QubeSubset::Running)]
struct UnpauseArguments {
    #[command(flatten)]
    selection: Selection,
}

impl Run for UnpauseArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        run_for_each(call, &self.selection, "unpause/resume", qube::unpause)
    }
}

/// Runs an action for each qube in parallel. With `--all`, internal qubes and qubes in another
/// power state are left out.
fn run_for_each(
    call: &Invocation,
    selection: &Selection,
    verb: &str,
    action: impl Fn(&Context, &VmName) -> Result<(), LifecycleError> + Sync,
) -> Result<u8, Failure> {
    let context = Context::new(call.system()?);
    let mut names = selection.qubes(&context)?;
    let all = selection.all;
    if all {
        let qubes = context.read()?;
        let is_internal = |name: &VmName| {
            let feature = qubes
                .get(name.as_str())
                .and_then(|vm| vm.features.get("internal"));
            feature.is_some_and(|text| !text.is_empty())
        };
        names.retain(|name| !is_internal(name));
    }
    let failures = run_in_parallel(&context, &names, |context, name| {
        match action(context, name) {
            Ok(()) => None,
            Err(LifecycleError::NotRunning(_) | LifecycleError::NotPaused(_)) if all => None,
            Err(error) => Some(error),
        }
    });
    for (name, error) in &failures {
        print_message(&format!(
            "Error: Failed to {verb}: {name}: {}",
            call.error_text(error)
        ));
        call.hint_for(error);
    }
    Ok(u8::from(!failures.is_empty()))
}
