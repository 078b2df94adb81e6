//! Subcommands of a tool (`qvm-pool info POOL_NAME`): which one a command line names. clap
//! defines and parses them.

use std::ffi::OsString;

use clap::builder::CommandExt;
use clap::{Arg, ArgAction, Command};

use super::failure::Failure;
use super::usage::{subcommand_names, value_name};
use super::usage_error::{invalid_choice, of_subcommand, unrecognized};
use super::words::{WordRoles, all_arguments};
use crate::tools::ui::program_name::program;

/// The subcommand of command lines that name none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DefaultSubcommand(pub &'static str);

impl CommandExt for DefaultSubcommand {}

/// What the subcommands without `--json` do, as the refusal of that option says it: "a change of
/// tags".
#[derive(Debug, Clone, Copy)]
pub(crate) struct PrintsNothing(pub &'static str);

impl CommandExt for PrintsNothing {}

/// Names the program of each subcommand, with the arguments that precede it:
/// `qvm-tags VMNAME add`.
pub(crate) fn name_programs(line: Command) -> Command {
    let mut front = line.get_name().to_owned();
    for arg in line.get_positionals() {
        front.push_str(&format!(" {}", value_name(arg)));
    }
    line.mut_subcommands(|sub| {
        let program = format!("{front} {}", sub.get_name());
        // As argparse: no option looks like a negative number, so each of them is a value.
        sub.display_name(program)
            .mut_args(|arg| match arg.get_action().takes_values() {
                true => arg.allow_negative_numbers(true),
                false => arg,
            })
    })
    .propagate_version(true)
    .disable_help_subcommand(true)
    .arg_required_else_help(false)
}

/// Moves the word that names a subcommand to the front, where clap expects it, or adds the default
/// one: options and the arguments that every subcommand has may precede it. Returns the subcommand.
///
/// # Errors
/// There is no such subcommand.
pub(crate) fn move_to_front<'c>(
    line: &'c Command,
    words: &mut Vec<OsString>,
) -> Result<Option<&'c Command>, Failure> {
    if !line.has_subcommands() {
        return Ok(None);
    }
    let texts: Vec<String> = words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let roles = WordRoles::of(line, &texts);
    let shared = line.get_positionals().count();
    let asks_for_text = roles.options.iter().any(|arg| is_help_or_version(arg));
    let chosen = match roles.positionals.get(shared) {
        Some((at, word)) => {
            words.remove(*at);
            let named = line.find_subcommand(word);
            if named.is_none() && !asks_for_text {
                return Err(unknown(line, word, &roles));
            }
            named
        }
        None if asks_for_text || roles.positionals.len() < shared => None,
        None => default_for(line, &roles.options),
    };
    if let Some(chosen) = chosen {
        words.insert(0, chosen.get_name().into());
    }
    Ok(chosen)
}

fn is_help_or_version(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Help | ArgAction::Version)
}

/// Returns the default subcommand, unless an option is the tool's alone.
fn default_for<'c>(line: &'c Command, options: &[&Arg]) -> Option<&'c Command> {
    let default = line.find_subcommand(line.get::<DefaultSubcommand>()?.0)?;
    let has = |line: &Command, arg: &Arg| {
        let mut own = line.get_arguments();
        own.any(|own| own.get_id() == arg.get_id())
    };
    let is_of_tool = |arg: &&Arg| has(line, arg) && !has(default, arg);
    (!options.iter().any(is_of_tool)).then_some(default)
}

/// Returns the failure for a word that names no subcommand. It may be the value of an unknown
/// option.
fn unknown(line: &Command, word: &str, roles: &WordRoles) -> Failure {
    match roles.unknown_options.as_slice() {
        [] => invalid_choice("command", word, &subcommand_names(line)),
        options => unrecognized(
            line,
            &[],
            &options.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ),
    }
}

/// Returns the failure for an option that only other subcommands than `sub` have; `None` if no
/// subcommand has it.
pub(crate) fn foreign_option(line: &Command, sub: &Command, option: &str) -> Option<Failure> {
    let is_it = |arg: &&Arg| {
        let long = arg.get_long().map(|long| format!("--{long}"));
        let short = arg.get_short().map(|short| format!("-{short}"));
        [long, short]
            .into_iter()
            .flatten()
            .any(|name| name == option)
    };
    let long = all_arguments(line).find(is_it)?.get_long()?;
    Some(match line.get::<PrintsNothing>() {
        Some(PrintsNothing(what)) if long == "json" => {
            Failure::usage(format!("argument --json: {what} prints nothing"))
        }
        _ => of_subcommand(sub, &format!("{} has no option --{long}", program(sub))),
    })
}
