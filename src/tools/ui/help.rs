//! The text of `--help`: options under headings, what every command has at the end.

use super::program_name;
use clap::{Arg, Command};

use super::arguments::{OUTPUT_OPTIONS, is_common};
use super::usage::{self, value_name};
use super::words::takes_value;

/// Headings for options that upstream's tools have too. They exist in help texts only: a heading on
/// the option itself keeps it out of the usage line, which is upstream's.
const HEADINGS: [(&str, &str, &[&str]); 2] = [
    (
        "qvm-ls",
        OUTPUT_OPTIONS,
        &[
            "format",
            "fields",
            "tree",
            "raw-data",
            "raw-list",
            "disk",
            "network",
            "kernel",
            "sort",
            "reverse",
            "ignore-case",
        ],
    ),
    (
        "qvm-ls",
        "Filters",
        &[
            "class",
            "label",
            "tags",
            "exclude-tags",
            "running",
            "paused",
            "halted",
            "template-source",
            "netvm-is",
            "internal",
            "servicevm",
            "pending-update",
            "features",
            "prefs",
        ],
    ),
];

/// Returns the heading under which help shows an option; `None` for the general one.
pub fn heading(command: &Command, arg: &Arg) -> Option<String> {
    let id = arg.get_id().as_str();
    let listed = HEADINGS
        .iter()
        .find(|(name, _, ids)| *name == command.get_name() && ids.contains(&id));
    listed
        .map(|(_, heading, _)| *heading)
        .or(arg.get_help_heading())
        .map(str::to_owned)
}

/// Returns what `--help` prints.
pub fn help(command: &Command) -> String {
    let subcommands = command.get_subcommands().cloned();
    let usage = format!(
        "{} [OPTIONS] {}",
        program_name::program(command),
        usage::positionals(command)
    );
    let mut shown = Command::new(command.get_name().to_owned())
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .version(env!("CARGO_PKG_VERSION"))
        .override_usage(usage.trim_end().to_owned())
        .about(about(command))
        .subcommands(subcommands);
    if command.has_subcommands() {
        shown = shown.after_help("COMMAND --help shows the arguments and options of a command.");
    }
    // clap shows headings in the order in which their first options were added.
    let (common, own): (Vec<&Arg>, Vec<&Arg>) =
        command.get_arguments().partition(|arg| is_common(arg));
    for arg in own.into_iter().chain(common) {
        let is_required = arg.is_positional() && usage::is_required(arg);
        let mut shown_arg = arg
            .clone()
            .required(is_required)
            .hide_possible_values(arg.get_action().takes_values());
        if let Some(heading) = heading(command, arg).filter(|_| !arg.is_positional()) {
            shown_arg = shown_arg.help_heading(heading);
        }
        shown = shown.arg(shown_arg);
    }
    shown.render_help().to_string()
}

/// Returns what a command does: a line with its aliases, then further sentences if it has some.
pub fn about(command: &Command) -> String {
    let mut about = command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default();
    let aliases: Vec<&str> = command.get_visible_aliases().collect();
    if !aliases.is_empty() {
        about.push_str(&format!(" (also: {})", aliases.join(", ")));
    }
    let long = command
        .get_long_about()
        .map(ToString::to_string)
        .unwrap_or_default();
    match long.split_once("\n\n") {
        Some((_, sentences)) => format!("{about}.\n\n{sentences}."),
        None => about,
    }
}

/// Returns an option with its value as manual pages show it: `-o, --option NAME=VALUE`.
pub fn option_synopsis(arg: &Arg) -> String {
    let mut names: Vec<String> = Vec::new();
    names.extend(arg.get_short().map(|short| format!("-{short}")));
    names.extend(arg.get_long().map(|long| format!("--{long}")));
    let aliases = arg.get_visible_aliases().unwrap_or_default();
    names.extend(aliases.iter().map(|alias| format!("--{alias}")));
    let mut text = names.join(", ");
    if takes_value(arg) {
        match arg.get_value_names() {
            Some(values) if values.len() > 1 => {
                values
                    .iter()
                    .for_each(|value| text.push_str(&format!(" {value}")));
            }
            _ => text.push_str(&format!(" {}", value_name(arg))),
        }
        if arg.get_num_args().is_some_and(|n| n.max_values() > 2) {
            text.push_str("...");
        }
    }
    text
}
