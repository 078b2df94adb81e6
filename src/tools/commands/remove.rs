//! qvm-remove: removes qubes with their volumes, after asking.

use clap::Args;

use crate::lifecycle::qube::{RemovalMode, RemovalOutcome};
use crate::lifecycle::{Context, LifecycleError, qube};
use crate::model::{QubeUse, RemovalError, VmName};
use crate::tools::completion::QubeSubset;
use crate::tools::ui::arguments::NotUpstream;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::output::{ask, confirm, print_message};
use crate::tools::ui::quoted::quoted;
use crate::tools::ui::selection::Selection;
use crate::tools::{Command, Run};

/// The answer that confirms the removal of all qubes.
const REMOVE_ALL_ANSWER: &str = "IKNOWWHATIAMDOING";

/// `qvm-remove`
pub const QVM_REMOVE: Command =
    Command::of::<RemoveArguments>("qvm-remove", "Remove qubes with their volumes");

/// The arguments of qvm-remove.
#[derive(Args)]
#[command(add = QubeSubset::ButDom0)]
struct RemoveArguments {
    #[command(flatten)]
    selection: Selection,
    /// Do not ask for confirmation
    #[arg(long, short)]
    force: bool,
    /// Remove the qube from qubes.xml only, keep its files, and do not ask
    #[arg(long, hide = true, add = NotUpstream)]
    just_db: bool,
}

impl Run for RemoveArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        let context = Context::new(call.system_with_progress()?);
        let names = self.selection.qubes(&context)?;
        if names.is_empty() {
            // There is nothing to confirm.
            return Ok(0);
        }
        if names.iter().any(VmName::is_dom0) {
            print_message("Domain 'dom0' cannot be removed.");
            return Ok(1);
        }
        if !self.needs_no_confirmation(call) && !self.confirm(call, &names)? {
            print_message("Remove cancelled.");
            return Ok(1);
        }
        let removal = if self.just_db {
            RemovalMode::StoreOnly
        } else {
            RemovalMode::Manual
        };
        // A warning has named the leftovers.
        Ok(match remove_all(&context, names, removal)? {
            RemovalOutcome::Complete => 0,
            RemovalOutcome::WithLeftovers => 1,
        })
    }
}

impl RemoveArguments {
    /// Whether no confirmation is needed: with `--force`, and for the scripts of R3's packages,
    /// which pass `--just-db` or `--force-root -q` and have no one to answer.
    fn needs_no_confirmation(&self, call: &Invocation) -> bool {
        let by_script = call.common.force_root && !call.is_talkative();
        self.force || self.just_db || by_script
    }

    /// Asks for confirmation. The end of the input means no.
    fn confirm(&self, call: &mut Invocation, names: &[VmName]) -> Result<bool, Failure> {
        if self.selection.all && self.selection.exclude.is_empty() {
            print_message(
                "WARNING!!! Removing all domains may leave your system in an unrecoverable state!",
            );
            let answer = ask(
                &mut call.out,
                &format!("Are you certain? [N/{REMOVE_ALL_ANSWER}]"),
            )?;
            if answer.as_deref() != Some(REMOVE_ALL_ANSWER) {
                return Ok(false);
            }
        }
        print_message("This will completely remove the selected VM(s)...");
        for name in names {
            call.out.line(&format!("  {name}"))?;
        }
        Ok(confirm(&mut call.out, "Are you sure? [y/N] ")? == Some(true))
    }
}

/// Removes qubes in order, but a qube that only others of them use after those. Stops at the first
/// qube that may not be removed; files that cannot be deleted do not stop it.
fn remove_all(
    context: &Context,
    mut names: Vec<VmName>,
    removal: RemovalMode,
) -> Result<RemovalOutcome, Failure> {
    let mut outcome = RemovalOutcome::Complete;
    let mut record = |removed| {
        if removed == RemovalOutcome::WithLeftovers {
            outcome = removed;
        }
    };
    while !names.is_empty() {
        let mut later = Vec::new();
        for name in &names {
            match qube::remove(context, name, removal) {
                Ok(removed) => record(removed),
                Err(LifecycleError::Removal(RemovalError::InUse { uses, .. }))
                    if is_used_only_by(&uses, &names) =>
                {
                    later.push(name.clone());
                }
                // Removing another one may free space.
                Err(error) if error.is_disk_full() && names.len() > 1 => later.push(name.clone()),
                Err(error) => return Err(removal_failure(name, error)),
            }
        }
        if let Some(name) = later.first().filter(|_| later.len() == names.len()) {
            // They use each other, or none of them freed space.
            return qube::remove(context, name, removal)
                .map_err(|error| removal_failure(name, error));
        }
        names = later;
    }
    Ok(outcome)
}

fn is_used_only_by(uses: &[QubeUse], names: &[VmName]) -> bool {
    let is_one = |vm: &String| names.iter().any(|n| n.as_str() == vm);
    uses.iter().all(|usage| match usage {
        QubeUse::Global { .. } => false,
        QubeUse::Qube { vm, .. } | QubeUse::Device { frontend: vm, .. } => is_one(vm),
    })
}

/// Prints what a qube is still used for, and returns the failure.
pub(crate) fn removal_failure(name: &VmName, error: LifecycleError) -> Failure {
    let LifecycleError::Removal(RemovalError::InUse { uses, .. }) = &error else {
        return error.into();
    };
    print_message(&format!("VM {name} cannot be removed. It is in use as:"));
    let mut lines: Vec<String> = uses.iter().map(|u| format!(" - {u}")).collect();
    lines.sort_unstable();
    lines.iter().for_each(|line| print_message(line));
    Failure::error(format!("Domain is in use: {}", quoted(name.as_str())))
}
