//! qvm-pause and qvm-unpause: pause, suspend and resume qubes.

use super::start::run_in_parallel;
use crate::lifecycle::{Context, LifecycleError, qube};
use crate::model::VmName;
use crate::tools::completion;
use crate::tools::ui::arguments::flag;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::output::print_message;
use crate::tools::ui::selection;

pub fn define(line: clap::Command) -> clap::Command {
    selection::define(line, completion::RUNNING).arg(flag(
        "suspend",
        Some('S'),
        "Suspend the qubes (S3); pause those that cannot suspend",
    ))
}

pub fn define_unpause(line: clap::Command) -> clap::Command {
    selection::define(line, completion::RUNNING)
}

pub fn run(call: &mut Invocation) -> Result<u8, Failure> {
    match call.has("suspend") {
        true => run_for_each(call, "suspend", qube::suspend),
        false => run_for_each(call, "pause", qube::pause),
    }
}

pub fn run_unpause(call: &mut Invocation) -> Result<u8, Failure> {
    run_for_each(call, "unpause/resume", qube::unpause)
}

/// Runs an action for each qube in parallel. With `--all`, internal qubes and qubes in another
/// power state are left out.
fn run_for_each(
    call: &mut Invocation,
    verb: &str,
    action: impl Fn(&Context, &VmName) -> Result<(), LifecycleError> + Sync,
) -> Result<u8, Failure> {
    let context = Context::new(call.system()?);
    let mut names = super::kill::select_qubes(call, &context)?;
    let all = call.has("all");
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
