//! What is before the cursor, for what completes an argument.

use super::offer::QubeSubset;

/// The place of the cursor in a command line.
pub(crate) struct Cursor<'a> {
    /// The word at the cursor as far as it is written; of `--option=VALUE` the value.
    pub current: &'a str,
    /// The positional arguments before it, without the name of a subcommand. A pattern that matches
    /// every name takes the place of the qube that a switch replaces.
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
