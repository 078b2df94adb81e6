//! `qubes-complete SHELL INDEX WORD...`: the candidates at a position of a command line, for the
//! completion files. It is a program of its own, with the definitions of the commands only, because
//! it runs at every press of the tab key. It reads qubes.xml, never contacts the hypervisor, and
//! prints no errors.

use std::process::ExitCode;

use clap::{Arg, ArgAction, ValueHint};

use super::candidates::{CandidateKind, QubeSubset, candidates};
use crate::model::{Class, POOL_DRIVERS, PoolDriver, VolumeOption};
use crate::tools::ui::arguments::{QUBE_ID, SUBCOMMAND_ID};
use crate::tools::ui::output::Output;
use crate::tools::ui::subcommand::Subcommand;
use crate::tools::{CommandDefinition, DEFINITIONS, multicall};

/// A candidate with its description.
#[derive(Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The word.
    pub word: String,
    /// Its description; may be empty.
    pub about: String,
}

/// The exit code if the name of a file fits, which the shell completes itself.
const EXIT_FILE_NAME: u8 = 3;

/// The completions at the cursor.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Completions {
    /// The candidates.
    pub candidates: Vec<Candidate>,
    /// Whether the name of a file fits.
    pub file: bool,
}

impl From<Vec<Candidate>> for Completions {
    fn from(candidates: Vec<Candidate>) -> Completions {
        Completions {
            candidates,
            file: false,
        }
    }
}

/// The context of the cursor: what the words before it mean.
struct CursorContext<'a> {
    /// The option whose value is expected, and whether nothing else is possible.
    option: Option<(&'a Arg, bool)>,
    /// The positional arguments before the cursor.
    positionals: Vec<&'a str>,
    options_ended: bool,
}

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
    let mut name = multicall::program_name(program.as_ref());
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
    let line = command.clap_command();
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

fn complete_at_cursor(line: &clap::Command, words: &[String]) -> Completions {
    let Some((current, before)) = words.split_last() else {
        return Completions::default();
    };
    let mut context = cursor_context(line, before);
    // With `qvm-prefs --all` there is no VMNAME: continue as after a pattern that matches every
    // name.
    if takes_qube(line)
        && find_long(line, "all").is_some()
        && before.iter().any(|word| word == "--all")
    {
        context.positionals.insert(0, "*");
    }
    if !context.options_ended
        && let Some((name, value)) = current.strip_prefix("--").and_then(|c| c.split_once('='))
    {
        let Some(arg) = find_long(line, name) else {
            return Completions::default();
        };
        let values = values(line, arg, value, &context, words);
        let whole = |c: Candidate| Candidate {
            word: format!("--{name}={}", c.word),
            about: c.about,
        };
        return Completions {
            candidates: values.into_iter().map(whole).collect(),
            file: takes_file(line, arg, value, &context),
        };
    }
    if let Some((arg, alone)) = context.option
        && (alone || !current.starts_with('-'))
    {
        return argument_completions(line, arg, current, &context, words);
    }
    if !context.options_ended && current.starts_with('-') {
        return option_names(line, current).into();
    }
    match positional_at(line, context.positionals.len()) {
        Some(positional) => argument_completions(line, positional, current, &context, words),
        None => Completions::default(),
    }
}

fn argument_completions(
    line: &clap::Command,
    arg: &Arg,
    current: &str,
    context: &CursorContext,
    words: &[String],
) -> Completions {
    Completions {
        candidates: values(line, arg, current, context, words),
        file: takes_file(line, arg, current, context),
    }
}

/// Whether the value of an argument may be the name of a file.
fn takes_file(line: &clap::Command, arg: &Arg, current: &str, context: &CursorContext) -> bool {
    match (line.get_name(), arg.get_id().as_str()) {
        ("qvm-notes", "import") | ("qvm-start", "hddisk" | "cdrom" | "drive") => true,
        // A copy is named by its time, or as a file with a slash.
        ("qubes-db", "copy" | "from") => current.contains('/'),
        ("qvm-volume", "word") => matches!(context.positionals.as_slice(), ["import", _]),
        ("qvm-pool", "option") => current.starts_with("dir_path="),
        _ => matches!(
            arg.get_value_hint(),
            ValueHint::AnyPath | ValueHint::FilePath | ValueHint::DirPath
        ),
    }
}

fn positional_at(line: &clap::Command, position: usize) -> Option<&Arg> {
    let mut all = line.get_positionals();
    all.nth(position)
        .or_else(|| line.get_positionals().last().filter(|a| takes_many(a)))
}

fn cursor_context<'a>(line: &'a clap::Command, before: &'a [String]) -> CursorContext<'a> {
    let mut context = CursorContext {
        option: None,
        positionals: Vec::new(),
        options_ended: false,
    };
    for word in before {
        if context.options_ended {
            context.positionals.push(word);
            continue;
        }
        match word.as_str() {
            "--" => {
                context.options_ended = true;
                context.option = None;
            }
            long if long.starts_with("--") => {
                let has_value = long.contains('=');
                context.option = find_long(line, &long[2..])
                    .filter(|_| !has_value)
                    .and_then(expected_value);
            }
            short if short.len() > 1 && short.starts_with('-') => {
                context.option = find_last_short(line, short)
            }
            _ => match context.option {
                Some((_, true)) => context.option = None,
                // The option takes every word up to the next option.
                Some((arg, false)) => context.option = Some((arg, false)),
                None => context.positionals.push(word),
            },
        }
    }
    context
}

fn expected_value(arg: &Arg) -> Option<(&Arg, bool)> {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append).then(|| (arg, !takes_many(arg)))
}

fn find_long<'a>(line: &'a clap::Command, name: &str) -> Option<&'a Arg> {
    let has = |arg: &&Arg| {
        arg.get_long() == Some(name) || arg.get_all_aliases().unwrap_or_default().contains(&name)
    };
    line.get_arguments().find(has)
}

/// Returns the option at the end of `-abc` that expects a value.
fn find_last_short<'a>(line: &'a clap::Command, word: &str) -> Option<(&'a Arg, bool)> {
    let mut letters = word.chars().skip(1).peekable();
    while let Some(letter) = letters.next() {
        let arg = line
            .get_arguments()
            .find(|a| a.get_short() == Some(letter))?;
        if let Some(expected_value) = expected_value(arg) {
            return letters.peek().is_none().then_some(expected_value);
        }
    }
    None
}

fn takes_many(arg: &Arg) -> bool {
    arg.get_num_args().is_some_and(|n| n.max_values() > 1)
}

fn option_names(line: &clap::Command, current: &str) -> Vec<Candidate> {
    let mut found = Vec::new();
    for arg in line
        .get_arguments()
        .filter(|a| !a.is_positional() && !a.is_hide_set())
    {
        let word = match (arg.get_long(), arg.get_short()) {
            (Some(long), _) => format!("--{long}"),
            (None, Some(short)) => format!("-{short}"),
            (None, None) => continue,
        };
        if word.starts_with(current) {
            let about = arg.get_help().map(ToString::to_string).unwrap_or_default();
            found.push(Candidate { word, about });
        }
    }
    found
}

/// Returns the candidates for an argument that begin with `current`.
fn values(
    line: &clap::Command,
    arg: &Arg,
    current: &str,
    context: &CursorContext,
    words: &[String],
) -> Vec<Candidate> {
    let id = arg.get_id().as_str();
    if let "pool" | "property" = id
        && !arg.is_positional()
        && line.get_name() != "qvm-volume"
    {
        return pair_values(id, current, words);
    }
    if let "qvm-pool" | "qvm-volume" = line.get_name() {
        return storage_values(line.get_name(), id, current, context, words);
    }
    let property = match id {
        "property" | "value" if takes_qube(line) => context.positionals.get(1).copied(),
        _ => context.positionals.first().copied(),
    };
    let kind = match id {
        // A new name has no candidates.
        "vmname" if line.get_name() == "qvm-create" => return Vec::new(),
        QUBE_ID if line.get_name().contains("-template") => CandidateKind::Templates,
        QUBE_ID | "vmname" | "exclude" => CandidateKind::Qubes(relevant_qubes(line.get_name())),
        "template" if class_of_new_qube(words) == Class::DispVM => {
            CandidateKind::DisposableTemplates
        }
        "template" | "template-source" => CandidateKind::Templates,
        "netvm-is" => CandidateKind::Netvms,
        "label" => CandidateKind::Labels,
        "class" => CandidateKind::Classes,
        "all-pools" => CandidateKind::Pools,
        "tags" | "exclude-tags" => CandidateKind::Tags,
        "format" => CandidateKind::Words(
            crate::tools::commands::ls::FORMATS
                .iter()
                .map(|(name, _)| *name)
                .collect(),
        ),
        "fields" | "sort" => CandidateKind::Words(
            crate::tools::commands::ls::ColumnSpec::listed()
                .into_iter()
                .map(|(name, _)| name)
                .collect(),
        ),
        "db-command" => CandidateKind::Words(crate::tools::commands::db::command_names()),
        "copy" => CandidateKind::Copies,
        "color" => CandidateKind::Words(vec!["auto", "always", "never"]),
        "internal" | "servicevm" => CandidateKind::Words(vec!["y", "n"]),
        "feature" => CandidateKind::Features {
            of: context.positionals.first().copied(),
            only_own: has_unset_flag(words),
        },
        "service" => CandidateKind::Services {
            of: context.positionals.first().copied(),
            only_own: has_unset_flag(words),
        },
        "switch" => CandidateKind::Words(vec!["on", "off"]),
        "updates" => CandidateKind::Words(crate::tools::commands::set_updates::ACTIONS.to_vec()),
        "package-action" => {
            CandidateKind::Words(crate::tools::commands::template_postprocess::ACTIONS.to_vec())
        }
        SUBCOMMAND_ID => CandidateKind::Words(vec!["list", "add", "del"]),
        // Tags of other qubes are candidates for adding.
        "tag"
            if context
                .positionals
                .get(1)
                .is_some_and(|command| crate::tools::commands::tags::is_add(command)) =>
        {
            CandidateKind::Tags
        }
        "tag" => CandidateKind::TagsOf(context.positionals.first().copied()),
        "property" => CandidateKind::Properties {
            of: property_owner(line, context),
        },
        "value" => match property {
            Some(property) => CandidateKind::ValuesOf {
                of: property_owner(line, context),
                property,
            },
            None => return Vec::new(),
        },
        _ => return Vec::new(),
    };
    // `-O name,state,cl`: complete the last name of the list. Names contain no commas.
    let (front, last) = match (id, current.rsplit_once(',')) {
        ("fields" | "class" | "label" | "tags" | QUBE_ID, Some((front, last))) => {
            (format!("{front},"), last)
        }
        _ => (String::new(), current),
    };
    let mut found = candidates(&kind, last, words);
    for c in &mut found {
        c.word.insert_str(0, &front);
    }
    found
}

/// Returns the candidates for arguments of qvm-pool and qvm-volume.
fn storage_values(
    tool: &str,
    id: &str,
    current: &str,
    context: &CursorContext,
    words: &[String],
) -> Vec<Candidate> {
    let commands: &[Subcommand] = if tool == "qvm-pool" {
        &crate::tools::commands::pool::COMMANDS
    } else {
        &crate::tools::commands::volume::COMMANDS
    };
    let command = context
        .positionals
        .first()
        .and_then(|word| Subcommand::find(commands, word));
    let command = command
        .and_then(|command| command.words.first())
        .copied()
        .unwrap_or_default();
    let after = context.positionals.get(1..).unwrap_or_default();
    let kind = match (tool, id, command, after) {
        (_, SUBCOMMAND_ID, ..) => CandidateKind::Words(
            commands
                .iter()
                .filter_map(|c| c.words.first().copied())
                .collect(),
        ),
        ("qvm-pool", "info" | "remove" | "set", ..) | ("qvm-volume", "pool", ..) => {
            CandidateKind::Pools
        }
        ("qvm-pool", "option", ..) => return pool_option_names(command, after, current),
        ("qvm-pool", "word", "info" | "set", []) | ("qvm-pool", "word", "remove", _) => {
            CandidateKind::Pools
        }
        ("qvm-pool", "word", "add", [_]) => {
            CandidateKind::Words(POOL_DRIVERS.iter().map(|driver| driver.name).collect())
        }
        ("qvm-volume", "word", "list", _) => CandidateKind::Qubes(QubeSubset::Guests),
        ("qvm-volume", "word", "", _) => return Vec::new(),
        ("qvm-volume", "word", "clone", [] | [_]) | ("qvm-volume", "word", _, []) => {
            CandidateKind::Volumes
        }
        ("qvm-volume", "word", "info", [_]) => {
            CandidateKind::Words(crate::tools::commands::volume::PROPERTIES.to_vec())
        }
        ("qvm-volume", "word", "config", [_]) => {
            CandidateKind::Words(VolumeOption::ALL.map(VolumeOption::as_str).to_vec())
        }
        ("qvm-volume", "word", "config", [_, "rw" | "ephemeral"]) => {
            CandidateKind::Words(vec!["True", "False"])
        }
        ("qvm-volume", "word", "revert", [volume]) => CandidateKind::Revisions(volume),
        _ => return Vec::new(),
    };
    candidates(&kind, current, words)
}

/// Returns `NAME=` for the options of a pool of this driver, or for those that can be changed.
fn pool_option_names(command: &str, after: &[&str], current: &str) -> Vec<Candidate> {
    let driver = after
        .get(1)
        .and_then(|name| PoolDriver::find(name))
        .filter(|_| command == "add");
    let options = driver.map_or(&["revisions_to_keep", "ephemeral_volatile"][..], |driver| {
        driver.options
    });
    let named = options
        .iter()
        .map(|option| candidate(&format!("{option}="), ""));
    named.filter(|c| c.word.starts_with(current)).collect()
}

/// Returns the candidates for `NAME=VALUE`: first names with `=`, then values.
fn pair_values(option: &str, current: &str, words: &[String]) -> Vec<Candidate> {
    let class = class_of_new_qube(words);
    let Some((name, value)) = current.split_once('=') else {
        let names = match option {
            "pool" => CandidateKind::Words(vec!["root", "private", "volatile"]),
            _ => CandidateKind::PropertiesOfClass(class),
        };
        let mut names = candidates(&names, current, words);
        names.iter_mut().for_each(|c| c.word.push('='));
        return names;
    };
    let values = match option {
        "pool" => CandidateKind::Pools,
        _ => CandidateKind::ValuesOfClass {
            class,
            property: name,
        },
    };
    let mut values = candidates(&values, value, words);
    values
        .iter_mut()
        .for_each(|c| c.word.insert_str(0, &format!("{name}=")));
    values
}

/// Returns the subset of qubes that a command can work on.
fn relevant_qubes(command: &str) -> QubeSubset {
    match command {
        "qvm-start" => QubeSubset::Halted,
        "qvm-kill" | "qvm-pause" | "qvm-shutdown" | "qvm-unpause" => QubeSubset::Running,
        "qvm-clone" | "qvm-remove" => QubeSubset::ButDom0,
        "qvm-notes" | "qvm-grow-private" | "qvm-grow-root" => QubeSubset::Guests,
        _ => QubeSubset::Any,
    }
}

/// Returns the class of the qube that a command line creates.
fn class_of_new_qube(words: &[String]) -> Class {
    let has = |option: &str| words.iter().any(|w| w == option);
    if has("--standalone") {
        return Class::StandaloneVM;
    }
    if has("--disp") {
        return Class::DispVM;
    }
    let named = words
        .windows(2)
        .find(|w| matches!(&*w[0], "-C" | "--class"))
        .map(|w| w[1].as_str());
    let named = named.or_else(|| words.iter().find_map(|w| w.strip_prefix("--class=")));
    named.map_or(Class::AppVM, Class::from_store)
}

/// Whether the command line removes a setting.
fn has_unset_flag(words: &[String]) -> bool {
    words
        .iter()
        .any(|w| matches!(&**w, "-D" | "--unset" | "--default" | "--delete"))
}

/// Returns the qube whose properties are completed; `None` for the system.
fn property_owner<'a>(line: &clap::Command, context: &CursorContext<'a>) -> Option<&'a str> {
    context
        .positionals
        .first()
        .copied()
        .filter(|_| takes_qube(line))
}

fn takes_qube(line: &clap::Command) -> bool {
    line.get_positionals()
        .next()
        .is_some_and(|a| a.get_id() == QUBE_ID)
}

pub(crate) fn candidate(word: &str, about: &str) -> Candidate {
    Candidate {
        word: word.to_string(),
        about: about.to_string(),
    }
}
