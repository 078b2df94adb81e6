//! Usage errors with the messages of argparse (`docs/spec/r4-tools.md` §1.1–1.3).

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use super::failure::Failure;
use super::hint::{self, Hint};
use super::output::print_usage_error;
use super::suggestion::did_you_mean;
use super::usage::{usage, value_name};
use super::words::takes_many;
use crate::tools::ui::program_name::program;
use crate::tools::ui::quoted::quoted;

/// Prints a usage error with the usage line of a subcommand.
pub fn of_subcommand(sub: &Command, text: &str) -> Failure {
    print_usage_error(&usage(sub), &format!("{}: error: {text}", program(sub)));
    Failure::AlreadyReported(2)
}

/// Returns the usage error for unknown arguments, with a hint for the first option among them or
/// for an `=` between name and value.
pub fn unrecognized(command: &Command, words: &[OsString], unknown: &[String]) -> Failure {
    let option = unknown
        .iter()
        .find(|word| word.starts_with('-'))
        .map(|word| hint::unknown_option(command, word));
    let equals = words
        .iter()
        .any(|word| word == "=")
        .then(|| Hint::text("leave the '=' out: NAME VALUE"));
    Failure::usage(format!("unrecognized arguments: {}", unknown.join(" ")))
        .with_hint(option.or(equals))
}

/// Returns an argument as argparse names it in errors: `--format/-o`, `VMNAME`.
fn argument_name(arg: &Arg) -> String {
    let mut names: Vec<String> = Vec::new();
    names.extend(arg.get_long().map(|l| format!("--{l}")));
    names.extend(
        arg.get_all_aliases()
            .unwrap_or_default()
            .iter()
            .map(|l| format!("--{l}")),
    );
    // The short form comes first if the option has only aliases beside it.
    let at = if arg.get_long().is_some() {
        names.len()
    } else {
        0
    };
    names.splice(at..at, arg.get_short().map(|s| format!("-{s}")));
    if names.is_empty() {
        value_name(arg)
    } else {
        names.join("/")
    }
}

/// Returns the usage error for a value that is not one of the choices.
pub fn invalid_choice(argument: &str, value: &str, choices: &[&str]) -> Failure {
    let list: Vec<String> = choices.iter().map(|c| quoted(c)).collect();
    let shown = quoted(value);
    let text = format!(
        "argument {argument}: invalid choice: {shown} (choose from {})",
        list.join(", ")
    );
    Failure::Usage(text).with_hint(did_you_mean(value, choices.iter().copied()).map(Hint::Text))
}

/// Returns the failure for an error of clap, with the message of argparse.
pub fn from_clap(command: &Command, error: &clap::Error) -> Failure {
    let about = context_text(error, ContextKind::InvalidArg);
    let arg = command.get_arguments().find(|a| a.to_string() == about);
    let name = arg.map_or_else(|| about.clone(), argument_name);
    let value = context_text(error, ContextKind::InvalidValue);
    Failure::Usage(match error.kind() {
        ErrorKind::InvalidValue if !value.is_empty() => {
            let choices = match error.get(ContextKind::ValidValue) {
                Some(ContextValue::Strings(choices)) => choices.as_slice(),
                _ => &[],
            };
            let choices: Vec<&str> = choices.iter().map(String::as_str).collect();
            return invalid_choice(&name, &value, &choices);
        }
        ErrorKind::InvalidSubcommand => {
            let word = context_text(error, ContextKind::InvalidSubcommand);
            format!("unrecognized arguments: {word}")
        }
        ErrorKind::MissingSubcommand => {
            let missing: Vec<String> = command.get_positionals().map(value_name).collect();
            let missing = match missing.as_slice() {
                [] => "COMMAND".to_owned(),
                names => names.join(", "),
            };
            format!("the following arguments are required: {missing}")
        }
        ErrorKind::MissingRequiredArgument => {
            let names: Vec<&str> = about
                .split(", ")
                .map(|n| n.trim_matches(['<', '>', '.']))
                .collect();
            format!("the following arguments are required: {}", names.join(", "))
        }
        ErrorKind::InvalidValue | ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => {
            match arg.is_some_and(takes_many) {
                true => format!("argument {name}: expected at least one argument"),
                false => format!("argument {name}: expected one argument"),
            }
        }
        ErrorKind::ArgumentConflict => {
            let other = prior_argument(command, error);
            let other = other.map_or_else(String::new, argument_name);
            // argparse reads positional arguments after options.
            match arg.is_some_and(Arg::is_positional) {
                true => format!("argument {name}: not allowed with argument {other}"),
                false => format!("argument {other}: not allowed with argument {name}"),
            }
        }
        ErrorKind::TooManyValues => {
            format!("argument {name}: ignored explicit argument '{value}'")
        }
        ErrorKind::InvalidUtf8 => "an argument is not valid UTF-8".to_string(),
        _ => first_line(&error.to_string()),
    })
}

/// Returns the argument that an earlier one on the command line excludes.
fn prior_argument<'a>(command: &'a Command, error: &clap::Error) -> Option<&'a Arg> {
    let prior = match error.get(ContextKind::PriorArg)? {
        ContextValue::String(text) => text,
        ContextValue::Strings(texts) => texts.first()?,
        _ => return None,
    };
    command
        .get_arguments()
        .find(|arg| arg.to_string() == *prior)
}

fn first_line(text: &str) -> String {
    text.lines()
        .next()
        .unwrap_or_default()
        .trim_start_matches("error: ")
        .to_string()
}

/// Returns what clap says about an error.
pub fn context_text(error: &clap::Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        _ => String::new(),
    }
}
