//! The words before the cursor: which option waits for its value, which arguments are given.

use clap::{Arg, ArgAction, Command};

use super::{QubeSubset, ReplacesFirst};

/// The place of the cursor in a command line.
pub(crate) struct Cursor<'a> {
    /// The word at the cursor as far as it is written; of `--option=VALUE` the value.
    pub current: &'a str,
    /// The positional arguments before it. A pattern that matches every name takes the place of the
    /// qube that a switch replaces.
    pub positionals: Vec<&'a str>,
    /// The qubes that the command works on.
    pub subset: QubeSubset,
    /// The words before it, then the word at the cursor.
    pub words: &'a [String],
}

impl<'a> Cursor<'a> {
    /// Returns the first positional argument.
    pub fn first(&self) -> Option<&'a str> {
        self.positionals.first().copied()
    }

    /// Whether one of these words is on the command line.
    pub fn has(&self, options: &[&str]) -> bool {
        self.words.iter().any(|word| options.contains(&&**word))
    }

    /// Whether the command line removes a setting.
    pub fn has_unset_flag(&self) -> bool {
        self.has(&["-D", "--unset", "--default", "--delete"])
    }
}

/// What the words before the cursor leave open.
pub(super) struct Position<'a> {
    /// The option whose value is expected, and whether nothing else is possible.
    pub option: Option<(&'a Arg, bool)>,
    /// The positional arguments.
    pub positionals: Vec<&'a str>,
    /// Whether `--` was given.
    pub options_ended: bool,
}

impl<'a> Position<'a> {
    /// Reads the words before the cursor.
    pub fn after(line: &'a Command, before: &'a [String]) -> Position<'a> {
        let mut position = Position {
            option: None,
            positionals: Vec::new(),
            options_ended: false,
        };
        before.iter().for_each(|word| position.read(line, word));
        let is_replaced = |arg: &Arg| {
            let name = arg
                .get_long()
                .filter(|_| arg.get::<ReplacesFirst>().is_some());
            name.is_some_and(|name| {
                before
                    .iter()
                    .any(|word| word.strip_prefix("--") == Some(name))
            })
        };
        if line.get_arguments().any(is_replaced) {
            position.positionals.insert(0, "*");
        }
        position
    }

    fn read(&mut self, line: &'a Command, word: &'a str) {
        if self.options_ended {
            self.positionals.push(word);
            return;
        }
        match word {
            "--" => {
                self.options_ended = true;
                self.option = None;
            }
            long if long.starts_with("--") => {
                let has_value = long.contains('=');
                self.option = find_long(line, &long[2..])
                    .filter(|_| !has_value)
                    .and_then(expected_value);
            }
            short if short.len() > 1 && short.starts_with('-') => {
                self.option = find_last_short(line, short);
            }
            _ => match self.option {
                Some((_, true)) => self.option = None,
                // The option takes every word up to the next option.
                Some((_, false)) => {}
                None => self.positionals.push(word),
            },
        }
    }
}

fn expected_value(arg: &Arg) -> Option<(&Arg, bool)> {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append).then(|| (arg, !takes_many(arg)))
}

/// Returns the option of this long name.
pub(super) fn find_long<'a>(line: &'a clap::Command, name: &str) -> Option<&'a Arg> {
    let has = |arg: &&Arg| {
        arg.get_long() == Some(name) || arg.get_all_aliases().unwrap_or_default().contains(&name)
    };
    line.get_arguments().find(has)
}

/// Returns the option at the end of `-abc` that expects a value.
fn find_last_short<'a>(line: &'a clap::Command, word: &str) -> Option<(&'a Arg, bool)> {
    let mut letters = word.chars().skip(1).peekable();
    while let Some(letter) = letters.next() {
        let arg = line
            .get_arguments()
            .find(|a| a.get_short() == Some(letter))?;
        if let Some(expected_value) = expected_value(arg) {
            return letters.peek().is_none().then_some(expected_value);
        }
    }
    None
}

/// Whether an argument takes several words.
pub(super) fn takes_many(arg: &Arg) -> bool {
    arg.get_num_args().is_some_and(|n| n.max_values() > 1)
}
