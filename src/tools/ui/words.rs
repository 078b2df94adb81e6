//! The words of a command line before clap parses them: which are options, their values, or
//! arguments.

use clap::{Arg, ArgAction, Command};

/// The roles of the words of a command line.
pub(crate) struct WordRoles<'a> {
    /// The options in their order.
    pub options: Vec<&'a Arg>,
    /// The words that look like options which neither the command nor a subcommand has.
    pub unknown_options: Vec<&'a str>,
    /// The arguments that are not values of options, with their positions among the words.
    pub positionals: Vec<(usize, &'a str)>,
    /// The option at the end that expects a value, and whether nothing else is possible.
    pub open_option: Option<(&'a Arg, bool)>,
    /// Whether `--` was given.
    pub options_ended: bool,
}

impl<'a> WordRoles<'a> {
    /// Reads the words after the name of a command. Options of its subcommands may be anywhere.
    pub fn of(line: &'a Command, words: &'a [String]) -> WordRoles<'a> {
        let mut roles = WordRoles {
            options: Vec::new(),
            unknown_options: Vec::new(),
            positionals: Vec::new(),
            open_option: None,
            options_ended: false,
        };
        for (at, word) in words.iter().enumerate() {
            roles.read(line, at, word);
        }
        roles
    }

    fn read(&mut self, line: &'a Command, at: usize, word: &'a str) {
        if self.options_ended {
            self.positionals.push((at, word));
            return;
        }
        match word {
            "--" => {
                self.options_ended = true;
                self.open_option = None;
            }
            long if long.starts_with("--") => {
                let (name, value) = match long[2..].split_once('=') {
                    Some((name, value)) => (name, Some(value)),
                    None => (&long[2..], None),
                };
                let option = find_long(line, name);
                match option {
                    Some(arg) => self.options.push(arg),
                    None => self.unknown_options.push(long),
                }
                self.open_option = option.filter(|_| value.is_none()).and_then(expected_value);
            }
            short if short.len() > 1 && short.starts_with('-') => self.read_short(line, short),
            _ => match self.open_option {
                Some((_, true)) => self.open_option = None,
                // The option takes every word up to the next option.
                Some((_, false)) => {}
                None => self.positionals.push((at, word)),
            },
        }
    }

    /// Reads `-abc`, the last of which may expect a value.
    fn read_short(&mut self, line: &'a Command, word: &'a str) {
        self.open_option = None;
        let mut letters = word.chars().skip(1).peekable();
        while let Some(letter) = letters.next() {
            let Some(arg) = all_arguments(line).find(|arg| arg.get_short() == Some(letter)) else {
                self.unknown_options.push(word);
                return;
            };
            self.options.push(arg);
            if let Some(expected) = expected_value(arg) {
                self.open_option = letters.peek().is_none().then_some(expected);
                return;
            }
        }
    }
}

/// Returns the arguments of a command and then those of its subcommands; some appear repeatedly.
pub(crate) fn all_arguments(line: &Command) -> impl Iterator<Item = &Arg> {
    let of_subcommands = line.get_subcommands().flat_map(Command::get_arguments);
    line.get_arguments().chain(of_subcommands)
}

/// Returns the option of this long name, also if only a subcommand has it.
pub(crate) fn find_long<'a>(line: &'a Command, name: &str) -> Option<&'a Arg> {
    all_arguments(line).find(|arg| {
        arg.get_long() == Some(name) || arg.get_all_aliases().unwrap_or_default().contains(&name)
    })
}

fn expected_value(arg: &Arg) -> Option<(&Arg, bool)> {
    takes_value(arg).then(|| (arg, !takes_many(arg)))
}

/// Whether an option takes a value.
pub(crate) fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

/// Whether an argument takes several words.
pub(crate) fn takes_many(arg: &Arg) -> bool {
    arg.get_num_args().is_some_and(|n| n.max_values() > 1)
}
