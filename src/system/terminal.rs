//! Reads the terminal's settings from the environment.

use std::env;

/// The environment's settings for output to the user's terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSettings {
    /// Whether to print without colours: `NO_COLOR` is set and not empty, or `TERM` is missing or
    /// `dumb`.
    pub is_plain: bool,
    /// Whether the locale's encoding is UTF-8.
    pub is_unicode: bool,
    /// The width from `COLUMNS`, which takes precedence over the terminal's own.
    pub columns: Option<usize>,
}

impl TerminalSettings {
    /// Reads the settings from the environment.
    pub fn from_environment() -> TerminalSettings {
        let variable = |name| env::var(name).ok().filter(|v| !v.is_empty());
        let locale = variable("LC_ALL")
            .or_else(|| variable("LC_CTYPE"))
            .or_else(|| variable("LANG"))
            .unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        TerminalSettings {
            is_plain: variable("NO_COLOR").is_some()
                || variable("TERM").is_none_or(|term| term == "dumb"),
            is_unicode: locale.contains("utf-8") || locale.contains("utf8"),
            columns: variable("COLUMNS")
                .and_then(|n| n.parse().ok())
                .filter(|n| *n > 0),
        }
    }
}
