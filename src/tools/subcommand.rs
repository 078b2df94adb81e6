//! Tools with several commands (`qvm-pool info POOL`): which one is meant, and whether what follows
//! fits it.

use clap::{Arg, Command};

use super::arguments;
use super::failure::Failure;
use super::invocation::Invocation;
use super::output::print_usage_error;
use super::usage::usage;

/// One command of a tool.
pub struct Subcommand {
    /// The tool's and the command's name: `qvm-pool info`.
    pub program: &'static str,
    /// Its words: the whole one, then its short forms, in the order of usage lines.
    pub words: &'static [&'static str],
    /// What follows it, in its order, and whether each may be left out or repeated.
    pub positionals: &'static [(&'static str, Count)],
    /// Adds what its own usage line has before them.
    pub options: fn(Command) -> Command,
    /// What it does.
    pub about: &'static str,
}

/// How often a word follows a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    One,
    Optional,
    Any,
    OneOrMore,
}

impl Count {
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
    /// No options of its own.
    pub const NO_OPTIONS: fn(Command) -> Command = |line| line;

    /// The command that `word` is, in any of its forms.
    pub fn find<'s>(all: &'s [Subcommand], word: &str) -> Option<&'s Subcommand> {
        all.iter().find(|command| command.words.contains(&word))
    }

    /// The command that is meant, if what follows it fits.
    ///
    /// # Errors
    /// There is no such command, or there are too few or too many words.
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
        let required_value = |(_, count): &(&str, Count)| count.range().0;
        let most = command
            .positionals
            .iter()
            .fold(0_usize, |most, (_, count)| {
                most.saturating_add(count.range().1)
            });
        let mut left = words.len();
        let mut missing = Vec::new();
        for positional in command.positionals.iter().filter(|p| required_value(p) > 0) {
            match left.checked_sub(required_value(positional)) {
                Some(more) => left = more,
                None => missing.push(positional.0),
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

    /// Refuses an option that only other commands of the tool have: who gives one expects
    /// something.
    ///
    /// # Errors
    /// One was given.
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

    /// What `--help` prints for the command that `word` is.
    pub fn help(all: &[Subcommand], word: &str) -> Option<String> {
        let command = Subcommand::find(all, word)?;
        let others = command.words.get(1..).unwrap_or_default().join(", ");
        let others = if others.is_empty() {
            others
        } else {
            format!(" (also: {others})")
        };
        Some(arguments::help(
            &command
                .clap_command()
                .about(format!("{}{others}", command.about)),
        ))
    }

    fn clap_command(&self) -> Command {
        let mut line = (self.options)(arguments::base_command(self.program));
        for (at, (name, count)) in self.positionals.iter().enumerate() {
            let (least, most) = count.range();
            let arg = Arg::new(format!("{name}{at}"))
                .value_name(*name)
                .required(least > 0);
            line = line.arg(if most > 1 {
                arg.num_args(least.max(1)..)
            } else {
                arg
            });
        }
        line
    }

    /// A usage error with the command's own usage line.
    pub fn usage_error(&self, text: &str) -> Failure {
        let line = self.clap_command();
        print_usage_error(&usage(&line), &format!("{}: error: {text}", self.program));
        Failure::AlreadyReported(2)
    }

    /// The words of all commands, as usage lines show the place of the command.
    pub fn usage_words(all: &[Subcommand]) -> String {
        let words: Vec<&str> = all
            .iter()
            .flat_map(|command| command.words)
            .copied()
            .collect();
        format!("{{{}}} ...", words.join(","))
    }

    /// A section of the manual page.
    pub fn manual(all: &'static [Subcommand]) -> String {
        let shown = |command: &Subcommand| {
            let mut text = command
                .words
                .first()
                .copied()
                .unwrap_or_default()
                .to_string();
            for (name, count) in command.positionals {
                text.push_str(&match count {
                    Count::One => format!(" {name}"),
                    Count::Optional => format!(" [{name}]"),
                    Count::Any => format!(" [{name}...]"),
                    Count::OneOrMore => format!(" {name}..."),
                });
            }
            text
        };
        let mut text = String::new();
        for command in all {
            let others = command.words.get(1..).unwrap_or_default().join(", ");
            let others = if others.is_empty() {
                others
            } else {
                format!(" (also: {others})")
            };
            let about = format!("{}{others}", command.about);
            // What follows a command may be long, so that what it does stands below.
            text.push_str(&format!("  {}\n", shown(command)));
            text.push_str(&super::table::definition_list(std::iter::once((
                "  ",
                about.as_str(),
            ))));
        }
        text
    }
}
