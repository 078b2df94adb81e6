//! `qubes-complete SHELL INDEX WORD...`: the candidates at a position of a command line, for the
//! completion files. It is a program of its own, with the definitions of the commands only, because
//! it runs at every press of the tab key. It reads qubes.xml, never contacts the hypervisor, and
//! prints no errors.

use super::candidate::{Candidate, Completions, candidate};
use std::process::ExitCode;

use clap::builder::PossibleValue;
use clap::{Arg, Command, ValueHint};

use super::completers::{Completer, ReplacesFirst};
use super::cursor::Cursor;
use super::offer::QubeSubset;
use crate::tools::ui::output::Output;
use crate::tools::ui::program_name::program_name;
use crate::tools::ui::words::{WordRoles, all_arguments, find_long, takes_many};
use crate::tools::{CommandDefinition, DEFINITIONS};

/// The exit code if the name of a file fits, which the shell completes itself.
const EXIT_FILE_NAME: u8 = 3;

/// The main function of `qubes-complete SHELL INDEX WORD...`. The words begin with the command's
/// name; INDEX is that of the word at the cursor.
pub fn main() -> ExitCode {
    let texts: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let [shell, index, words @ ..] = texts.as_slice() else {
        return ExitCode::from(2);
    };
    let Ok(index) = index.parse::<usize>() else {
        return ExitCode::from(2);
    };
    let mut out = Output::new();
    let offer = complete(words, index, shell == "bash");
    for candidate in offer.candidates {
        if out.line(&format_candidate(&candidate, shell)).is_err() {
            return ExitCode::FAILURE;
        }
    }
    match out.flush() {
        Err(_) => ExitCode::FAILURE,
        Ok(()) if offer.file => ExitCode::from(EXIT_FILE_NAME),
        Ok(()) => ExitCode::SUCCESS,
    }
}

fn format_candidate(candidate: &Candidate, shell: &str) -> String {
    let Candidate { word, about } = candidate;
    match shell {
        "fish" if !about.is_empty() => format!("{word}\t{about}"),
        "zsh" => {
            let word = word.replace(':', "\\:");
            if about.is_empty() {
                word
            } else {
                format!("{word}:{about}")
            }
        }
        _ => word.clone(),
    }
}

/// Returns the completions of the word at `index`. bash breaks words at `=` and `:`
/// (`breaks_words`), so it expects only the part behind.
pub fn complete(words: &[String], index: usize, breaks_words: bool) -> Completions {
    let mut words: Vec<String> = words.iter().take(index + 1).cloned().collect();
    if words.len() <= index {
        words.push(String::new());
    }
    let Some(program) = words.first() else {
        return Completions::default();
    };
    let mut name = program_name(program.as_ref());
    if name == "qubes" {
        if words.len() == 2 {
            let fits = |c: &&CommandDefinition| !c.hidden && c.name.starts_with(&words[1]);
            return DEFINITIONS
                .iter()
                .filter(fits)
                .map(|c| candidate(c.name, c.about))
                .collect::<Vec<_>>()
                .into();
        }
        // The shell asks for the program itself.
        if words.len() < 2 {
            return Completions::default();
        }
        if words[1] == "generate" {
            return Completions {
                candidates: Vec::new(),
                file: words.len() == 3,
            };
        }
        words.remove(0);
        name = words[0].clone();
    }
    let Some(command) = DEFINITIONS.iter().find(|d| d.name == name) else {
        return Completions::default();
    };
    let before_break = if breaks_words {
        rejoin_bash_words(&mut words)
    } else {
        0
    };
    let mut line = command.clap_command();
    line.build();
    let mut found = complete_at_cursor(&line, &words[1..]);
    for c in &mut found.candidates {
        c.word = c.word.split_off(before_break.min(c.word.len()));
    }
    found
}

/// Joins the words that bash broke at `=` and `:`. Returns how many bytes of the last word precede
/// the part that bash completes.
fn rejoin_bash_words(words: &mut Vec<String>) -> usize {
    let mut joined: Vec<String> = Vec::with_capacity(words.len());
    let mut before_break = 0;
    let mut glue = false;
    for word in words.drain(..) {
        let is_break = matches!(word.as_str(), "=" | ":");
        match joined.last_mut().filter(|_| is_break || glue) {
            Some(last) => {
                before_break = if is_break { last.len() + 1 } else { last.len() };
                last.push_str(&word);
            }
            None => {
                before_break = 0;
                joined.push(word);
            }
        }
        glue = is_break;
    }
    *words = joined;
    before_break
}

fn complete_at_cursor(line: &Command, words: &[String]) -> Completions {
    let Some((current, before)) = words.split_last() else {
        return Completions::default();
    };
    let roles = WordRoles::of(line, before);
    let mut positionals: Vec<&str> = roles.positionals.iter().map(|(_, word)| *word).collect();
    let is_replaced = |arg: &&Arg| arg.get::<ReplacesFirst>().is_some();
    if roles.options.iter().any(is_replaced) {
        positionals.insert(0, "*");
    }
    let shared = line.get_positionals().count();
    let sub = match positionals.get(shared) {
        Some(word) if line.has_subcommands() => line.find_subcommand(word),
        _ => None,
    };
    if sub.is_some() {
        positionals.remove(shared);
    }
    let value_of = |arg: &Arg, current: &str| {
        let cursor = Cursor {
            current,
            positionals: positionals.clone(),
            subset: line.get().copied().unwrap_or(QubeSubset::Any),
            words,
        };
        argument_completions(arg, &cursor)
    };
    let may_be_option = !roles.options_ended && current.starts_with('-');
    if may_be_option
        && let Some((name, value)) = current.strip_prefix("--").and_then(|c| c.split_once('='))
    {
        let front = format!("--{name}=");
        return find_long(line, name)
            .map(|arg| value_of(arg, value).with_prefix(&front))
            .unwrap_or_default();
    }
    match roles.open_option {
        Some((arg, alone)) if alone || !current.starts_with('-') => value_of(arg, current),
        _ if may_be_option => option_names(sub.unwrap_or(line), current).into(),
        _ if sub.is_none() && line.has_subcommands() && positionals.len() == shared => {
            let names = line.get_subcommands().map(Command::get_name);
            let fitting = names.filter(|name| name.starts_with(current));
            let candidates: Vec<Candidate> = fitting.map(|name| candidate(name, "")).collect();
            candidates.into()
        }
        _ => positional_at(sub.unwrap_or(line), positionals.len())
            .map(|arg| value_of(arg, current))
            .unwrap_or_default(),
    }
}

/// Returns what completes an argument: what its completer says, else files if it takes a path.
fn argument_completions(arg: &Arg, cursor: &Cursor) -> Completions {
    match arg.get::<Completer>() {
        Some(Completer(offer)) => offer(cursor).completions(cursor.current, cursor.words),
        None => Completions {
            candidates: choices(arg, cursor.current),
            file: matches!(
                arg.get_value_hint(),
                ValueHint::AnyPath | ValueHint::FilePath | ValueHint::DirPath
            ),
        },
    }
}

/// Returns the choices of an argument that begin with `current`.
fn choices(arg: &Arg, current: &str) -> Vec<Candidate> {
    let choices = arg.get_possible_values();
    let names = choices.iter().map(PossibleValue::get_name);
    let fitting = names.filter(|name| name.starts_with(current));
    fitting.map(|name| candidate(name, "")).collect()
}

fn positional_at(line: &Command, position: usize) -> Option<&Arg> {
    let mut all = line.get_positionals();
    all.nth(position)
        .or_else(|| line.get_positionals().last().filter(|a| takes_many(a)))
}

fn option_names(line: &Command, current: &str) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    for arg in all_arguments(line).filter(|a| !a.is_positional() && !a.is_hide_set()) {
        let word = match (arg.get_long(), arg.get_short()) {
            (Some(long), _) => format!("--{long}"),
            (None, Some(short)) => format!("-{short}"),
            (None, None) => continue,
        };
        let is_new = !found.iter().any(|candidate| candidate.word == word);
        if is_new && word.starts_with(current) {
            let about = arg.get_help().map(ToString::to_string).unwrap_or_default();
            found.push(Candidate { word, about });
        }
    }
    found
}
