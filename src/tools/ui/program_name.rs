//! The names of programs.

use std::ffi::OsStr;
use std::path::Path;

use clap::Command;

/// Returns the program's name; for a subcommand with the words that precede it.
pub fn program(command: &Command) -> &str {
    command.get_display_name().unwrap_or(command.get_name())
}

/// Returns the name of a program without its directory.
pub fn program_name(program: &OsStr) -> String {
    Path::new(program)
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default()
}
