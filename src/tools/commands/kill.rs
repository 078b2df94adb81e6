//! qvm-kill: kills qubes, several at a time.

use super::start::run_in_parallel;
use crate::lifecycle::{Context, qube};
use crate::model::VmName;
use crate::model::stop_order;
use crate::tools::completion;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::output::{print_message, print_warning};
use crate::tools::ui::selection::{self, Selection};

pub fn define(line: clap::Command) -> clap::Command {
    selection::define(line, completion::RUNNING)
}

/// Runs qvm-kill. The exit code is the number of qubes that could not be killed.
pub fn run(call: &mut Invocation) -> Result<u8, Failure> {
    let context = Context::new(call.system_with_progress()?);
    let names = select_qubes(call, &context)?;
    let mut failed = 0;
    for group in group_in_stop_order(call, &context, names)? {
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

/// Groups the qubes: with `--all` netvms follow their clients, else there is one group.
fn group_in_stop_order(
    call: &Invocation,
    context: &Context,
    names: Vec<VmName>,
) -> Result<Vec<Vec<VmName>>, Failure> {
    if call.has("all") {
        Ok(stop_order::group_by_stop_order(
            &*context.read()?,
            &names,
            context.facts(),
        ))
    } else {
        Ok(vec![names])
    }
}

/// Returns the qubes that a command line selects; warns about arguments without effect.
pub fn select_qubes(call: &Invocation, context: &Context) -> Result<Vec<VmName>, Failure> {
    let given = Selection::from_matches(&call.matches);
    given.check()?;
    let qubes = context.read()?;
    let all: Vec<&str> = qubes.names().map(VmName::as_str).collect();
    let names = given.resolve(&all, false)?;
    given
        .unmatched(&all)
        .iter()
        .for_each(|text| print_warning(text));
    Ok(names
        .into_iter()
        .filter_map(|n| qubes.name(n).cloned())
        .collect())
}

/// Returns a number of failures as an exit code, at most 255, so that it never wraps to success.
pub fn exit_code(failures: usize) -> u8 {
    u8::try_from(failures).unwrap_or(u8::MAX)
}
