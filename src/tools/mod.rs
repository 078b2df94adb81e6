//! One file per command: its arguments, its glue, its output. [`COMMANDS`] lists them all;
//! completions, man pages and the multicall program come from it.

mod add_appvm;
mod add_template;
pub mod arguments;
mod candidates;
mod check;
mod clone;
mod command_line;
pub mod complete;
mod create;
mod create_default_dvm;
mod damage_scan;
mod db;
mod domain_xml;
pub mod failure;
mod features;
mod filter_terms;
pub mod generate;
mod grow;
mod hint;
mod images;
mod init_storage;
pub mod invocation;
mod kill;
mod label_color;
mod ls;
mod monitor;
pub mod multicall;
mod notes;
pub mod output;
mod pause;
mod pool;
mod prefs;
mod progress;
mod qubes_create;
mod r3_list;
mod r3_prefs;
mod recover;
mod remove;
pub mod schemas;
pub mod selection;
mod service;
mod set_updates;
mod shutdown;
mod size;
mod start;
mod subcommand;
mod suggestion;
pub mod table;
mod tags;
mod template_changes;
mod template_postprocess;
pub mod usage;
pub mod values;
mod volume;

use std::ffi::OsString;
use std::process::ExitCode;

use arguments::Parsed;
use failure::Failure;
use invocation::Invocation;
use nix::sys::signal::{SigSet, Signal};
use output::{Output, print_message, print_usage_error};

use crate::system::Options;

/// One command.
pub struct Command {
    /// The program's name.
    pub name: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// Adds its own arguments to the common ones.
    pub define: fn(clap::Command) -> clap::Command,
    /// Does it. The number is the exit code.
    pub run: fn(&mut Invocation) -> Result<u8, Failure>,
    /// Not for people: started by other programs of ours.
    pub hidden: bool,
    /// Further sections of its manual page: heading and text.
    pub more: fn() -> Vec<(&'static str, String)>,
    /// The help of one of its commands, where it has several (`qvm-pool add`).
    pub subcommand_help: fn(&str) -> Option<String>,
}

/// `qubes-create`
pub const QUBES_CREATE: Command = Command::new(
    "qubes-create",
    "Make a new store with dom0",
    qubes_create::define,
    qubes_create::run,
);
/// `qubes-db`
pub const QUBES_DB: Command = Command::new(
    "qubes-db",
    "Check the store, compare it with its copies, go back to one",
    db::define,
    db::run,
)
.with_manual(db::manual)
.with_commands(db::command_help);
/// `qubes-domain-xml`
pub const QUBES_DOMAIN_XML: Command = Command::new(
    "qubes-domain-xml",
    "Print the description of a qube's domain, made from its template",
    domain_xml::define,
    domain_xml::run,
)
.with_manual(domain_xml::manual);
/// `qubes-monitor`
pub const QUBES_MONITOR: Command = Command::new(
    "qubes-monitor",
    "Watch one running qube",
    monitor::define,
    monitor::run,
)
.hidden();
/// `qubes-prefs`
pub const QUBES_PREFS: Command = Command::new(
    "qubes-prefs",
    "Properties of the system",
    prefs::define_for_system,
    prefs::run_for_system,
)
.with_manual(prefs::manual_of_system);
/// `qubes-recover`
pub const QUBES_RECOVER: Command = Command::new(
    "qubes-recover",
    "Bring qubes into order after a crash",
    recover::define,
    recover::run,
);
/// `qubes-set-updates`
pub const QUBES_SET_UPDATES: Command = Command::new(
    "qubes-set-updates",
    "Say whether dom0 and qubes look for updates",
    set_updates::define,
    set_updates::run,
);
/// `qvm-add-appvm`
pub const QVM_ADD_APPVM: Command = Command::new(
    "qvm-add-appvm",
    "Make a qube known whose image is there",
    add_appvm::define,
    add_appvm::run,
);
/// `qvm-add-template`
pub const QVM_ADD_TEMPLATE: Command = Command::new(
    "qvm-add-template",
    "Make a template known whose images are there",
    add_template::define,
    add_template::run,
);
/// `qvm-check`
pub const QVM_CHECK: Command = Command::new(
    "qvm-check",
    "Tell whether qubes exist, run, are templates",
    check::define,
    check::run,
)
.with_manual(check::manual);
/// `qvm-clone`
pub const QVM_CLONE: Command = Command::new(
    "qvm-clone",
    "Make a copy of a qube",
    clone::define,
    clone::run,
)
.with_manual(clone::manual);
/// `qvm-create`
pub const QVM_CREATE: Command =
    Command::new("qvm-create", "Create a qube", create::define, create::run);
/// `qvm-create-default-dvm`
pub const QVM_CREATE_DEFAULT_DVM: Command = Command::new(
    "qvm-create-default-dvm",
    "Make what disposables are made from",
    create_default_dvm::define,
    create_default_dvm::run,
);
/// `qvm-features`
pub const QVM_FEATURES: Command = Command::new(
    "qvm-features",
    "Features of a qube",
    features::define,
    features::run,
);
/// `qvm-grow-private`
pub const QVM_GROW_PRIVATE: Command = Command::new(
    "qvm-grow-private",
    "Make a qube's private volume larger",
    grow::define_private,
    grow::run_private,
);
/// `qvm-grow-root`
pub const QVM_GROW_ROOT: Command = Command::new(
    "qvm-grow-root",
    "Make a qube's root volume larger",
    grow::define_root,
    grow::run_root,
);
/// `qvm-init-storage`
pub const QVM_INIT_STORAGE: Command = Command::new(
    "qvm-init-storage",
    "Make a new store with dom0",
    init_storage::define,
    init_storage::run,
);
/// `qvm-kill`
pub const QVM_KILL: Command =
    Command::new("qvm-kill", "End qubes at once", kill::define, kill::run);
/// `qvm-ls`
pub const QVM_LS: Command =
    Command::new("qvm-ls", "List qubes", ls::define, ls::run).with_manual(ls::manual);
/// `qvm-notes`
pub const QVM_NOTES: Command =
    Command::new("qvm-notes", "Notes about a qube", notes::define, notes::run)
        .with_manual(notes::manual);
/// `qvm-pause`
pub const QVM_PAUSE: Command = Command::new(
    "qvm-pause",
    "Pause or suspend qubes",
    pause::define,
    pause::run,
);
/// `qvm-pool`
pub const QVM_POOL: Command = Command::new("qvm-pool", "Storage pools", pool::define, pool::run)
    .with_manual(pool::manual)
    .with_commands(pool::subcommand_help);
/// `qvm-prefs`
pub const QVM_PREFS: Command = Command::new(
    "qvm-prefs",
    "Properties of a qube",
    prefs::define_for_qube,
    prefs::run_for_qube,
)
.with_manual(prefs::manual_of_qube);
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
    "Undo the last change of a template",
    template_changes::define_revert,
    template_changes::revert,
);
/// `qvm-service`
pub const QVM_SERVICE: Command = Command::new(
    "qvm-service",
    "Services of a qube",
    service::define,
    service::run,
);
/// `qvm-shutdown`
pub const QVM_SHUTDOWN: Command = Command::new(
    "qvm-shutdown",
    "Ask qubes to shut down",
    shutdown::define,
    shutdown::run,
);
/// `qvm-start`
pub const QVM_START: Command = Command::new("qvm-start", "Start qubes", start::define, start::run);
/// `qvm-tags`
pub const QVM_TAGS: Command = Command::new("qvm-tags", "Tags of a qube", tags::define, tags::run)
    .with_manual(tags::manual)
    .with_commands(tags::subcommand_help);
/// `qvm-template-commit`
pub const QVM_TEMPLATE_COMMIT: Command = Command::new(
    "qvm-template-commit",
    "Commit what a halted template wrote",
    template_changes::define,
    template_changes::commit,
);
/// `qvm-template-postprocess`
pub const QVM_TEMPLATE_POSTPROCESS: Command = Command::new(
    "qvm-template-postprocess",
    "Take over what a template's package brought",
    template_postprocess::define,
    template_postprocess::run,
);
/// `qvm-unpause`
pub const QVM_UNPAUSE: Command = Command::new(
    "qvm-unpause",
    "Let paused qubes go on, wake suspended ones",
    pause::define_unpause,
    pause::run_unpause,
);

/// `qvm-trim-template`
pub const QVM_TRIM_TEMPLATE: Command = Command::new(
    "qvm-trim-template",
    "Give back room that a template's root volume does not need",
    template_changes::define,
    template_changes::trim,
)
.with_manual(template_changes::manual_of_trim);
/// `qvm-volume`
pub const QVM_VOLUME: Command = Command::new(
    "qvm-volume",
    "Volumes of qubes",
    volume::define,
    volume::run,
)
.with_manual(volume::manual)
.with_commands(volume::subcommand_help);

/// Every command, in alphabetical order. Each has its constant, so that a program that is one
/// command holds only that.
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

/// What is known of a command without being able to do it. A program that knows all of these is
/// small.
#[derive(Clone, Copy)]
pub struct CommandDefinition {
    /// See [`Command`].
    pub name: &'static str,
    pub about: &'static str,
    pub define: fn(clap::Command) -> clap::Command,
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
    /// The command line, with the common options.
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
            more: Vec::new,
            subcommand_help: |_| None,
        }
    }

    const fn hidden(self) -> Command {
        Command {
            hidden: true,
            ..self
        }
    }

    const fn with_manual(self, more: fn() -> Vec<(&'static str, String)>) -> Command {
        Command { more, ..self }
    }

    const fn with_commands(self, subcommand_help: fn(&str) -> Option<String>) -> Command {
        Command {
            subcommand_help,
            ..self
        }
    }

    /// The command of this name.
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

    /// Its command line, with the common options.
    pub fn clap_command(&self) -> clap::Command {
        self.definition().clap_command()
    }
}

/// The whole of a program that is one command: what it is to do comes from the process.
pub fn main(command: &'static Command) -> ExitCode {
    run(command, std::env::args_os().skip(1).collect())
}

/// Holds back the signal that ends a process which writes beyond the longest file it may have
/// (`ulimit -f`): the write fails then, and the command says so.
fn block_file_size_signal() {
    let mut held = SigSet::empty();
    held.add(Signal::SIGXFSZ);
    // Fails only for a set that does not exist.
    let _held = held.thread_block();
}

/// Runs one command with these words, its name not among them.
pub fn run(command: &'static Command, words: Vec<OsString>) -> ExitCode {
    block_file_size_signal();
    let mut line = command.clap_command();
    let mut out = Output::new();
    let mut options = Some(Options::default());
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
    // What was printed before a failure belongs to the person as well.
    let result = out.flush().and(result);
    ExitCode::from(match result {
        Ok(code) => code,
        Err(failure) => report_failure(command.name, &line, failure, options.as_ref()),
    })
}

/// Says why a command failed and returns its exit code. Hints need the options that say where the
/// store is; without them nobody wants a hint.
fn report_failure(
    name: &str,
    line: &clap::Command,
    failure: Failure,
    options: Option<&Options>,
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
        // As if the signal that Rust programs ignore had ended it.
        Failure::BrokenPipe => 128 + 13,
        Failure::Hinted(failure, hint) if hint.is_inline() => {
            let failure = match (
                *failure,
                hint.render(name, options.unwrap_or(&Options::default())),
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

/// What `--version` prints.
fn version(name: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!("{name} (Qubes OS management core) {version}\nLicense: LGPL-2.1-or-later\n")
}
