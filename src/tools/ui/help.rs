//! The text of `--help`: options under headings, what every command has at the end.

use clap::{Arg, ArgAction, Command};

use super::arguments::{OUTPUT_OPTIONS, SUBCOMMAND_ID, is_common};
use super::usage::{self, value_name};

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
    let usage = format!(
        "{} [OPTIONS] {}",
        command.get_name(),
        usage::positionals(command)
    );
    let mut shown = Command::new(command.get_name().to_owned())
        .disable_help_flag(true)
        .disable_version_flag(true)
        .version(env!("CARGO_PKG_VERSION"))
        .override_usage(usage.trim_end().to_owned());
    if let Some(about) = command.get_about() {
        shown = shown.about(about.clone());
    }
    // clap shows headings in the order in which their first options were added.
    let (common, own): (Vec<&Arg>, Vec<&Arg>) =
        command.get_arguments().partition(|arg| is_common(arg));
    for arg in own.into_iter().chain(common) {
        // The subcommand may be left out, although usage lines show it without brackets.
        let is_required =
            arg.is_positional() && usage::is_required(arg) && arg.get_id() != SUBCOMMAND_ID;
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

/// Returns an option with its value as manual pages show it: `-o, --option NAME=VALUE`.
pub fn option_synopsis(arg: &Arg) -> String {
    let mut names: Vec<String> = Vec::new();
    names.extend(arg.get_short().map(|short| format!("-{short}")));
    names.extend(arg.get_long().map(|long| format!("--{long}")));
    let aliases = arg.get_visible_aliases().unwrap_or_default();
    names.extend(aliases.iter().map(|alias| format!("--{alias}")));
    let mut text = names.join(", ");
    if matches!(arg.get_action(), ArgAction::Set | ArgAction::Append) {
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
