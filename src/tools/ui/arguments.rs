//! Options and arguments of command lines: constructors, and the options that every tool has.
//! `super::command_line` parses them.

use std::path::PathBuf;

use clap::builder::ArgExt;
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Args, Command};

pub use super::command_line::{Parsed, argument_name, invalid_choice, parse};
use super::failure::Failure;
use super::output::{Colors, print_message};
use crate::system::SystemOptions;
use crate::tools::completion::{Completer, Offer};

/// The id of the argument that names the subcommand of a tool. Usage lines show it without
/// brackets.
pub const SUBCOMMAND_ID: &str = "subcommand";

/// The heading of the options that upstream's client tools do not have; they are not part of usage
/// lines, and an abbreviation means upstream's options first.
pub(crate) const COMMON_OPTIONS: &str = "Common options";

/// Another such heading: options that select what is printed and how.
pub const OUTPUT_OPTIONS: &str = "Output options";

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

/// The switch for JSON instead of the tool's own layout.
pub fn json_flag() -> Arg {
    output_option(flag("json", None, "Print JSON"))
}

/// Puts an option that upstream does not have under the heading of output options.
pub fn output_option(arg: Arg) -> Arg {
    arg.help_heading(OUTPUT_OPTIONS).add(NotUpstream)
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
    group.get_id().as_str().starts_with(EXCLUSIVE) || !group.clone().is_multiple()
}

/// Marks an option that upstream's client tools do not have: it is not part of usage lines, and an
/// abbreviation means upstream's options first.
#[derive(Debug, Clone, Copy)]
pub struct NotUpstream;

impl ArgExt for NotUpstream {}

/// Marks an argument that a command requires itself, because some options make it needless; usage
/// lines show it as required.
#[derive(Debug, Clone, Copy)]
pub struct RequiredByCommand;

impl ArgExt for RequiredByCommand {}

/// Whether upstream's tool has this option too.
pub fn is_upstream(arg: &Arg) -> bool {
    arg.get::<NotUpstream>().is_none()
}

/// Whether every command has this option.
pub fn is_common(arg: &Arg) -> bool {
    arg.get_help_heading() == Some(COMMON_OPTIONS)
}

/// The options that every command has; `qubes(7)` describes them.
#[derive(Debug, Clone, Default, Args)]
pub struct CommonOptions {
    /// Report each step of a change; -vv also reports each program that is run
    #[arg(long, short, action = ArgAction::Count, help_heading = COMMON_OPTIONS)]
    pub verbose: u8,
    /// Print fewer messages (can be repeated)
    #[arg(long, short, action = ArgAction::Count, help_heading = COMMON_OPTIONS)]
    pub quiet: u8,
    /// Show this help
    #[arg(long, short, action = ArgAction::Help, help_heading = COMMON_OPTIONS)]
    help: Option<bool>,
    /// Show the version
    #[arg(long, action = ArgAction::Version, help_heading = COMMON_OPTIONS)]
    version: Option<bool>,
    /// Accepted for compatibility, without effect
    #[arg(long, hide = true)]
    pub force_root: bool,
    /// Work on qubes.xml only and never contact the hypervisor
    #[arg(long, help_heading = COMMON_OPTIONS, add = NotUpstream)]
    pub offline_mode: bool,
    /// Use this store (default: /var/lib/qubes/qubes.xml)
    #[arg(long, value_name = "FILE", help_heading = COMMON_OPTIONS, add = NotUpstream)]
    pub qubesxml: Option<PathBuf>,
    /// Prefix every built-in path with DIR
    #[arg(long, value_name = "DIR", help_heading = COMMON_OPTIONS, add = NotUpstream)]
    pub root: Option<PathBuf>,
    /// Fail instead of waiting while another process writes qubes.xml
    #[arg(long, help_heading = COMMON_OPTIONS, add = NotUpstream)]
    pub no_wait: bool,
    /// Write even while qubesd runs and owns qubes.xml
    #[arg(long, help_heading = COMMON_OPTIONS, add = NotUpstream)]
    pub force_write: bool,
}

impl CommonOptions {
    /// Returns the options that say which system to work on.
    pub fn system_options(&self) -> SystemOptions {
        SystemOptions {
            root: self.root.clone(),
            qubesxml: self.qubesxml.clone(),
            offline: self.offline_mode,
            no_wait: self.no_wait,
            force: self.force_write,
            notify: Some(print_message),
            verbosity: self.verbose,
        }
    }

    /// Returns the verbosity: 1 by default, one more for each `-v`, one less for each `-q`.
    pub fn verbosity(&self) -> i32 {
        1 + i32::from(self.verbose) - i32::from(self.quiet)
    }
}

/// The switch for JSON instead of the tool's own layout.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct JsonOption {
    /// Print JSON
    #[arg(long, help_heading = OUTPUT_OPTIONS, add = NotUpstream)]
    pub json: bool,
}

impl JsonOption {
    /// Refuses `--json` for a change, which prints nothing.
    ///
    /// # Errors
    /// A usage error.
    pub fn refuse(self, what: &str) -> Result<(), Failure> {
        match self.json {
            true => Err(Failure::usage(format!(
                "argument --json: {what} prints nothing"
            ))),
            false => Ok(()),
        }
    }
}

/// Returns a command with the options that every tool has.
pub fn base_command(name: impl Into<clap::builder::Str>) -> Command {
    let line = Command::new(name)
        .infer_long_args(false)
        .args_override_self(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .version(env!("CARGO_PKG_VERSION"));
    CommonOptions::augment_args(line)
}

/// Makes `--force` an alias of `--force-write`, unless the tool has a `--force` of its own.
pub fn add_force_alias(line: Command) -> Command {
    let has_its_own = line
        .get_arguments()
        .any(|arg| arg.get_long() == Some("force"));
    if has_its_own {
        line
    } else {
        line.mut_arg("force_write", |arg| arg.alias("force"))
    }
}
