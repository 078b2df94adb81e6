//! Command lines of tools, as tests write them.

use std::ffi::{OsStr, OsString};

/// A tool and its arguments: a line that is split at white space, a list of words, or the tool and
/// its arguments as one of these.
pub trait CommandLine {
    fn words(&self) -> Vec<OsString>;

    /// Returns the command line for messages.
    fn describe(&self) -> String {
        let words: Vec<_> = self.words();
        let words = words.iter().map(|word| word.to_string_lossy());
        words.collect::<Vec<_>>().join(" ")
    }
}

impl CommandLine for str {
    fn words(&self) -> Vec<OsString> {
        self.split_whitespace().map(OsString::from).collect()
    }
}

impl CommandLine for String {
    fn words(&self) -> Vec<OsString> {
        self.as_str().words()
    }
}

impl<W: AsRef<OsStr>> CommandLine for [W] {
    fn words(&self) -> Vec<OsString> {
        self.iter().map(|word| word.as_ref().to_owned()).collect()
    }
}

impl<W: AsRef<OsStr>, const N: usize> CommandLine for [W; N] {
    fn words(&self) -> Vec<OsString> {
        self.as_slice().words()
    }
}

impl<W: AsRef<OsStr>> CommandLine for Vec<W> {
    fn words(&self) -> Vec<OsString> {
        self.as_slice().words()
    }
}

impl<A: CommandLine + ?Sized> CommandLine for (&str, &A) {
    fn words(&self) -> Vec<OsString> {
        std::iter::once(self.0.into())
            .chain(self.1.words())
            .collect()
    }
}

impl<L: CommandLine + ?Sized> CommandLine for &L {
    fn words(&self) -> Vec<OsString> {
        (**self).words()
    }
}
