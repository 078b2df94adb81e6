//! qubes-db: checks, repairs and restores the store. It works where nothing else does: it contacts
//! no hypervisor and copes with a store that is damaged or missing.

mod check;
mod convert;
mod copies;
mod damage_report;
mod diff;
mod dump;
mod history;
mod repair;
mod repair_run;
mod restore;
mod salvage;

use clap::{Args, Subcommand};

use crate::lifecycle::Context;
use crate::system::SystemOptions;
use crate::tools::completion::{Completer, Cursor, Offer};
use crate::tools::manual::section::Section;
use crate::tools::ui::arguments::JsonOption;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;
use crate::tools::{Command, Run};

/// `qubes-db`
pub const QUBES_DB: Command =
    Command::of::<DbArguments>("qubes-db", "Check, repair, compare and restore the store");

/// The arguments of qubes-db.
#[derive(Args)]
struct DbArguments {
    #[command(subcommand)]
    command: DbCommand,
}

#[derive(Subcommand)]
enum DbCommand {
    /// List everything that is wrong with the store or a copy
    ///
    /// Each problem is listed with its line and what a repair would do. An error is what qubesd
    /// refuses the file for, a warning what it reads differently or loses. Of many problems of one
    /// kind a few are listed; --all or -v lists each. Exit with 0 if nothing is wrong, else 1
    Check(check::CheckArguments),
    /// Convert a store of Qubes R1, R2 or R3 to R4
    ///
    /// The firewall files of its qubes are converted with it, after a copy; every other change of
    /// such a store does it too. --dry-run prints what would be done and what would be lost. A
    /// store of R4 is left alone
    Convert(convert::ConvertArguments),
    /// Print what differs between two copies, or between a copy (default: the last) and the store
    ///
    /// Exit with 0 if nothing differs, else 1
    Diff(diff::DiffArguments),
    /// Print everything that the store or a copy means as JSON
    Dump(dump::DumpArguments),
    /// List the copies of the store in backup/ beside it, the newest last
    History(JsonOption),
    /// Repair what check reports, after a copy
    ///
    /// Asks before it writes, unless --yes is given; if something is lost, asks what to keep,
    /// unless --salvage or --from says it. --dry-run writes nothing. Exit with 0 if nothing is
    /// wrong any more, 1 if something is left or nothing was written
    Repair(repair_run::RepairArguments),
    /// Replace the store with a copy, after a copy of the present store
    ///
    /// On a terminal, prints what changes and asks, unless --yes is given
    Restore(restore::RestoreArguments),
}

/// The store or a copy of it.
#[derive(Args)]
struct CopyArgument {
    /// Copy of the store: its time, its name, or a file (default: the store)
    #[arg(value_name = "COPY", add = Completer(complete_copy))]
    copy: Option<String>,
}

impl CopyArgument {
    /// Whether it is the store itself.
    fn is_store(&self) -> bool {
        self.copy.is_none()
    }

    fn version(&self, context: &Context) -> Result<copies::Version, Failure> {
        match &self.copy {
            Some(word) => copies::find(context, word),
            None => Ok(copies::current_store(context)),
        }
    }
}

/// A copy is named by its time, or as a file with a slash.
fn complete_copy<'a>(cursor: &Cursor<'a>) -> Offer<'a> {
    match cursor.current.contains('/') {
        true => Offer::Files,
        false => Offer::Copies,
    }
}

impl Run for DbArguments {
    /// Runs a subcommand in offline mode, even where there is a hypervisor.
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        let options = SystemOptions {
            offline: true,
            ..call.common.system_options()
        };
        let context = &Context::new(call.system_at(options)?);
        match &self.command {
            DbCommand::Check(arguments) => check::run(call, context, arguments),
            DbCommand::Convert(arguments) => convert::run(call, context, arguments),
            DbCommand::Diff(arguments) => diff::run(call, context, arguments),
            DbCommand::Dump(arguments) => dump::run(call, context, arguments),
            DbCommand::History(output) => history::run(call, context, *output),
            DbCommand::Repair(arguments) => repair::run(call, context, arguments),
            DbCommand::Restore(arguments) => restore::run(call, context, arguments),
        }
    }
}

/// Returns a text with its control characters escaped, so that it is one line.
pub(crate) fn one_line(text: &str) -> String {
    let shown = |c: char| {
        if c.is_control() {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    };
    text.chars().map(shown).collect()
}

/// Returns the section of the manual page about the names of copies.
pub fn manual() -> Vec<Section> {
    let copies = "A copy is named by its time as `qubes-db` history shows it \
                  (2026-11-20-08:15:00), by a prefix of it that only one copy has (2026-11-20), by \
                  the word last, or as a file, with a slash in its name.";
    vec![Section::paragraphs("copies", copies)]
}
