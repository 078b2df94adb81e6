//! How a command fails: its message and its exit code.

use super::quoted::quoted;
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
