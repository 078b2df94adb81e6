//! The command-line tools: one file per command with its arguments and its output. [`COMMANDS`]
//! lists them all; completions, manual pages and the multicall program are made from that list.

mod commands;
pub mod completion;
pub mod generate;
mod manual;
pub mod multicall;
mod r3;
pub mod schemas;
pub mod ui;

use std::ffi::OsString;
use std::process::ExitCode;

use commands::*;
use nix::sys::signal::{SigSet, Signal};
use r3::{add_appvm, add_template, create_default_dvm, grow, init_storage, template_changes};
use ui::arguments::{self, Parsed};
use ui::failure::Failure;
use ui::invocation::Invocation;
use ui::output::{self, Output, print_message, print_usage_error};
use ui::usage;

use crate::system::SystemOptions;

/// One command.
pub struct Command {
    /// The program's name.
    pub name: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// Adds its own arguments to the common ones.
    pub define: fn(clap::Command) -> clap::Command,
    /// Runs it and returns the exit code.
    pub run: fn(&mut Invocation) -> Result<u8, Failure>,
    /// Whether other programs of ours start it, so that lists for people leave it out.
    pub hidden: bool,
    /// Returns the help of the subcommand that a word names (`qvm-pool add --help`).
    pub subcommand_help: fn(&str) -> Option<String>,
}

/// `qubes-create`
pub const QUBES_CREATE: Command = Command::new(
    "qubes-create",
    "Create a new store with dom0",
    qubes_create::define,
    qubes_create::run,
);
/// `qubes-db`
pub const QUBES_DB: Command = Command::new(
    "qubes-db",
    "Check, repair, compare and restore the store",
    db::define,
    db::run,
)
.with_subcommands(db::command_help);
/// `qubes-domain-xml`
pub const QUBES_DOMAIN_XML: Command = Command::new(
    "qubes-domain-xml",
    "Print the libvirt XML of a qube's domain",
    domain_xml::define,
    domain_xml::run,
);
/// `qubes-monitor`
pub const QUBES_MONITOR: Command = Command::new(
    "qubes-monitor",
    "Watch a running qube and finish its stop",
    monitor::define,
    monitor::run,
)
.hidden();
/// `qubes-prefs`
pub const QUBES_PREFS: Command = Command::new(
    "qubes-prefs",
    "Show or change properties of the system",
    prefs::define_for_system,
    prefs::run_for_system,
);
/// `qubes-recover`
pub const QUBES_RECOVER: Command = Command::new(
    "qubes-recover",
    "Reconcile qubes after a crash",
    recover::define,
    recover::run,
);
/// `qubes-set-updates`
pub const QUBES_SET_UPDATES: Command = Command::new(
    "qubes-set-updates",
    "Switch the search for updates on or off",
    set_updates::define,
    set_updates::run,
);
/// `qvm-add-appvm`
pub const QVM_ADD_APPVM: Command = Command::new(
    "qvm-add-appvm",
    "Register an AppVM whose private image already exists",
    add_appvm::define,
    add_appvm::run,
);
/// `qvm-add-template`
pub const QVM_ADD_TEMPLATE: Command = Command::new(
    "qvm-add-template",
    "Register a template whose images already exist",
    add_template::define,
    add_template::run,
);
/// `qvm-check`
pub const QVM_CHECK: Command = Command::new(
    "qvm-check",
    "Check whether qubes exist, run or are templates",
    check::define,
    check::run,
);
/// `qvm-clone`
pub const QVM_CLONE: Command = Command::new("qvm-clone", "Clone a qube", clone::define, clone::run);
/// `qvm-create`
pub const QVM_CREATE: Command =
    Command::new("qvm-create", "Create a qube", create::define, create::run);
/// `qvm-create-default-dvm`
pub const QVM_CREATE_DEFAULT_DVM: Command = Command::new(
    "qvm-create-default-dvm",
    "Create the default template of disposables",
    create_default_dvm::define,
    create_default_dvm::run,
);
/// `qvm-features`
pub const QVM_FEATURES: Command = Command::new(
    "qvm-features",
    "Show or change features of a qube",
    features::define,
    features::run,
);
/// `qvm-grow-private`
pub const QVM_GROW_PRIVATE: Command = Command::new(
    "qvm-grow-private",
    "Extend the private volume of a qube",
    grow::define_private,
    grow::run_private,
);
/// `qvm-grow-root`
pub const QVM_GROW_ROOT: Command = Command::new(
    "qvm-grow-root",
    "Extend the root volume of a qube",
    grow::define_root,
    grow::run_root,
);
/// `qvm-init-storage`
pub const QVM_INIT_STORAGE: Command = Command::new(
    "qvm-init-storage",
    "Create a new store with dom0",
    init_storage::define,
    init_storage::run,
);
/// `qvm-kill`
pub const QVM_KILL: Command = Command::new(
    "qvm-kill",
    "Kill qubes without a shutdown",
    kill::define,
    kill::run,
);
/// `qvm-ls`
pub const QVM_LS: Command = Command::new("qvm-ls", "List qubes", ls::define, ls::run);
/// `qvm-notes`
pub const QVM_NOTES: Command = Command::new(
    "qvm-notes",
    "Show or edit the notes about a qube",
    notes::define,
    notes::run,
);
/// `qvm-pause`
pub const QVM_PAUSE: Command = Command::new(
    "qvm-pause",
    "Pause or suspend qubes",
    pause::define,
    pause::run,
);
/// `qvm-pool`
pub const QVM_POOL: Command = Command::new(
    "qvm-pool",
    "List and change storage pools",
    pool::define,
    pool::run,
)
.with_subcommands(pool::subcommand_help);
/// `qvm-prefs`
pub const QVM_PREFS: Command = Command::new(
    "qvm-prefs",
    "Show or change properties of qubes",
    prefs::define_for_qube,
    prefs::run_for_qube,
);
/// `qvm-remove`
pub const QVM_REMOVE: Command = Command::new(
    "qvm-remove",
    "Remove qubes with their volumes",
    remove::define,
    remove::run,
);
/// `qvm-revert-template-changes`
pub const QVM_REVERT_TEMPLATE_CHANGES: Command = Command::new(
    "qvm-revert-template-changes",
    "Revert the root volume of a template",
    template_changes::define_revert,
    template_changes::revert,
);
/// `qvm-service`
pub const QVM_SERVICE: Command = Command::new(
    "qvm-service",
    "Show or change services of a qube",
    service::define,
    service::run,
);
/// `qvm-shutdown`
pub const QVM_SHUTDOWN: Command = Command::new(
    "qvm-shutdown",
    "Shut down qubes",
    shutdown::define,
    shutdown::run,
);
/// `qvm-start`
pub const QVM_START: Command = Command::new("qvm-start", "Start qubes", start::define, start::run);
/// `qvm-tags`
pub const QVM_TAGS: Command = Command::new(
    "qvm-tags",
    "Show or change tags of a qube",
    tags::define,
    tags::run,
)
.with_subcommands(tags::subcommand_help);
/// `qvm-template-commit`
pub const QVM_TEMPLATE_COMMIT: Command = Command::new(
    "qvm-template-commit",
    "Commit the root volume of a halted template",
    template_changes::define,
    template_changes::commit,
);
/// `qvm-template-postprocess`
pub const QVM_TEMPLATE_POSTPROCESS: Command = Command::new(
    "qvm-template-postprocess",
    "Install or remove the template of a package",
    template_postprocess::define,
    template_postprocess::run,
);
/// `qvm-unpause`
pub const QVM_UNPAUSE: Command = Command::new(
    "qvm-unpause",
    "Resume paused or suspended qubes",
    pause::define_unpause,
    pause::run_unpause,
);

/// `qvm-trim-template`
pub const QVM_TRIM_TEMPLATE: Command = Command::new(
    "qvm-trim-template",
    "Free the unused blocks of a template's root volume",
    template_changes::define,
    template_changes::trim,
);
/// `qvm-volume`
pub const QVM_VOLUME: Command = Command::new(
    "qvm-volume",
    "List and change volumes of qubes",
    volume::define,
    volume::run,
)
.with_subcommands(volume::subcommand_help);

/// Every command, in alphabetical order. Each also has a constant of its own, so that the program
/// of one command does not contain the others.
pub const COMMANDS: &[Command] = &[
    QUBES_CREATE,
    QUBES_DB,
    QUBES_DOMAIN_XML,
    QUBES_MONITOR,
    QUBES_PREFS,
    QUBES_RECOVER,
    QUBES_SET_UPDATES,
    QVM_ADD_APPVM,
    QVM_ADD_TEMPLATE,
    QVM_CHECK,
    QVM_CLONE,
    QVM_CREATE,
    QVM_CREATE_DEFAULT_DVM,
    QVM_FEATURES,
    QVM_GROW_PRIVATE,
    QVM_GROW_ROOT,
    QVM_INIT_STORAGE,
    QVM_KILL,
    QVM_LS,
    QVM_NOTES,
    QVM_PAUSE,
    QVM_POOL,
    QVM_PREFS,
    QVM_REMOVE,
    QVM_REVERT_TEMPLATE_CHANGES,
    QVM_SERVICE,
    QVM_SHUTDOWN,
    QVM_START,
    QVM_TAGS,
    QVM_TEMPLATE_COMMIT,
    QVM_TEMPLATE_POSTPROCESS,
    QVM_TRIM_TEMPLATE,
    QVM_UNPAUSE,
    QVM_VOLUME,
];

/// A command without the function that runs it. The program for completion knows every command but
/// contains none.
#[derive(Clone, Copy)]
pub struct CommandDefinition {
    /// The program's name.
    pub name: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// Adds its own arguments to the common ones.
    pub define: fn(clap::Command) -> clap::Command,
    /// Whether lists for people leave it out.
    pub hidden: bool,
}

/// The definition of every command, in alphabetical order.
pub static DEFINITIONS: [CommandDefinition; COMMANDS.len()] = {
    let mut definitions = [COMMANDS[0].definition(); COMMANDS.len()];
    let mut at = 0;
    while at < COMMANDS.len() {
        definitions[at] = COMMANDS[at].definition();
        at += 1;
    }
    definitions
};

impl CommandDefinition {
    /// Returns the command line with the common options.
    pub fn clap_command(&self) -> clap::Command {
        let line = (self.define)(arguments::base_command(self.name))
            .about(self.about)
            .hide(self.hidden);
        arguments::add_force_alias(line)
    }
}

impl Command {
    const fn new(
        name: &'static str,
        about: &'static str,
        define: fn(clap::Command) -> clap::Command,
        run: fn(&mut Invocation) -> Result<u8, Failure>,
    ) -> Command {
        Command {
            name,
            about,
            define,
            run,
            hidden: false,
            subcommand_help: |_| None,
        }
    }

    const fn hidden(self) -> Command {
        Command {
            hidden: true,
            ..self
        }
    }

    const fn with_subcommands(self, subcommand_help: fn(&str) -> Option<String>) -> Command {
        Command {
            subcommand_help,
            ..self
        }
    }

    /// Returns the command of this name.
    pub fn find(name: &str) -> Option<&'static Command> {
        COMMANDS.iter().find(|c| c.name == name)
    }

    const fn definition(&self) -> CommandDefinition {
        CommandDefinition {
            name: self.name,
            about: self.about,
            define: self.define,
            hidden: self.hidden,
        }
    }

    /// Returns the command line with the common options.
    pub fn clap_command(&self) -> clap::Command {
        self.definition().clap_command()
    }
}

/// Runs one command with the arguments of the process.
pub fn main(command: &'static Command) -> ExitCode {
    run(command, std::env::args_os().skip(1).collect())
}

/// Blocks SIGXFSZ, which would end a process that exceeds its file size limit (`ulimit -f`). The
/// write fails instead, and the command reports it.
fn block_file_size_signal() {
    let mut held = SigSet::empty();
    held.add(Signal::SIGXFSZ);
    // Fails only for an invalid argument.
    let _held = held.thread_block();
}

/// Runs one command with these arguments, which do not include its name.
pub fn run(command: &'static Command, words: Vec<OsString>) -> ExitCode {
    block_file_size_signal();
    let mut line = command.clap_command();
    let mut out = Output::new();
    let mut options = Some(SystemOptions::default());
    let given = words.clone();
    let result = match arguments::parse(&mut line, words) {
        Ok(Parsed::Help(text)) => {
            let of_command = given
                .iter()
                .filter_map(|word| word.to_str())
                .find_map(command.subcommand_help);
            out.text(&of_command.unwrap_or(text)).map(|()| 0)
        }
        Ok(Parsed::Matches(matches)) if matches.get_flag("version") => {
            out.text(&version(command.name)).map(|()| 0)
        }
        Ok(Parsed::Matches(matches)) => {
            let mut invocation = Invocation {
                command,
                matches: *matches,
                out,
            };
            let result = (command.run)(&mut invocation);
            options = invocation
                .is_talkative()
                .then(|| arguments::system_options(&invocation.matches));
            out = invocation.out;
            result
        }
        Err(failure) => Err(failure),
    };
    // Output that was printed before a failure is written too.
    let result = out.flush().and(result);
    ExitCode::from(match result {
        Ok(code) => code,
        Err(failure) => report_failure(command.name, &line, failure, options.as_ref()),
    })
}

/// Prints why a command failed and returns its exit code. Hints read the store, so they need its
/// options; `None` suppresses them.
fn report_failure(
    name: &str,
    line: &clap::Command,
    failure: Failure,
    options: Option<&SystemOptions>,
) -> u8 {
    match failure {
        Failure::Usage(text) => {
            print_usage_error(&usage::usage(line), &format!("{name}: error: {text}"));
            2
        }
        Failure::Error(text) => {
            print_message(&format!("{name}: error: {text}"));
            1
        }
        Failure::AlreadyReported(code) => code,
        // The exit code of a process that SIGPIPE ended; Rust programs ignore the signal.
        Failure::BrokenPipe => 128 + 13,
        Failure::Hinted(failure, hint) if hint.is_inline() => {
            let failure = match (
                *failure,
                hint.render(name, options.unwrap_or(&SystemOptions::default())),
            ) {
                (Failure::Error(text), Some(words)) => Failure::Error(format!("{text}; {words}")),
                (failure, _) => failure,
            };
            report_failure(name, line, failure, None)
        }
        Failure::Hinted(failure, hint) => {
            let code = report_failure(name, line, *failure, None);
            if let Some(words) = options.and_then(|options| hint.render(name, options)) {
                output::print_hint(&words);
            }
            code
        }
    }
}

/// Returns what `--version` prints.
fn version(name: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!("{name} (Qubes OS management core) {version}\nLicense: LGPL-2.1-or-later\n")
}
