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
mod restore;

use clap::{Arg, Args};

use crate::lifecycle::Context;
use crate::system::SystemOptions;
use crate::tools::completion::{Completer, Cursor, Offer};
use crate::tools::manual::Section;
use crate::tools::ui::arguments::{self, JsonOption, OUTPUT_OPTIONS};
use crate::tools::ui::failure::{Failure, quoted};
use crate::tools::ui::help::help;
use crate::tools::ui::hint::Hint;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::suggestion::did_you_mean;
use crate::tools::{Command, Run};

pub(crate) use copies::{copy_times, move_away_advice};

/// One subcommand.
struct DbCommand {
    name: &'static str,
    about: &'static str,
    /// The least and the greatest number of copies it takes.
    copies: (usize, usize),
    run: fn(&mut Invocation, &Context, &DbArguments) -> Result<u8, Failure>,
}

const COMMANDS: [DbCommand; 7] = [
    DbCommand {
        name: "check",
        about: "List everything that is wrong with the store or a copy, with its line and what \
                a repair would do. An error is what qubesd refuses the file for, a warning \
                what it reads differently or loses. Of many problems of one kind a few are \
                listed; --all or -v lists each. Exit with 0 if nothing is wrong, else 1",
        copies: (0, 1),
        run: check::run,
    },
    DbCommand {
        name: "convert",
        about: "Convert a store of Qubes R1, R2 or R3 to R4, with the firewall files of its \
                qubes, after a copy; every other change of such a store does it too. --dry-run \
                prints what would be done and what would be lost. A store of R4 is left alone",
        copies: (0, 0),
        run: convert::run,
    },
    DbCommand {
        name: "diff",
        about: "Print what differs between two copies, or between a copy (default: the last) \
                and the store. Exit with 0 if nothing differs, else 1",
        copies: (0, 2),
        run: diff::run,
    },
    DbCommand {
        name: "dump",
        about: "Print everything that the store or a copy means as JSON",
        copies: (0, 1),
        run: dump::run,
    },
    DbCommand {
        name: "history",
        about: "List the copies of the store in backup/ beside it, the newest last",
        copies: (0, 0),
        run: history::run,
    },
    DbCommand {
        name: "repair",
        about: "Repair what check reports, after a copy. Asks before it writes, unless --yes \
                is given; if something is lost, asks what to keep, unless --salvage or --from \
                says it. --dry-run writes nothing. Exit with 0 if nothing is wrong any more, 1 \
                if something is left or nothing was written",
        copies: (0, 0),
        run: repair::run,
    },
    DbCommand {
        name: "restore",
        about: "Replace the store with a copy, after a copy of the present store. On a \
                terminal, prints what changes and asks, unless --yes is given",
        copies: (1, 1),
        run: restore::run,
    },
];

/// Returns the names of the subcommands.
fn command_names() -> [&'static str; COMMANDS.len()] {
    COMMANDS.each_ref().map(|command| command.name)
}

/// `qubes-db`
pub const QUBES_DB: Command =
    Command::of::<DbArguments>("qubes-db", "Check, repair, compare and restore the store")
        .with_subcommands(command_help);

/// The arguments of qubes-db.
#[derive(Args)]
struct DbArguments {
    #[command(flatten)]
    output: JsonOption,
    /// List every problem, also many of one kind
    #[arg(long, help_heading = "Options of check and repair")]
    all: bool,
    /// Print what would be done and write nothing
    #[arg(long, short = 'n', help_heading = "Options of convert and repair")]
    dry_run: bool,
    /// Do not ask for confirmation
    #[arg(long, short, help_heading = "Options of repair and restore")]
    yes: bool,
    /// Keep what can be read of a damaged file and give up the rest
    #[arg(long, help_heading = "Options of repair")]
    salvage: bool,
    /// Complete a damaged file from this copy
    #[arg(long, value_name = "COPY", help_heading = "Options of repair", add = Completer(|cursor| copy_or_file(cursor, Offer::Nothing)))]
    from: Option<String>,
    /// One of check, convert, diff, dump, history, repair and restore
    #[arg(value_name = "COMMAND", add = Completer(|_| Offer::words(command_names())))]
    command: String,
    /// Copy of the store: its time, its name, or a file
    #[arg(value_name = "COPY", num_args = 0.., add = Completer(|cursor| copy_or_file(cursor, Offer::Copies)))]
    copies: Vec<String>,
}

/// A copy is named by its time, or as a file with a slash.
fn copy_or_file<'a>(cursor: &Cursor<'a>, copies: Offer<'a>) -> Offer<'a> {
    match cursor.current.contains('/') {
        true => Offer::Files,
        false => copies,
    }
}

impl Run for DbArguments {
    /// Runs a subcommand in offline mode, even where there is a hypervisor.
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        let word = self.command.as_str();
        let Some(command) = COMMANDS.iter().find(|v| v.name == word) else {
            let text = format!(
                "no such command: {} (there are: {})",
                quoted(word),
                command_names().join(", ")
            );
            return Err(
                Failure::usage(text).with_hint(did_you_mean(word, command_names()).map(Hint::Text))
            );
        };
        if let Some(option) = self.foreign_option() {
            return Err(Failure::usage(format!("{word} has no option --{option}")));
        }
        let (least, most) = command.copies;
        match self.copies.as_slice() {
            given if given.len() < least => Err(Failure::usage(format!(
                "{word} needs a copy; qubes-db history lists them"
            ))),
            given @ [.., last] if given.len() > most => {
                Err(Failure::usage(format!("unrecognized arguments: {last}")))
            }
            _ => {
                let options = SystemOptions {
                    offline: true,
                    ..call.common.system_options()
                };
                let context = Context::new(call.system_at(options)?);
                (command.run)(call, &context, &self)
            }
        }
    }
}

impl DbArguments {
    /// Returns an option that only other subcommands have: it would be ignored silently.
    fn foreign_option(&self) -> Option<&'static str> {
        let given = [
            self.all,
            self.dry_run,
            self.yes,
            self.salvage,
            self.from.is_some(),
            self.output.json,
        ];
        let foreign = OPTIONS.into_iter().zip(given);
        foreign
            .filter(|((_, commands), is_given)| {
                *is_given && !commands.contains(&self.command.as_str())
            })
            .map(|((option, _), _)| option)
            .next()
    }

    /// Returns the copy that the command line names first.
    fn copy(&self) -> Option<&str> {
        self.copies.first().map(String::as_str)
    }
}

/// Which commands have which options.
const OPTIONS: [(&str, &[&str]); 6] = [
    ("all", &["check", "repair"]),
    ("dry-run", &["convert", "repair"]),
    ("yes", &["repair", "restore"]),
    ("salvage", &["repair"]),
    ("from", &["repair"]),
    ("json", &["check", "convert", "diff", "dump", "history"]),
];

/// Returns the help of a subcommand.
fn command_help(word: &str) -> Option<String> {
    let command = COMMANDS.iter().find(|command| command.name == word)?;
    let whole = DbArguments::augment_args(clap::Command::new("qubes-db"));
    let has = |long: Option<&str>| {
        OPTIONS
            .iter()
            .any(|(option, commands)| long == Some(*option) && commands.contains(&word))
    };
    let options = whole
        .get_arguments()
        .filter(|arg| has(arg.get_long()))
        .map(|arg| match arg.get_help_heading() {
            Some(OUTPUT_OPTIONS) => arg.clone(),
            _ => arg.clone().help_heading(None),
        });
    let line = arguments::base_command(format!("qubes-db {word}"))
        .about(command.about)
        .args(options);
    let copy = Arg::new("copy")
        .value_name("COPY")
        .help("Copy of the store: its time, its name, or a file");
    Some(help(&match command.copies {
        (_, 0) => line,
        (least, most) => line.arg(copy.required(least > 0).num_args(1..=most)),
    }))
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

/// Returns the sections of the manual page about the subcommands and the names of copies.
pub fn manual() -> Vec<Section> {
    let copies = "A copy is named by its time as `qubes-db` history shows it \
                  (2026-11-20-08:15:00), by a prefix of it that only one copy has (2026-11-20), by \
                  the word last, or as a file, with a slash in its name.";
    vec![
        Section::definitions("commands", COMMANDS.iter().map(|c| (c.name, c.about))),
        Section::paragraphs("copies", copies),
    ]
}
