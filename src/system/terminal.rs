//! The terminal, as the environment tells of it.

use std::env;

/// What the environment says about writing to the person's terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSettings {
    /// Colours are not wanted (`NO_COLOR` is set and not empty), or not understood (`TERM` is
    /// missing or `dumb`).
    pub is_plain: bool,
    /// The locale's characters are UTF-8.
    pub is_unicode: bool,
    /// `COLUMNS`, which comes before what the terminal says of its width.
    pub columns: Option<usize>,
}

impl TerminalSettings {
    /// Reads `NO_COLOR`, `TERM`, `COLUMNS` and the locale's variables.
    pub fn from_environment() -> TerminalSettings {
        let set = |name| env::var(name).ok().filter(|v| !v.is_empty());
        let locale = set("LC_ALL")
            .or_else(|| set("LC_CTYPE"))
            .or_else(|| set("LANG"))
            .unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        TerminalSettings {
            is_plain: set("NO_COLOR").is_some() || set("TERM").is_none_or(|term| term == "dumb"),
            is_unicode: locale.contains("utf-8") || locale.contains("utf8"),
            columns: set("COLUMNS")
                .and_then(|n| n.parse().ok())
                .filter(|n| *n > 0),
        }
    }
}
