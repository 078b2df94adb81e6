//! qubes-db restore: replaces the store with a copy.

use std::io::IsTerminal;

use super::{complete_copy, copies, diff};
use clap::Args;

use crate::format::{self, Bytes};
use crate::lifecycle::Context;
use crate::store::{RestoreOutcome, read_bytes};
use crate::tools::completion::Completer;
use crate::tools::ui::arguments::RequiredByCommand;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::output::{confirm, print_message};
use crate::tools::ui::store_copies;

/// The arguments of `restore`.
#[derive(Args)]
pub struct RestoreArguments {
    /// Copy of the store: its time, its name, or a file
    #[arg(value_name = "COPY", add = Completer(complete_copy), add = RequiredByCommand)]
    copy: Option<String>,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
}

/// Asks for confirmation on a terminal, after printing what changes.
fn confirm_restore(
    call: &mut Invocation,
    arguments: &RestoreArguments,
    title: &str,
    before: Option<&Bytes>,
    after: &Bytes,
) -> Result<bool, Failure> {
    if arguments.yes || !std::io::stdin().is_terminal() {
        return Ok(true);
    }
    let read = |bytes: &Bytes| format::read(bytes.clone()).ok();
    match before.and_then(read).zip(read(after)) {
        Some((before, after)) => {
            for line in diff::describe_differences(&before, &after) {
                call.out.line(&format!("    {line}"))?;
            }
        }
        // What cannot be read cannot be compared.
        None => call.out.line("    what is there now cannot be read")?,
    }
    let question = format!("Put {title} in place of the store? [y/N] ");
    Ok(confirm(&mut call.out, &question)? == Some(true))
}

pub fn run(
    call: &mut Invocation,
    context: &Context,
    arguments: &RestoreArguments,
) -> Result<u8, Failure> {
    let word = arguments
        .copy
        .as_deref()
        .ok_or_else(|| Failure::usage("restore needs a copy; qubes-db history lists them"))?;
    let version = copies::find(context, word)?;
    let bytes = store_copies::read_loadable(&version.path).map_err(|e| {
        Failure::error(format!(
            "{e}; nothing was changed; {}",
            store_copies::recovery_advice(context)
        ))
    })?;
    let before = read_bytes(context.system.store_file());
    if !confirm_restore(
        call,
        arguments,
        &version.title,
        before.as_ref().ok(),
        &bytes,
    )? {
        print_message("nothing was changed");
        return Ok(1);
    }
    let restored = context.restore(bytes.to_vec())?;
    let (store, kept) = match restored {
        RestoreOutcome::Unchanged => {
            call.out.line(&format!(
                "the store is {} already; nothing was written",
                version.title
            ))?;
            return Ok(0);
        }
        RestoreOutcome::Written { store, kept } => (store, kept),
    };
    let file = context.system.store_file().display();
    call.out.line(&format!(
        "{file} is now {} ({} qubes)",
        version.path.display(),
        store.len()
    ))?;
    match kept {
        Some(copy) => call
            .out
            .line(&format!("what was there was kept as {}", copy.display()))?,
        None => call.out.line("there was no store before")?,
    }
    // What cannot be read cannot be compared either.
    if let Some(before) = before.ok().and_then(|bytes| format::read(bytes).ok()) {
        for line in diff::describe_differences(&before, &store) {
            call.out.line(&format!("    {line}"))?;
        }
    }
    Ok(0)
}
