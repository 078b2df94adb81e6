//! The texts of a manual page.

use super::section::Section;

/// The texts of one command's page. Options, arguments and the name come from the command itself.
pub(super) struct Page {
    pub command: &'static str,
    /// What it does, what it changes, what it never touches; paragraphs between empty lines.
    pub description: &'static str,
    /// Further sections, made from the tables of the command.
    pub sections: fn() -> Vec<Section>,
    /// Command lines, each with what they do.
    pub examples: &'static [(&'static str, &'static str)],
    /// Exit codes, where they are not [`EXIT_STATUS`].
    pub exit_status: &'static [(&'static str, &'static str)],
    pub files: &'static [(&'static str, &'static str)],
    pub environment: &'static [(&'static str, &'static str)],
    /// Names of pages with their sections, besides `qubes(7)`.
    pub see_also: &'static [&'static str],
}

impl Page {
    /// Texts that most commands share.
    pub const DEFAULT: Page = Page {
        command: "",
        description: "",
        sections: Vec::new,
        examples: &[],
        exit_status: EXIT_STATUS,
        files: STORE,
        environment: &[],
        see_also: &[],
    };
}

/// The exit codes of most commands.
pub(super) const EXIT_STATUS: &[(&str, &str)] = &[
    ("0", "The command did what it was asked to."),
    (
        "1",
        "It could not be done; the reason is on standard error.",
    ),
    (
        "2",
        "The command line is wrong, or names a qube, property or option that does not exist.",
    ),
];

/// The file of most commands.
const STORE: &[(&str, &str)] = &[("/var/lib/qubes/qubes.xml", "The store.")];

/// One generated manual page.
pub struct ManualPage {
    /// Its file: the name and the section, `qvm-ls.1`.
    pub file: String,
    /// Its roff source.
    pub text: String,
}
