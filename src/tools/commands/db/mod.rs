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

use clap::Arg;

use crate::lifecycle::Context;
use crate::system::SystemOptions;
use crate::tools::completion::{Completer, Cursor, Offer};
use crate::tools::manual::Section;
use crate::tools::ui::arguments::{self, flag, json_flag, required_value, value};
use crate::tools::ui::failure::{Failure, quoted};
use crate::tools::ui::help::help;
use crate::tools::ui::hint::Hint;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::suggestion::did_you_mean;

pub(crate) use copies::{copy_times, move_away_advice};

/// One subcommand.
struct DbCommand {
    name: &'static str,
    about: &'static str,
    /// The least and the greatest number of copies it takes.
    copies: (usize, usize),
    run: fn(&mut Invocation, &Context) -> Result<u8, Failure>,
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

pub fn define(line: clap::Command) -> clap::Command {
    line.arg(json_flag())
        .arg(flag(
            "all",
            None,
            "List every problem, also many of one kind",
        ))
        .arg(flag(
            "dry-run",
            Some('n'),
            "Print what would be done and write nothing",
        ))
        .arg(flag("yes", Some('y'), "Do not ask for confirmation"))
        .arg(flag(
            "salvage",
            None,
            "Keep what can be read of a damaged file and give up the rest",
        ))
        .arg(
            value(
                "from",
                None,
                "COPY",
                "Complete a damaged file from this copy",
            )
            .add(Completer(|cursor| copy_or_file(cursor, Offer::Nothing))),
        )
        .arg(
            Arg::new("db-command")
                .required(true)
                .value_name("COMMAND")
                .help("One of check, convert, diff, dump, history, repair and restore")
                .add(Completer(|_| Offer::words(command_names()))),
        )
        .arg(
            Arg::new("copy")
                .value_name("COPY")
                .num_args(0..)
                .help("Copy of the store: its time, its name, or a file")
                .add(Completer(|cursor| copy_or_file(cursor, Offer::Copies))),
        )
}

/// A copy is named by its time, or as a file with a slash.
fn copy_or_file<'a>(cursor: &Cursor<'a>, copies: Offer<'a>) -> Offer<'a> {
    match cursor.current.contains('/') {
        true => Offer::Files,
        false => copies,
    }
}

/// Runs a subcommand in offline mode, even where there is a hypervisor.
pub fn run(call: &mut Invocation) -> Result<u8, Failure> {
    let word = required_value(&call.matches, "db-command", "COMMAND")?;
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
    reject_foreign_options(call, word)?;
    let (least, most) = command.copies;
    match call.values("copy").as_slice() {
        given if given.len() < least => Err(Failure::usage(format!(
            "{word} needs a copy; qubes-db history lists them"
        ))),
        [.., last] if call.values("copy").len() > most => {
            Err(Failure::usage(format!("unrecognized arguments: {last}")))
        }
        _ => {
            let options = SystemOptions {
                offline: true,
                ..crate::tools::ui::arguments::system_options(&call.matches)
            };
            (command.run)(call, &Context::new(call.system_at(options)?))
        }
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
pub fn command_help(word: &str) -> Option<String> {
    let command = COMMANDS.iter().find(|command| command.name == word)?;
    let whole = define(clap::Command::new("qubes-db"));
    let has = |id: &str| {
        OPTIONS
            .iter()
            .any(|(option, commands)| *option == id && commands.contains(&word))
    };
    let options = whole
        .get_arguments()
        .filter(|arg| has(arg.get_id().as_str()))
        .cloned();
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

/// Refuses options that only other subcommands have: they would be ignored silently.
fn reject_foreign_options(call: &Invocation, word: &str) -> Result<(), Failure> {
    match OPTIONS
        .into_iter()
        .find(|(option, commands)| call.is_given(option) && !commands.contains(&word))
    {
        Some((option, _)) => Err(Failure::usage(format!("{word} has no option --{option}"))),
        None => Ok(()),
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
