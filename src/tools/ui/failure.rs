//! How a command fails: its message and its exit code.

use std::fmt;
use std::io;

use super::hint::{self, Hint, NameKind};

/// Why a command fails. `main` prints the message and returns the exit code.
#[derive(Debug)]
pub enum Failure {
    /// A wrong command line: `usage: …`, then `PROG: error: TEXT`; exit code 2.
    Usage(String),
    /// Any other error: `PROG: error: TEXT`; exit code 1.
    Error(String),
    /// The error has been printed; only the exit code is left.
    AlreadyReported(u8),
    /// The reader of standard output has gone away.
    BrokenPipe,
    /// Another failure with a hint.
    Hinted(Box<Failure>, Hint),
}

impl Failure {
    /// Returns a usage error.
    pub fn usage(text: impl Into<String>) -> Failure {
        Failure::Usage(text.into())
    }

    /// Returns an error that is not about the command line.
    pub fn error(text: impl fmt::Display) -> Failure {
        Failure::Error(text.to_string())
    }

    /// Returns the usage error for a qube that does not exist.
    pub fn no_such_domain(name: &str) -> Failure {
        Failure::no_such_domain_with_hint(name, Hint::Unknown(NameKind::Qube, name.to_string()))
    }

    /// Returns the usage error for a qube that does not exist, with this hint.
    pub fn no_such_domain_with_hint(name: &str, hint: Hint) -> Failure {
        Failure::Usage(format!("no such domain: {}", quoted(name))).with_hint(hint)
    }

    /// Adds a hint, unless there is none or the failure has one already.
    pub fn with_hint(self, hint: impl Into<Option<Hint>>) -> Failure {
        match (self, hint.into()) {
            (hinted @ Failure::Hinted(..), _) => hinted,
            (failure, Some(hint)) => Failure::Hinted(Box::new(failure), hint),
            (failure, None) => failure,
        }
    }

    /// Returns the failure for an error of writing to standard output.
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
        Failure::Error(hint::describe(&error)).with_hint(Hint::for_error(&error))
    }
}

/// Returns a text in quotes with control characters escaped: single quotes, unless the text
/// contains some and no double ones.
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
    fn quoted_names_contain_no_control_characters() {
        assert_eq!(quoted("nope"), "'nope'");
        assert_eq!(quoted("it's"), "\"it's\"");
        assert_eq!(quoted("a\x1b[31mb\n"), "'a\\x1b[31mb\\n'");
    }
}
