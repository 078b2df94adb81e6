//! Subcommands of a tool (`qvm-pool info POOL_NAME`): finding the one that a command line names,
//! and checking its arguments.

use clap::{Arg, Command};

use super::arguments;
use super::failure::Failure;
use super::help::help;
use super::invocation::Invocation;
use super::output::print_usage_error;
use super::usage::usage;
use crate::tools::completion::{Completer, Cursor, Offer};
use crate::tools::manual::Section;

/// One subcommand of a tool.
pub struct Subcommand {
    /// The tool's and the subcommand's name: `qvm-pool info`.
    pub program: &'static str,
    /// Its words: the full name, then its aliases, in the order of usage lines.
    pub words: &'static [&'static str],
    /// The arguments that follow it, in order.
    pub positionals: &'static [Positional],
    /// Adds the options of its own usage line.
    pub options: fn(Command) -> Command,
    /// Whether it prints data, so that `--json` applies.
    pub has_json: bool,
    /// What it does, in one line.
    pub about: &'static str,
}

/// An argument of a subcommand.
pub struct Positional {
    /// Its name in usage lines.
    pub name: &'static str,
    /// How often it may be given.
    pub count: Count,
    /// What it means, for `--help` and the manual page.
    pub help: &'static str,
    /// What completes it.
    pub completer: Completer,
}

impl Positional {
    /// An argument with its name, number and description.
    pub const fn new(name: &'static str, count: Count, help: &'static str) -> Positional {
        Positional {
            name,
            count,
            help,
            completer: Completer(|_| Offer::Nothing),
        }
    }

    /// Sets what completes it.
    pub const fn completer(self, completer: Completer) -> Positional {
        Positional { completer, ..self }
    }
}

/// How often an argument may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Exactly once.
    One,
    /// At most once.
    Optional,
    /// Any number of times.
    Any,
    /// At least once.
    OneOrMore,
}

impl Count {
    /// Returns the least and the greatest number.
    fn range(self) -> (usize, usize) {
        match self {
            Count::One => (1, 1),
            Count::Optional => (0, 1),
            Count::Any => (0, usize::MAX),
            Count::OneOrMore => (1, usize::MAX),
        }
    }
}

impl Subcommand {
    /// For subcommands without options of their own.
    pub const NO_OPTIONS: fn(Command) -> Command = |line| line;

    /// Returns the subcommand that `word` names, by its name or an alias.
    pub fn find<'s>(all: &'s [Subcommand], word: &str) -> Option<&'s Subcommand> {
        all.iter().find(|command| command.words.contains(&word))
    }

    /// What completes the first argument of a tool: the names of its subcommands.
    pub fn complete_name(all: &[Subcommand]) -> Offer<'static> {
        Offer::words(
            all.iter()
                .filter_map(|command| command.words.first().copied()),
        )
    }

    /// What completes the arguments of the subcommand that the first argument names.
    pub fn complete_argument<'a>(all: &[Subcommand], cursor: &Cursor<'a>) -> Offer<'a> {
        let command = cursor.first().and_then(|word| Subcommand::find(all, word));
        let given = cursor.positionals.len().saturating_sub(1);
        let positional = command.and_then(|command| {
            let repeated = command
                .positionals
                .last()
                .filter(|last| last.count.range().1 > 1);
            command.positionals.get(given).or(repeated)
        });
        positional.map_or(Offer::Nothing, |positional| {
            (positional.completer.0)(cursor)
        })
    }

    /// Returns the subcommand that `word` names if the arguments after it fit.
    ///
    /// # Errors
    /// There is no such subcommand, or there are too few or too many arguments.
    pub fn parse<'s>(
        all: &'s [Subcommand],
        word: &str,
        words: &[&str],
    ) -> Result<&'s Subcommand, Failure> {
        let Some(command) = Subcommand::find(all, word) else {
            let choices: Vec<&str> = all
                .iter()
                .flat_map(|command| command.words)
                .copied()
                .collect();
            return Err(arguments::invalid_choice("command", word, &choices));
        };
        let least = |positional: &Positional| positional.count.range().0;
        let most = command.positionals.iter().fold(0_usize, |sum, positional| {
            sum.saturating_add(positional.count.range().1)
        });
        let mut left = words.len();
        let mut missing = Vec::new();
        for positional in command.positionals.iter().filter(|p| least(p) > 0) {
            match left.checked_sub(least(positional)) {
                Some(more) => left = more,
                None => missing.push(positional.name),
            }
        }
        if !missing.is_empty() {
            return Err(command.usage_error(&format!(
                "the following arguments are required: {}",
                missing.join(", ")
            )));
        }
        match words.get(most..).filter(|more| !more.is_empty()) {
            Some(more) => Err(Failure::usage(format!(
                "unrecognized arguments: {}",
                more.join(" ")
            ))),
            None => Ok(command),
        }
    }

    /// Refuses an option that only other subcommands have: it would be ignored silently.
    ///
    /// # Errors
    /// Such an option was given.
    pub fn reject_foreign_options(
        &self,
        all: &[Subcommand],
        call: &Invocation,
    ) -> Result<(), Failure> {
        let ids = |command: &Subcommand| -> Vec<String> {
            let line = (command.options)(Command::new(command.program));
            line.get_arguments()
                .map(|arg| arg.get_id().to_string())
                .collect()
        };
        let own = ids(self);
        match all
            .iter()
            .flat_map(ids)
            .find(|id| !own.contains(id) && call.is_given(id))
        {
            Some(option) => {
                Err(self.usage_error(&format!("{} has no option --{option}", self.program)))
            }
            None => Ok(()),
        }
    }

    /// Returns the help text of the subcommand that `word` names.
    pub fn help(all: &[Subcommand], word: &str) -> Option<String> {
        let command = Subcommand::find(all, word)?;
        let about = format!("{}{}", command.about, command.alias_note());
        let mut line = command.clap_command().about(about);
        if command.has_json {
            line = line.arg(arguments::json_flag());
        }
        Some(help(&line))
    }

    /// ` (also: ALIAS, ...)`, or nothing.
    fn alias_note(&self) -> String {
        match self.words.get(1..).unwrap_or_default() {
            [] => String::new(),
            aliases => format!(" (also: {})", aliases.join(", ")),
        }
    }

    fn clap_command(&self) -> Command {
        let mut line = (self.options)(arguments::base_command(self.program));
        for (at, positional) in self.positionals.iter().enumerate() {
            let (least, most) = positional.count.range();
            let arg = Arg::new(format!("{}{at}", positional.name))
                .value_name(positional.name)
                .help(positional.help)
                .required(least > 0);
            line = line.arg(if most > 1 {
                arg.num_args(least.max(1)..)
            } else {
                arg
            });
        }
        line
    }

    /// Prints a usage error with the subcommand's own usage line.
    pub fn usage_error(&self, text: &str) -> Failure {
        let line = self.clap_command();
        print_usage_error(&usage(&line), &format!("{}: error: {text}", self.program));
        Failure::AlreadyReported(2)
    }

    /// Returns the words of all subcommands as usage lines show them.
    pub fn usage_words(all: &[Subcommand]) -> String {
        let words: Vec<&str> = all
            .iter()
            .flat_map(|command| command.words)
            .copied()
            .collect();
        format!("{{{}}} ...", words.join(","))
    }

    /// Returns the subcommands for the manual page: each with its arguments and options.
    pub fn manual(all: &'static [Subcommand]) -> Section {
        let entry = |command: &Subcommand| {
            let mut tag = command
                .words
                .first()
                .map(ToString::to_string)
                .unwrap_or_default();
            let mut text = format!("{}{}.", command.about, command.alias_note());
            for positional in command.positionals {
                let name = positional.name;
                tag.push_str(&match positional.count {
                    Count::One => format!(" {name}"),
                    Count::Optional => format!(" [{name}]"),
                    Count::Any => format!(" [{name}...]"),
                    Count::OneOrMore => format!(" {name}..."),
                });
                text.push_str(&format!(" {name}: {}.", positional.help));
            }
            let line = (command.options)(Command::new(command.program));
            for option in line.get_arguments() {
                let help = option.get_help().map(ToString::to_string);
                text.push_str(&format!(
                    " {}: {}.",
                    super::help::option_synopsis(option),
                    help.unwrap_or_default()
                ));
            }
            (tag, text)
        };
        Section::definitions("commands", all.iter().map(entry))
    }
}
