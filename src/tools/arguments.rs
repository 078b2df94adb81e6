//! Command lines: what every tool accepts, and errors in the words of argparse (`spec/r4-tools.md` §1.1–1.3).

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};

use super::failure::Failure;
use super::output::Colors;
use super::usage::value_name;
use crate::system;

/// The id of the one qube that a tool works on. It must be given, unless an option that only prints help makes it
/// needless; so the tool asks for it with [`needed`], and usage lines show it as mandatory.
pub const THE_QUBE: &str = "the-qube";

/// The id of a name for something new, mandatory in the same way.
pub const THE_NEW_NAME: &str = "the-new-name";

/// The positional that says what a tool with several commands shall do. Usage lines show it without brackets.
pub const THE_COMMAND: &str = "the-command";

/// The heading of the options that upstream's client tools do not have; they are not part of usage lines, and an
/// abbreviation means upstream's options first.
const OURS: &str = "Where to work";

/// Another such heading: the options that say how to print.
const PRINTING: &str = "How to print";

/// The prefix of the ids of groups of which only one member may be given.
const EXCLUSIVE: &str = "only-one-";

/// A switch.
pub fn flag(long: &'static str, short: Option<char>, help: &'static str) -> Arg {
    Arg::new(long).long(long).short(short).action(ArgAction::SetTrue).help(help)
}

/// An option with one value.
pub fn value(long: &'static str, short: Option<char>, value: &'static str, help: &'static str) -> Arg {
    Arg::new(long).long(long).short(short).value_name(value).action(ArgAction::Set).help(help)
}

/// An option that takes every word up to the next option.
pub fn greedy(long: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(long).long(long).value_name(value).action(ArgAction::Append).num_args(1..).help(help)
}

/// The option of many spellings that forgets what was set.
pub fn unset(help: &'static str) -> Arg {
    flag("unset", Some('D'), help).visible_aliases(["default", "delete"])
}

/// [`THE_QUBE`].
pub fn the_qube(help: &'static str) -> Arg {
    Arg::new(THE_QUBE).value_name("VMNAME").help(help)
}

/// A switch that also prints JSON instead of the tool's own layout.
pub fn json() -> Arg {
    flag("json", None, "print JSON").help_heading(PRINTING)
}

/// An option of our own that says what is listed, or how.
pub fn of_listing(arg: Arg) -> Arg {
    arg.help_heading(PRINTING)
}

/// Whether to use colours.
pub fn color() -> Arg {
    let help = "use colours: auto (on a terminal, unless NO_COLOR is set), always or never";
    of_listing(value("color", None, "WHEN", help))
}

/// What [`color`] says.
pub fn colors(matches: &ArgMatches) -> Result<Colors, Failure> {
    match matches.get_one::<String>("color").map(String::as_str) {
        None | Some("auto") => Ok(Colors::Auto),
        Some("always") => Ok(Colors::Always),
        Some("never") => Ok(Colors::Never),
        Some(other) => Err(invalid_choice("--color", other, &["auto", "always", "never"])),
    }
}

/// A switch of an earlier release that scripts still give. Nobody learns it from us, and an abbreviation never means it
/// where it can mean another option.
pub fn earlier(long: &'static str, help: &'static str) -> Arg {
    flag(long, None, help).help_heading(OURS).hide(true)
}

/// The value of a mandatory argument.
pub fn needed<'a>(matches: &'a ArgMatches, id: &str, name: &str) -> Result<&'a str, Failure> {
    let value = matches.get_one::<String>(id).map(String::as_str);
    value.ok_or_else(|| Failure::usage(format!("the following arguments are required: {name}")))
}

/// Declares that at most one of `members` may be given.
pub fn exclusive(command: Command, name: &str, members: &[&'static str]) -> Command {
    let group = ArgGroup::new(format!("{EXCLUSIVE}{name}")).args(members.iter().copied()).multiple(true);
    command.group(group)
}

pub(super) fn is_exclusive(group: &ArgGroup) -> bool {
    group.get_id().as_str().starts_with(EXCLUSIVE)
}

/// The options every tool has.
pub fn common(name: &'static str) -> Command {
    let ours = |arg: Arg| arg.help_heading(OURS);
    Command::new(name)
        .infer_long_args(false)
        .args_override_self(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(flag("verbose", Some('v'), "say more (can be repeated)").action(ArgAction::Count))
        .arg(flag("quiet", Some('q'), "say less (can be repeated)").action(ArgAction::Count))
        .arg(flag("help", Some('h'), "show this help").action(ArgAction::Help))
        .arg(flag("version", None, "show the version"))
        .arg(flag("force-root", None, "accepted, without effect").hide(true))
        .arg(ours(flag("offline-mode", None, "work on qubes.xml alone, never ask the hypervisor")))
        .arg(ours(path("qubesxml", "FILE", "the store to work on instead of /var/lib/qubes/qubes.xml")))
        .arg(ours(path("root", "DIR", "put every built-in path below DIR")))
        .arg(ours(flag("no-wait", None, "do not wait for somebody else who is writing qubes.xml")))
        .arg(ours(flag("force-write", None, "write although a running qubesd owns qubes.xml")))
}

/// `--force` is `--force-write` for short, where a tool has no `--force` that means something else.
pub fn with_force(line: Command) -> Command {
    let has_its_own = line.get_arguments().any(|arg| arg.get_long() == Some("force"));
    if has_its_own { line } else { line.mut_arg("force-write", |arg| arg.alias("force")) }
}

fn path(long: &'static str, name: &'static str, help: &'static str) -> Arg {
    value(long, None, name, help).value_parser(value_parser!(PathBuf))
}

/// What the common options say of the place to work on.
pub fn place(matches: &ArgMatches) -> system::Options {
    system::Options {
        root: matches.get_one::<PathBuf>("root").cloned(),
        qubesxml: matches.get_one::<PathBuf>("qubesxml").cloned(),
        offline: matches.get_flag("offline-mode"),
        no_wait: matches.get_flag("no-wait"),
        force: matches.get_flag("force-write"),
        tell: Some(super::output::say),
    }
}

/// How much to say: 1 normally, more with `-v`, less with `-q`.
pub fn verbosity(matches: &ArgMatches) -> i32 {
    1 + i32::from(matches.get_count("verbose")) - i32::from(matches.get_count("quiet"))
}

/// What came of reading a command line.
pub enum Parsed {
    Matches(Box<ArgMatches>),
    /// `--help`: this text.
    Help(String),
}

/// Reads a command line; the words exclude the program's name. Errors are usage errors.
pub fn parse(command: &mut Command, words: Vec<OsString>) -> Result<Parsed, Failure> {
    let mut words = spelt_out(command, words)?;
    let mut unknown = Vec::new();
    loop {
        let named = std::iter::once(OsString::from(command.get_name())).chain(words.iter().cloned());
        let error = match command.try_get_matches_from_mut(named) {
            Ok(matches) => {
                check_exclusive(command, &matches)?;
                return if unknown.is_empty() {
                    Ok(Parsed::Matches(Box::new(matches)))
                } else {
                    Err(unrecognized(&unknown))
                };
            }
            Err(error) => error,
        };
        match error.kind() {
            ErrorKind::DisplayHelp => return Ok(Parsed::Help(error.to_string())),
            // As argparse does: what is unknown is set aside, other mistakes are reported first.
            ErrorKind::UnknownArgument => match set_aside(&mut words, &text_of(&error, ContextKind::InvalidArg)) {
                Some(word) => unknown.push(word),
                None => return Err(unrecognized(&[text_of(&error, ContextKind::InvalidArg)])),
            },
            _ => return Err(Failure::Usage(reworded(command, &error))),
        }
    }
}

fn unrecognized(words: &[String]) -> Failure {
    Failure::usage(format!("unrecognized arguments: {}", words.join(" ")))
}

/// Takes the word that clap calls `unknown` out of `words`.
fn set_aside(words: &mut Vec<OsString>, unknown: &str) -> Option<String> {
    let same = |word: &OsString| word.to_str().is_some_and(|w| w == unknown);
    let begins = |word: &OsString| {
        let Some(word) = word.to_str() else { return false };
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
    let at = words.iter().rposition(same).or_else(|| words.iter().position(begins))?;
    Some(words.remove(at).to_string_lossy().into_owned())
}

/// Replaces abbreviations of long options by the whole name. Upstream's options come first: what is unique among
/// them stays unique, whatever options of our own there are.
fn spelt_out(command: &Command, words: Vec<OsString>) -> Result<Vec<OsString>, Failure> {
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
        match whole_name(command, name)? {
            Some(whole) if whole != name => spelt.push(format!("--{whole}{rest}").into()),
            _ => spelt.push(word),
        }
    }
    spelt.extend(words);
    Ok(spelt)
}

/// `--name` or `--name=value` as name and rest.
fn long_option(word: &str) -> Option<(&str, &str)> {
    let name = word.strip_prefix("--").filter(|n| !n.is_empty())?;
    let end = name.find('=').unwrap_or(name.len());
    Some(name.split_at(end))
}

/// The long option that `name` is or abbreviates.
fn whole_name<'a>(command: &'a Command, name: &str) -> Result<Option<&'a str>, Failure> {
    let mut upstreams: Vec<(&str, &str)> = Vec::new();
    let mut ours: Vec<(&str, &str)> = Vec::new();
    for arg in command.get_arguments() {
        let fitting = if arg.get_help_heading().is_some() { &mut ours } else { &mut upstreams };
        let aliases = arg.get_all_aliases().unwrap_or_default();
        for long in arg.get_long().into_iter().chain(aliases).filter(|long| long.starts_with(name)) {
            // A whole name is no abbreviation of others, whoever's they are.
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
            [(long, id), others @ ..] if others.iter().all(|(_, other)| other == id) => return Ok(Some(long)),
            several if name.len() >= shortest => {
                let names: Vec<String> = several.iter().map(|(long, _)| format!("--{long}")).collect();
                return Err(Failure::usage(format!("ambiguous option: --{name} could match {}", names.join(", "))));
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
            let by_person = matches.value_source(id.as_str()) == Some(clap::parser::ValueSource::CommandLine);
            let at = matches.indices_of(id.as_str()).and_then(|mut all| all.next()).filter(|_| by_person);
            let arg = command.get_arguments().find(|a| a.get_id() == id);
            given.extend(at.zip(arg));
        }
        given.sort_by_key(|(at, _)| *at);
        // argparse looks at positionals when the options before them have been seen.
        given.sort_by_key(|(_, arg)| arg.is_positional());
        if let [(_, first), (_, second), ..] = given.as_slice() {
            let text = format!("argument {}: not allowed with argument {}", name_of(second), name_of(first));
            return Err(Failure::Usage(text));
        }
    }
    Ok(())
}

/// An argument as argparse names it in errors: `--format/-o`, `VMNAME`.
pub fn name_of(arg: &Arg) -> String {
    let mut names: Vec<String> = Vec::new();
    names.extend(arg.get_long().map(|l| format!("--{l}")));
    names.extend(arg.get_all_aliases().unwrap_or_default().iter().map(|l| format!("--{l}")));
    // An option without a long form of its own is known by the short one.
    let at = if arg.get_long().is_some() { names.len() } else { 0 };
    names.splice(at..at, arg.get_short().map(|s| format!("-{s}")));
    if names.is_empty() { value_name(arg) } else { names.join("/") }
}

/// The usage error of a value that is none of the choices.
pub fn invalid_choice(argument: &str, value: &str, choices: &[&str]) -> Failure {
    let choices: Vec<String> = choices.iter().map(|c| super::failure::quoted(c)).collect();
    let value = super::failure::quoted(value);
    let text = format!("argument {argument}: invalid choice: {value} (choose from {})", choices.join(", "));
    Failure::Usage(text)
}

fn reworded(command: &Command, error: &clap::Error) -> String {
    let about = text_of(error, ContextKind::InvalidArg);
    let arg = command.get_arguments().find(|a| a.to_string() == about);
    let name = arg.map_or_else(|| about.clone(), name_of);
    match error.kind() {
        ErrorKind::MissingRequiredArgument => {
            let names: Vec<&str> = about.split(", ").map(|n| n.trim_matches(['<', '>', '.'])).collect();
            format!("the following arguments are required: {}", names.join(", "))
        }
        ErrorKind::InvalidValue | ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => {
            match arg.and_then(|a| a.get_num_args()).is_some_and(|n| n.max_values() > 1) {
                true => format!("argument {name}: expected at least one argument"),
                false => format!("argument {name}: expected one argument"),
            }
        }
        ErrorKind::TooManyValues => {
            format!("argument {name}: ignored explicit argument '{}'", text_of(error, ContextKind::InvalidValue))
        }
        ErrorKind::InvalidUtf8 => "an argument is not valid UTF-8".to_string(),
        _ => first_line(&error.to_string()),
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_string()
}

fn text_of(error: &clap::Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool() -> Command {
        let command = common("qvm-try")
            .arg(flag("disk", Some('d'), ""))
            .arg(value("format", Some('o'), "FORMAT", ""))
            .arg(value("fields", Some('O'), "FIELD,...", ""))
            .arg(flag("no-spinner", None, ""))
            .arg(greedy("class", "CLASS", ""))
            .arg(value("root-copy-from", None, "FILENAME", ""))
            .arg(the_qube(""))
            .arg(Arg::new("value").value_name("VALUE").allow_negative_numbers(true));
        exclusive(command, "format", &["format", "fields", "disk"])
    }

    fn matches(words: &[&str]) -> ArgMatches {
        match parse(&mut tool(), words.iter().map(OsString::from).collect()) {
            Ok(Parsed::Matches(matches)) => *matches,
            Ok(Parsed::Help(text)) => panic!("{text}"),
            Err(failure) => panic!("{failure:?}"),
        }
    }

    fn mistake(words: &[&str]) -> String {
        match parse(&mut tool(), words.iter().map(OsString::from).collect()) {
            Err(Failure::Usage(text)) => text,
            _ => panic!("{words:?} is accepted"),
        }
    }

    #[test]
    fn options_may_stand_anywhere_and_be_shortened() {
        assert!(matches(&["work", "-d", "5"]).get_flag("disk"));
        assert_eq!(matches(&["--form", "x"]).get_one::<String>("format").unwrap(), "x");
        assert_eq!(matches(&["-ox"]).get_one::<String>("format").unwrap(), "x");
        assert!(matches(&["--no"]).get_flag("no-spinner"), "upstream's options win over --no-wait");
        assert!(
            matches(&["--root", "/mnt"]).contains_id("root"),
            "a whole name of ours is not upstream's --root-copy-from"
        );
        assert_eq!(matches(&["work", "-5"]).get_one::<String>("value").unwrap(), "-5");
        assert_eq!(matches(&["--", "-x"]).get_one::<String>(THE_QUBE).unwrap(), "-x");
        let classes = matches(&["--class", "A", "B"]);
        assert_eq!(classes.get_many::<String>("class").unwrap().count(), 2);
        assert_eq!(verbosity(&matches(&["-qq", "-v"])), 0);
    }

    #[test]
    fn mistakes_are_told_in_the_words_of_argparse() {
        assert_eq!(mistake(&["--zz", "work", "5", "more"]), "unrecognized arguments: --zz more");
        assert_eq!(mistake(&["-d", "-O", "name"]), "argument --fields/-O: not allowed with argument --disk/-d");
        assert_eq!(mistake(&["--format"]), "argument --format/-o: expected one argument");
        assert_eq!(mistake(&["--class"]), "argument --class: expected at least one argument");
        assert_eq!(mistake(&["--fo", "x"]), "ambiguous option: --fo could match --force-root, --format");
    }
}
