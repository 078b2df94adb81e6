//! Parsing a command line, with the error messages of argparse (`docs/spec/r4-tools.md` §1.1–1.3).

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgMatches, Command};

use super::arguments::{is_exclusive, is_upstream};
use super::failure::Failure;
use super::hint::{self, Hint};
use super::suggestion::did_you_mean;
use super::usage::value_name;

/// A parsed command line.
pub enum Parsed {
    /// The arguments.
    Matches(Box<ArgMatches>),
    /// `--help` was given; this is its text.
    Help(String),
    /// `--version` was given.
    Version,
}

/// Parses a command line; the words do not include the program's name.
///
/// # Errors
/// The command line is wrong: a usage error.
pub fn parse(command: &mut Command, words: Vec<OsString>) -> Result<Parsed, Failure> {
    let mut words = expand_abbreviations(command, words)?;
    let mut unknown = Vec::new();
    loop {
        let named =
            std::iter::once(OsString::from(command.get_name())).chain(words.iter().cloned());
        let error = match command.try_get_matches_from_mut(named) {
            Ok(matches) => {
                check_exclusive(command, &matches)?;
                return if unknown.is_empty() {
                    Ok(Parsed::Matches(Box::new(matches)))
                } else {
                    Err(unrecognized(command, &words, &unknown))
                };
            }
            Err(error) => error,
        };
        match error.kind() {
            ErrorKind::DisplayVersion => return Ok(Parsed::Version),
            ErrorKind::DisplayHelp => return Ok(Parsed::Help(super::help::help(command))),
            // argparse reports unknown arguments last, so they are removed and parsing goes on.
            ErrorKind::UnknownArgument => {
                match remove_unknown(&mut words, &context_text(&error, ContextKind::InvalidArg)) {
                    Some(word) => unknown.push(word),
                    None => {
                        let unknown = context_text(&error, ContextKind::InvalidArg);
                        return Err(unrecognized(command, &words, &[unknown]));
                    }
                }
            }
            // A mistyped option is named before an argument that is missing.
            ErrorKind::MissingRequiredArgument if !unknown.is_empty() => {
                return Err(unrecognized(command, &words, &unknown));
            }
            _ => return Err(usage_failure(command, &error)),
        }
    }
}

/// Returns the usage error for unknown arguments, with a hint for the first option among them or
/// for an `=` between name and value.
fn unrecognized(command: &Command, words: &[OsString], unknown: &[String]) -> Failure {
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

/// Removes the word that clap reports as `unknown` from `words` and returns it.
fn remove_unknown(words: &mut Vec<OsString>, unknown: &str) -> Option<String> {
    let same = |word: &OsString| word.to_str().is_some_and(|w| w == unknown);
    let begins = |word: &OsString| {
        let Some(word) = word.to_str() else {
            return false;
        };
        match unknown.strip_prefix("--") {
            Some(_) => word.split('=').next() == Some(unknown),
            None => {
                unknown.len() == 2
                    && unknown.starts_with('-')
                    && word.starts_with('-')
                    && !word.starts_with("--")
                    && word.contains(&unknown[1..])
            }
        }
    };
    let at = words
        .iter()
        .rposition(same)
        .or_else(|| words.iter().position(begins))?;
    Some(words.remove(at).to_string_lossy().into_owned())
}

/// Replaces abbreviations of long options with the full name. Upstream's options take precedence: a
/// prefix that is unique among them stays valid, whatever options we add.
fn expand_abbreviations(command: &Command, words: Vec<OsString>) -> Result<Vec<OsString>, Failure> {
    let mut spelt = Vec::with_capacity(words.len());
    let mut words = words.into_iter();
    for word in words.by_ref() {
        if word == "--" {
            spelt.push(word);
            break;
        }
        let Some((name, rest)) = word.to_str().and_then(long_option) else {
            spelt.push(word);
            continue;
        };
        match expand_option(command, name)? {
            Some(whole) if whole != name => spelt.push(format!("--{whole}{rest}").into()),
            _ => spelt.push(word),
        }
    }
    spelt.extend(words);
    Ok(spelt)
}

/// Splits `--name=value` into name and rest.
fn long_option(word: &str) -> Option<(&str, &str)> {
    let name = word.strip_prefix("--").filter(|n| !n.is_empty())?;
    let end = name.find('=').unwrap_or(name.len());
    Some(name.split_at(end))
}

/// Returns the long option that `name` is or abbreviates.
fn expand_option<'a>(command: &'a Command, name: &str) -> Result<Option<&'a str>, Failure> {
    let mut upstreams: Vec<(&str, &str)> = Vec::new();
    let mut ours: Vec<(&str, &str)> = Vec::new();
    for arg in command.get_arguments() {
        let fitting = if is_upstream(arg) {
            &mut upstreams
        } else {
            &mut ours
        };
        let aliases = arg.get_all_aliases().unwrap_or_default();
        for long in arg
            .get_long()
            .into_iter()
            .chain(aliases)
            .filter(|long| long.starts_with(name))
        {
            // A full name is never an abbreviation of a longer one.
            if long == name {
                return Ok(Some(long));
            }
            fitting.push((long, arg.get_id().as_str()));
        }
    }
    for (fitting, shortest) in [(upstreams, 1), (ours, 2)] {
        match fitting.as_slice() {
            [] => {}
            [(long, _)] => return Ok(Some(long)),
            [(long, id), others @ ..] if others.iter().all(|(_, other)| other == id) => {
                return Ok(Some(long));
            }
            several if name.len() >= shortest => {
                let names: Vec<String> = several
                    .iter()
                    .map(|(long, _)| format!("--{long}"))
                    .collect();
                return Err(Failure::usage(format!(
                    "ambiguous option: --{name} could match {}",
                    names.join(", ")
                )));
            }
            _ => {}
        }
    }
    Ok(None)
}

fn check_exclusive(command: &Command, matches: &ArgMatches) -> Result<(), Failure> {
    for group in command.get_groups().filter(|g| is_exclusive(g)) {
        let mut given: Vec<(usize, &Arg)> = Vec::new();
        for id in group.get_args() {
            let by_person =
                matches.value_source(id.as_str()) == Some(clap::parser::ValueSource::CommandLine);
            let at = matches
                .indices_of(id.as_str())
                .and_then(|mut all| all.next())
                .filter(|_| by_person);
            let arg = command.get_arguments().find(|a| a.get_id() == id);
            given.extend(at.zip(arg));
        }
        given.sort_by_key(|(at, _)| *at);
        // argparse reports positional arguments after options.
        given.sort_by_key(|(_, arg)| arg.is_positional());
        if let [(_, first), (_, second), ..] = given.as_slice() {
            let text = format!(
                "argument {}: not allowed with argument {}",
                argument_name(second),
                argument_name(first)
            );
            return Err(Failure::Usage(text));
        }
    }
    Ok(())
}

/// Returns an argument as argparse names it in errors: `--format/-o`, `VMNAME`.
pub fn argument_name(arg: &Arg) -> String {
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
    let list: Vec<String> = choices.iter().map(|c| super::failure::quoted(c)).collect();
    let shown = super::failure::quoted(value);
    let text = format!(
        "argument {argument}: invalid choice: {shown} (choose from {})",
        list.join(", ")
    );
    Failure::Usage(text).with_hint(did_you_mean(value, choices.iter().copied()).map(Hint::Text))
}

/// Returns the failure for an error of clap, with the message of argparse.
fn usage_failure(command: &Command, error: &clap::Error) -> Failure {
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
        ErrorKind::MissingRequiredArgument => {
            let names: Vec<&str> = about
                .split(", ")
                .map(|n| n.trim_matches(['<', '>', '.']))
                .collect();
            format!("the following arguments are required: {}", names.join(", "))
        }
        ErrorKind::InvalidValue | ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => {
            match arg
                .and_then(|a| a.get_num_args())
                .is_some_and(|n| n.max_values() > 1)
            {
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

fn context_text(error: &clap::Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::*;
    use crate::tools::ui::arguments::{
        CommonOptions, base_command, flag, multi_value, mutually_exclusive, value,
    };

    fn sample_command() -> Command {
        let command = base_command("qvm-try")
            .arg(flag("disk", Some('d'), ""))
            .arg(value("format", Some('o'), "FORMAT", ""))
            .arg(value("fields", Some('O'), "FIELD,...", ""))
            .arg(flag("no-spinner", None, ""))
            .arg(multi_value("class", "CLASS", ""))
            .arg(value("root-copy-from", None, "FILENAME", ""))
            .arg(Arg::new("qube").value_name("VMNAME"))
            .arg(
                Arg::new("value")
                    .value_name("VALUE")
                    .allow_negative_numbers(true),
            );
        mutually_exclusive(command, "format", &["format", "fields", "disk"])
    }

    fn matches(words: &[&str]) -> ArgMatches {
        match parse(
            &mut sample_command(),
            words.iter().map(OsString::from).collect(),
        ) {
            Ok(Parsed::Matches(matches)) => *matches,
            Ok(_) => panic!("{words:?} asks for a text"),
            Err(failure) => panic!("{failure:?}"),
        }
    }

    fn usage_text(words: &[&str]) -> String {
        match parse(
            &mut sample_command(),
            words.iter().map(OsString::from).collect(),
        ) {
            Err(Failure::Usage(text)) => text,
            Err(Failure::Hinted(failure, _)) => match *failure {
                Failure::Usage(text) => text,
                other => panic!("{other:?}"),
            },
            _ => panic!("{words:?} is accepted"),
        }
    }

    #[test]
    fn options_can_be_anywhere_and_abbreviated() {
        assert!(matches(&["work", "-d", "5"]).get_flag("disk"));
        assert_eq!(
            matches(&["--form", "x"])
                .get_one::<String>("format")
                .unwrap(),
            "x"
        );
        assert_eq!(matches(&["-ox"]).get_one::<String>("format").unwrap(), "x");
        assert!(
            matches(&["--no"]).get_flag("no-spinner"),
            "upstream's options win over --no-wait"
        );
        assert!(
            matches(&["--root", "/mnt"]).contains_id("root"),
            "a whole name of ours is not upstream's --root-copy-from"
        );
        assert_eq!(
            matches(&["work", "-5"]).get_one::<String>("value").unwrap(),
            "-5"
        );
        assert_eq!(
            matches(&["--", "-x"]).get_one::<String>("qube").unwrap(),
            "-x"
        );
        let classes = matches(&["--class", "A", "B"]);
        assert_eq!(classes.get_many::<String>("class").unwrap().count(), 2);
        let common = CommonOptions::from_arg_matches(&matches(&["-qq", "-v"])).unwrap();
        assert_eq!(common.verbosity(), 0);
    }

    #[test]
    fn errors_have_the_messages_of_argparse() {
        assert_eq!(
            usage_text(&["--zz", "work", "5", "more"]),
            "unrecognized arguments: --zz more"
        );
        assert_eq!(
            usage_text(&["-d", "-O", "name"]),
            "argument --fields/-O: not allowed with argument --disk/-d"
        );
        assert_eq!(
            usage_text(&["--format"]),
            "argument --format/-o: expected one argument"
        );
        assert_eq!(
            usage_text(&["--class"]),
            "argument --class: expected at least one argument"
        );
        assert_eq!(
            usage_text(&["--fo", "x"]),
            "ambiguous option: --fo could match --force-root, --format"
        );
    }
}
