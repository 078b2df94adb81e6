//! One run of one command: its arguments, the system it works on, and its messages.

use std::mem::ManuallyDrop;

use clap::ArgMatches;

use super::arguments::CommonOptions;
use super::failure::Failure;
use super::hint::{self, Hint};
use super::output::{self, Output, print_message};
use super::progress;
use super::selection::resolve_one;
use crate::lifecycle::Context;
use crate::model::{Qubes, Vm, VmName};
use crate::store::Read;
use crate::store::qubesd::is_listening;
use crate::system::{System, SystemOptions};
use crate::tools::CommandDefinition;

/// Reads the store and never frees it: freeing a thousand qubes takes a tenth of the time of a
/// listing, and the process is about to end.
pub fn read_until_exit(context: &Context) -> Result<ManuallyDrop<Read>, Failure> {
    Ok(ManuallyDrop::new(context.read()?))
}

/// Writes the messages of crate `log` to standard error: with `-vv`, each program that is run.
struct StandardError;

impl log::Log for StandardError {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target().starts_with("qubes")
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            print_message(&record.args().to_string());
        }
    }

    fn flush(&self) {}
}

fn log_programs() {
    // Fails if the command opened another system before; the logger is the same.
    let _already_set = log::set_logger(&StandardError);
    log::set_max_level(log::LevelFilter::Debug);
}

/// The context of a command's `run`.
pub struct Invocation {
    /// The command.
    pub command: CommandDefinition,
    /// Its parsed arguments.
    pub matches: ArgMatches,
    /// The options that every command has.
    pub common: CommonOptions,
    /// Standard output.
    pub out: Output,
}

impl Invocation {
    /// Opens the system. Reads the environment and core.toml, nothing else.
    pub fn system(&self) -> Result<System, Failure> {
        self.system_at(self.common.system_options())
    }

    /// Opens the system with progress bars for copies of data. Only for tools that copy: the bars
    /// make a program larger by a tenth.
    pub fn system_with_progress(&self) -> Result<System, Failure> {
        Ok(progress::with_progress_bars(
            self.system()?,
            self.is_talkative(),
        ))
    }

    /// Opens the system that these options name.
    pub fn system_at(&self, options: SystemOptions) -> Result<System, Failure> {
        if options.verbosity >= 2 {
            log_programs();
        }
        let system = System::new(options)?;
        if system.is_forced()
            && system
                .qubesd_socket()
                .is_some_and(|s| is_listening(&s).unwrap_or(false))
        {
            let text = "qubesd is running and does not see what is written now; its next save \
                        takes it back unless it is restarted before (systemctl restart qubesd)";
            self.warn(self.command.name, text);
        }
        Ok(system)
    }

    /// Returns the qube that an argument names, and warns if it is damaged.
    pub fn named_qube<'q>(&self, qubes: &'q Qubes, given: &str) -> Result<&'q Vm, Failure> {
        let name = resolve_one(given, qubes.names().map(VmName::as_str))?;
        let vm = qubes
            .get(name)
            .ok_or_else(|| Failure::no_such_domain(name))?;
        self.warn_of_damage(vm);
        Ok(vm)
    }

    /// Prints indented JSON.
    pub fn print_json(&mut self, value: &serde_json::Value) -> Result<(), Failure> {
        self.out.json(value)
    }

    /// Whether notices are shown: not with `-q`.
    pub fn is_talkative(&self) -> bool {
        self.common.verbosity() > 0
    }

    /// Prints a notice as `WHO: TEXT`, unless `-q` is given.
    pub fn inform(&self, who: &str, text: &str) {
        if self.is_talkative() {
            print_message(&format!("{who}: {text}"));
        }
    }

    /// Returns the text of an error, with its hint if that belongs to the same line.
    pub fn error_text(&self, error: &(impl std::error::Error + 'static)) -> String {
        let hint = Hint::for_error(error).filter(Hint::is_inline);
        let words =
            hint.and_then(|hint| hint.render(self.command.name, &self.common.system_options()));
        let text = hint::describe(error);
        words.map_or_else(|| text.clone(), |words| format!("{text}; {words}"))
    }

    /// Prints the hint for an error that has been reported, if the hint has a line of its own;
    /// nothing with `-q`.
    pub fn hint_for(&self, error: &(dyn std::error::Error + 'static)) {
        if let Some(hint) = Hint::for_error(error) {
            self.hint(&hint);
        }
    }

    /// Prints a hint, unless `-q` is given.
    pub fn hint(&self, hint: &Hint) {
        let options =
            (self.is_talkative() && !hint.is_inline()).then(|| self.common.system_options());
        if let Some(words) = options.and_then(|options| hint.render(self.command.name, &options)) {
            output::print_hint(&words);
        }
    }

    /// Warns about damaged settings of a qube.
    pub fn warn_of_damage(&self, vm: &Vm) {
        if let [first, others @ ..] = vm.diagnoses.as_slice() {
            let more = if others.is_empty() {
                ""
            } else {
                "; qubes-db check tells more"
            };
            self.warn(vm.name.as_str(), &format!("{}{more}", first.text));
        }
    }

    /// Prints a warning as `WHO: TEXT`; with `-q` without `WHO`.
    pub fn warn(&self, who: &str, text: &str) {
        if self.is_talkative() {
            print_message(&format!("{who}: {text}"))
        } else {
            print_message(text)
        }
    }
}
