//! Options that every tool has or many have, and marks on arguments. `super::command_line` parses
//! them.

use std::path::PathBuf;

use clap::builder::ArgExt;
use clap::{Arg, ArgAction, ArgGroup, Args, Command};

use super::failure::Failure;
use super::hint;
use super::output::{Colors, print_message};
use super::words::find_long;
use crate::system::SystemOptions;

/// The heading of the options that upstream's client tools do not have; they are not part of usage
/// lines, and an abbreviation means upstream's options first.
pub(crate) const COMMON_OPTIONS: &str = "Common options";

/// Another such heading: options that select what is printed and how.
pub const OUTPUT_OPTIONS: &str = "Output options";

/// Whether at most one member of a group may be given.
pub(crate) fn is_exclusive(group: &ArgGroup) -> bool {
    !group.clone().is_multiple()
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
            describe_error: Some(hint::describe),
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

/// The option for colours.
#[derive(Debug, Clone, Copy, Args)]
pub struct ColorOption {
    /// Use colours: auto, always or never (default: auto, which means on a terminal unless NO_COLOR
    /// is set)
    #[arg(long, value_name = "WHEN", value_enum, help_heading = OUTPUT_OPTIONS, add = NotUpstream)]
    color: Option<Colors>,
}

impl ColorOption {
    /// Returns when colours are used.
    pub fn colors(self) -> Colors {
        self.color.unwrap_or_default()
    }
}

/// Returns a command with the options that every tool has, also after the name of a subcommand.
pub fn base_command(name: impl Into<clap::builder::Str>) -> Command {
    let line = Command::new(name)
        .infer_long_args(false)
        .args_override_self(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .version(env!("CARGO_PKG_VERSION"));
    CommonOptions::augment_args(line).mut_args(|arg| arg.global(true))
}

/// Makes `--force` an alias of `--force-write`, unless the tool has a `--force` of its own.
pub fn add_force_alias(line: Command) -> Command {
    if find_long(&line, "force").is_some() {
        line
    } else {
        line.mut_arg("force_write", |arg| arg.alias("force"))
    }
}
