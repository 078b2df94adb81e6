//! Options and arguments of command lines: constructors, and the options that every tool has.
//! `super::command_line` parses them.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};

pub use super::command_line::{Parsed, argument_name, invalid_choice, parse};
use super::failure::Failure;
use super::output::Colors;
use crate::system;
use crate::tools::completion::{self, Completer, Offer};

/// The id of the qube that a tool works on. Options that only print help make it needless, so the
/// tool itself requires it with [`required_value`]; usage lines show it as required.
pub const QUBE_ID: &str = "qube-name";

/// The id of the name of a clone, required in the same way.
pub const CLONE_NAME_ID: &str = "clone-name";

/// The id of a size, required in the same way.
pub const SIZE_ID: &str = "new-size";

/// The id of the argument that names the subcommand of a tool. Usage lines show it without
/// brackets.
pub const SUBCOMMAND_ID: &str = "subcommand";

/// The heading of the options that upstream's client tools do not have; they are not part of usage
/// lines, and an abbreviation means upstream's options first.
pub(crate) const COMMON_OPTIONS: &str = "Common options";

/// Another such heading: options that select what is printed and how.
pub(crate) const OUTPUT_OPTIONS: &str = "Output options";

/// The prefix of the ids of groups whose members exclude each other.
const EXCLUSIVE: &str = "only-one-";

/// A switch.
pub fn flag(long: &'static str, short: Option<char>, help: &'static str) -> Arg {
    Arg::new(long)
        .long(long)
        .short(short)
        .action(ArgAction::SetTrue)
        .help(help)
}

/// An option with one value.
pub fn value(
    long: &'static str,
    short: Option<char>,
    value: &'static str,
    help: &'static str,
) -> Arg {
    Arg::new(long)
        .long(long)
        .short(short)
        .value_name(value)
        .action(ArgAction::Set)
        .help(help)
}

/// An option that takes every argument up to the next option.
pub fn multi_value(long: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(long)
        .long(long)
        .value_name(value)
        .action(ArgAction::Append)
        .num_args(1..)
        .help(help)
}

/// The switch that removes a setting, with its aliases.
pub fn unset_flag(help: &'static str) -> Arg {
    flag("unset", Some('D'), help).visible_aliases(["default", "delete"])
}

/// The argument with the id [`QUBE_ID`].
pub fn qube_argument(help: &'static str) -> Arg {
    Arg::new(QUBE_ID)
        .value_name("VMNAME")
        .help(help)
        .add(completion::QUBES)
}

/// The switch for JSON instead of the tool's own layout.
pub fn json_flag() -> Arg {
    flag("json", None, "Print JSON").help_heading(OUTPUT_OPTIONS)
}

/// Puts an option that upstream does not have under the heading of output options.
pub fn output_option(arg: Arg) -> Arg {
    arg.help_heading(OUTPUT_OPTIONS)
}

/// The option `--color`.
pub fn color_option() -> Arg {
    let help = "Use colours: auto, always or never (default: auto, which means on a terminal \
                unless NO_COLOR is set)";
    let words = Completer(|_| Offer::words(["auto", "always", "never"]));
    output_option(value("color", None, "WHEN", help)).add(words)
}

/// Returns the value of [`color_option`].
pub fn color_choice(matches: &ArgMatches) -> Result<Colors, Failure> {
    match matches.get_one::<String>("color").map(String::as_str) {
        None | Some("auto") => Ok(Colors::Auto),
        Some("always") => Ok(Colors::Always),
        Some("never") => Ok(Colors::Never),
        Some(other) => Err(invalid_choice(
            "--color",
            other,
            &["auto", "always", "never"],
        )),
    }
}

/// A switch of an earlier release that scripts still give. Nobody learns it from us, and an
/// abbreviation never means it where it can mean another option.
pub fn legacy_flag(long: &'static str, help: &'static str) -> Arg {
    flag(long, None, help)
        .help_heading(COMMON_OPTIONS)
        .hide(true)
}

/// Returns the value of a required argument.
pub fn required_value<'a>(
    matches: &'a ArgMatches,
    id: &str,
    name: &str,
) -> Result<&'a str, Failure> {
    let value = matches.get_one::<String>(id).map(String::as_str);
    value.ok_or_else(|| Failure::usage(format!("the following arguments are required: {name}")))
}

/// Declares that at most one of `members` may be given.
pub fn mutually_exclusive(command: Command, name: &str, members: &[&'static str]) -> Command {
    let group = ArgGroup::new(format!("{EXCLUSIVE}{name}"))
        .args(members.iter().copied())
        .multiple(true);
    command.group(group)
}

pub(crate) fn is_exclusive(group: &ArgGroup) -> bool {
    group.get_id().as_str().starts_with(EXCLUSIVE)
}

/// Returns a command with the options that every tool has.
pub fn base_command(name: impl Into<clap::builder::Str>) -> Command {
    let ours = |arg: Arg| arg.help_heading(COMMON_OPTIONS);
    Command::new(name)
        .infer_long_args(false)
        .args_override_self(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(
            flag(
                "verbose",
                Some('v'),
                "Report each step of a change; -vv also reports each program that is run",
            )
            .action(ArgAction::Count),
        )
        .arg(
            flag("quiet", Some('q'), "Print fewer messages (can be repeated)")
                .action(ArgAction::Count),
        )
        .arg(flag("help", Some('h'), "Show this help").action(ArgAction::Help))
        .arg(flag("version", None, "Show the version"))
        .arg(
            flag(
                "force-root",
                None,
                "Accepted for compatibility, without effect",
            )
            .hide(true),
        )
        .arg(ours(flag(
            "offline-mode",
            None,
            "Work on qubes.xml only and never contact the hypervisor",
        )))
        .arg(ours(path(
            "qubesxml",
            "FILE",
            "Use this store (default: /var/lib/qubes/qubes.xml)",
        )))
        .arg(ours(path(
            "root",
            "DIR",
            "Prefix every built-in path with DIR",
        )))
        .arg(ours(flag(
            "no-wait",
            None,
            "Fail instead of waiting while another process writes qubes.xml",
        )))
        .arg(ours(flag(
            "force-write",
            None,
            "Write even while qubesd runs and owns qubes.xml",
        )))
}

/// Makes `--force` an alias of `--force-write`, unless the tool has a `--force` of its own.
pub fn add_force_alias(line: Command) -> Command {
    let has_its_own = line
        .get_arguments()
        .any(|arg| arg.get_long() == Some("force"));
    if has_its_own {
        line
    } else {
        line.mut_arg("force-write", |arg| arg.alias("force"))
    }
}

fn path(long: &'static str, name: &'static str, help: &'static str) -> Arg {
    value(long, None, name, help).value_parser(value_parser!(PathBuf))
}

/// Returns the common options that say which system to work on.
pub fn system_options(matches: &ArgMatches) -> system::SystemOptions {
    system::SystemOptions {
        root: matches.get_one::<PathBuf>("root").cloned(),
        qubesxml: matches.get_one::<PathBuf>("qubesxml").cloned(),
        offline: matches.get_flag("offline-mode"),
        no_wait: matches.get_flag("no-wait"),
        force: matches.get_flag("force-write"),
        notify: Some(super::output::print_message),
        verbosity: matches.get_count("verbose"),
    }
}

/// Returns the verbosity: 1 by default, one more for each `-v`, one less for each `-q`.
pub fn verbosity(matches: &ArgMatches) -> i32 {
    1 + i32::from(matches.get_count("verbose")) - i32::from(matches.get_count("quiet"))
}
