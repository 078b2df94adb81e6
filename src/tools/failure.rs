//! How a command ends when it does not end well: the words and the exit code (`docs/`, "exit
//! codes").

use std::fmt;
use std::io;

use super::hint::{Hint, NameKind};

/// Why a command stops. `main` prints the words and turns it into the exit code.
#[derive(Debug)]
pub enum Failure {
    /// Wrong use: `usage: …`, then `PROG: error: TEXT`; exit 2.
    Usage(String),
    /// It could not be done: `PROG: error: TEXT`; exit 1.
    Error(String),
    /// Everything has been said; only the exit code is left.
    AlreadyReported(u8),
    /// Nobody reads our standard output any more.
    BrokenPipe,
    /// One of these, and what to do about it.
    Hinted(Box<Failure>, Hint),
}

impl Failure {
    pub fn usage(text: impl Into<String>) -> Failure {
        Failure::Usage(text.into())
    }

    pub fn error(text: impl fmt::Display) -> Failure {
        Failure::Error(text.to_string())
    }

    /// The usage error for a qube that does not exist.
    pub fn no_such_domain(name: &str) -> Failure {
        Failure::no_such_domain_with_hint(name, Hint::Unknown(NameKind::Qube, name.to_string()))
    }

    /// The usage error for a qube that does not exist, with another hint than those that do.
    pub fn no_such_domain_with_hint(name: &str, hint: Hint) -> Failure {
        Failure::Usage(format!("no such domain: {}", quoted(name))).with_hint(hint)
    }

    /// The same failure with a hint, unless there is none or it has one already.
    pub fn with_hint(self, hint: impl Into<Option<Hint>>) -> Failure {
        match (self, hint.into()) {
            (hinted @ Failure::Hinted(..), _) => hinted,
            (failure, Some(hint)) => Failure::Hinted(Box::new(failure), hint),
            (failure, None) => failure,
        }
    }

    /// What became of writing to standard output.
    pub fn from_output_error(error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::BrokenPipe,
            _ => Failure::Error(format!(
                "cannot write to standard output: {}",
                crate::fs::errno_text(error)
            )),
        }
    }
}

impl<E: std::error::Error + 'static> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::Error(error.to_string()).with_hint(Hint::for_error(&error))
    }
}

/// A text in quotes as error messages show names: single quotes unless the text has some and no
/// double ones.
pub fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut shown = String::with_capacity(text.len() + 2);
    shown.push(quote);
    for c in text.chars() {
        match c {
            '\\' => shown.push_str("\\\\"),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if c == quote => shown.extend(['\\', c]),
            c if c.is_control() => shown.push_str(&format!("\\x{:02x}", c as u32)),
            c => shown.push(c),
        }
    }
    shown.push(quote);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_so_that_nothing_breaks_out() {
        assert_eq!(quoted("nope"), "'nope'");
        assert_eq!(quoted("it's"), "\"it's\"");
        assert_eq!(quoted("a\x1b[31mb\n"), "'a\\x1b[31mb\\n'");
    }
}
