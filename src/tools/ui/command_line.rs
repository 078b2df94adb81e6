//! Parsing a command line as argparse does (`docs/spec/r4-tools.md` §1.1–1.3): long options can be
//! abbreviated, unknown arguments are reported last.

use std::ffi::OsString;

use clap::error::{ContextKind, ErrorKind};
use clap::{ArgMatches, Command};

use super::arguments::is_upstream;
use super::failure::Failure;
use super::subcommand;
use super::usage_error::{context_text, from_clap, of_subcommand, unrecognized};
use super::words::all_arguments;

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
    command.build();
    let mut words = expand_abbreviations(command, words)?;
    let sub = subcommand::move_to_front(command, &mut words)?.cloned();
    let line = sub.as_ref();
    let mut unknown = Vec::new();
    loop {
        let named =
            std::iter::once(OsString::from(command.get_name())).chain(words.iter().cloned());
        let error = match command.try_get_matches_from_mut(named) {
            Ok(matches) if unknown.is_empty() => return Ok(Parsed::Matches(Box::new(matches))),
            Ok(_) => return Err(unrecognized(line.unwrap_or(command), &words, &unknown)),
            Err(error) => error,
        };
        match error.kind() {
            ErrorKind::DisplayVersion => return Ok(Parsed::Version),
            ErrorKind::DisplayHelp => {
                return Ok(Parsed::Help(super::help::help(line.unwrap_or(command))));
            }
            // argparse reports unknown arguments last, so they are removed and parsing goes on.
            ErrorKind::UnknownArgument => {
                let named = context_text(&error, ContextKind::InvalidArg);
                let foreign = line.and_then(|sub| subcommand::foreign_option(command, sub, &named));
                if let Some(foreign) = foreign {
                    return Err(foreign);
                }
                match remove_unknown(&mut words, &named) {
                    Some(word) => unknown.push(word),
                    None => return Err(unrecognized(line.unwrap_or(command), &words, &[named])),
                }
            }
            // A mistyped option is named before an argument that is missing.
            ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::InvalidSubcommand
                if !unknown.is_empty() =>
            {
                return Err(unrecognized(line.unwrap_or(command), &words, &unknown));
            }
            _ => {
                return Err(match (line, from_clap(line.unwrap_or(command), &error)) {
                    (Some(sub), Failure::Usage(text)) => of_subcommand(sub, &text),
                    (_, failure) => failure,
                });
            }
        }
    }
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
    let is_of_tool = |arg: &clap::Arg| {
        let mut own = command.get_arguments();
        own.any(|own| own.get_id() == arg.get_id())
    };
    for arg in all_arguments(command) {
        let fitting = if is_upstream(arg) && is_of_tool(arg) {
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
            let found = (long, arg.get_id().as_str());
            if !fitting.contains(&found) {
                fitting.push(found);
            }
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

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches};

    use super::*;
    use crate::tools::ui::arguments::{CommonOptions, base_command};

    #[derive(clap::Args)]
    struct SampleArguments {
        #[arg(long, short, group = "format or fields")]
        disk: bool,
        #[arg(long, short = 'o', group = "format or fields")]
        format: Option<String>,
        #[arg(long, short = 'O', group = "format or fields")]
        fields: Option<String>,
        #[arg(long)]
        no_spinner: bool,
        #[arg(long, num_args = 1..)]
        class: Vec<String>,
        #[arg(long)]
        root_copy_from: Option<String>,
        qube: Option<String>,
        #[arg(allow_negative_numbers = true)]
        value: Option<String>,
    }

    fn sample_command() -> Command {
        SampleArguments::augment_args(base_command("qvm-try"))
    }

    fn sample(words: &[&str]) -> SampleArguments {
        SampleArguments::from_arg_matches(&matches(words)).unwrap()
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
        assert!(sample(&["work", "-d", "5"]).disk);
        assert_eq!(sample(&["--form", "x"]).format.unwrap(), "x");
        assert_eq!(sample(&["-ox"]).format.unwrap(), "x");
        assert_eq!(sample(&["--fiel", "x"]).fields.unwrap(), "x");
        assert!(
            sample(&["--no"]).no_spinner,
            "upstream's options win over --no-wait"
        );
        assert_eq!(
            sample(&["--root", "/mnt"]).root_copy_from,
            None,
            "a whole name of ours is not upstream's --root-copy-from"
        );
        assert_eq!(sample(&["work", "-5"]).value.unwrap(), "-5");
        assert_eq!(sample(&["--", "-x"]).qube.unwrap(), "-x");
        assert_eq!(sample(&["--class", "A", "B"]).class.len(), 2);
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
