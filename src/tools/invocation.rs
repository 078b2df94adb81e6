//! One run of one command: what was said on the command line, where to work, and how to speak.

use std::mem::ManuallyDrop;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::Command;
use super::arguments::{self, QUBE_ID, required_value};
use super::failure::Failure;
use super::hint::Hint;
use super::output::{self, Output, print_message};
use super::progress;
use super::selection::resolve_one;
use crate::lifecycle::Session;
use crate::model::{Qubes, Vm, VmName};
use crate::store::Read;
use crate::store::qubesd::answers_at;
use crate::system::{Options, System};

/// Reads the store for the rest of the process. It is not freed at the end, when the process's
/// memory goes anyway: for a listing of a thousand qubes that would be a tenth of the time.
pub fn read_until_exit(session: &Session) -> Result<ManuallyDrop<Read>, Failure> {
    Ok(ManuallyDrop::new(session.read()?))
}

/// Writes messages of crate `log` to standard error: with `-vv`, each program that is run.
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
    // A second system of the same command finds it set already.
    let _already_set = log::set_logger(&StandardError);
    log::set_max_level(log::LevelFilter::Debug);
}

/// What a command's `run` works with.
pub struct Invocation {
    pub command: &'static Command,
    pub matches: ArgMatches,
    pub out: Output,
}

impl Invocation {
    /// The place to work on. Asks the environment and core.toml, nothing else yet.
    pub fn system(&self) -> Result<System, Failure> {
        self.system_at(arguments::system_options(&self.matches))
    }

    /// The place to work on, with a bar on the terminal for every copy of data there. Only for
    /// tools that copy: bars make a program larger by a tenth.
    pub fn system_with_progress(&self) -> Result<System, Failure> {
        Ok(progress::with_progress_bars(
            self.system()?,
            self.is_talkative(),
        ))
    }

    /// The place to work on that these options mean.
    pub fn system_at(&self, options: Options) -> Result<System, Failure> {
        if options.verbosity >= 2 {
            log_programs();
        }
        let system = System::new(options)?;
        if system.is_forced()
            && system
                .qubesd_socket()
                .is_some_and(|s| answers_at(&s).unwrap_or(false))
        {
            let text = "qubesd is running and does not see what is written now; its next save takes it back unless it is \
                        restarted before (systemctl restart qubesd)";
            self.warn(self.command.name, text);
        }
        Ok(system)
    }

    /// The session of a tool for one qube. Whether one was named is asked first: that is no
    /// question to the store.
    pub fn session_for_qube(&self) -> Result<Session, Failure> {
        required_value(&self.matches, QUBE_ID, "VMNAME")?;
        Ok(Session::new(self.system()?))
    }

    /// The same, with bars.
    pub fn session_with_progress(&self) -> Result<Session, Failure> {
        required_value(&self.matches, QUBE_ID, "VMNAME")?;
        Ok(Session::new(self.system_with_progress()?))
    }

    /// The qube that was named; what is wrong with it is said.
    pub fn named_qube<'q>(&self, qubes: &'q Qubes) -> Result<&'q Vm, Failure> {
        let given = required_value(&self.matches, QUBE_ID, "VMNAME")?;
        let name = resolve_one(given, qubes.names().map(VmName::as_str))?;
        let vm = qubes
            .get(name)
            .ok_or_else(|| Failure::no_such_domain(name))?;
        self.warn_of_damage(vm);
        Ok(vm)
    }

    /// Prints JSON, for people to read as well.
    pub fn print_json(&mut self, value: &serde_json::Value) -> Result<(), Failure> {
        self.out.json(value)
    }

    pub fn has(&self, id: &str) -> bool {
        self.matches.get_flag(id)
    }

    /// Whether a switch is given that not every command line has.
    pub fn has_option(&self, id: &str) -> bool {
        self.matches
            .try_get_one::<bool>(id)
            .ok()
            .flatten()
            .is_some_and(|on| *on)
    }

    /// The usage error of `--json` for what prints nothing: whoever gives it expects something.
    pub fn refuse_json(&self, what: &str) -> Result<(), Failure> {
        match self.has("json") {
            true => Err(Failure::usage(format!(
                "argument --json: {what} prints nothing"
            ))),
            false => Ok(()),
        }
    }

    /// The value of an option or positional; `None` when it was not given.
    pub fn value(&self, id: &str) -> Option<&str> {
        self.matches.get_one::<String>(id).map(String::as_str)
    }

    /// All values of an option or positional.
    pub fn values(&self, id: &str) -> Vec<&str> {
        self.matches
            .get_many::<String>(id)
            .unwrap_or_default()
            .map(String::as_str)
            .collect()
    }

    /// Whether an option stands on the command line, with or without values.
    pub fn is_given(&self, id: &str) -> bool {
        self.matches.value_source(id) == Some(ValueSource::CommandLine)
    }

    /// Whether things that are only nice to know are wanted: not after `-q`.
    pub fn is_talkative(&self) -> bool {
        arguments::verbosity(&self.matches) > 0
    }

    /// Says something that is nice to know, as `WHO: TEXT`; nothing after `-q`.
    pub fn inform(&self, who: &str, text: &str) {
        if self.is_talkative() {
            print_message(&format!("{who}: {text}"));
        }
    }

    /// An error in words, with what to do about it where that belongs to its line.
    pub fn error_text(&self, error: &(impl std::error::Error + 'static)) -> String {
        let hint = Hint::for_error(error).filter(Hint::is_inline);
        let words = hint.and_then(|hint| {
            hint.render(self.command.name, &arguments::system_options(&self.matches))
        });
        words.map_or_else(|| error.to_string(), |words| format!("{error}; {words}"))
    }

    /// Says what to do about an error that has been told, where that has a line of its own; nothing
    /// after `-q`.
    pub fn hint_for(&self, error: &(dyn std::error::Error + 'static)) {
        if let Some(hint) = Hint::for_error(error) {
            self.hint(&hint);
        }
    }

    /// Says what to do next; nothing after `-q`.
    pub fn hint(&self, hint: &Hint) {
        let options = (self.is_talkative() && !hint.is_inline())
            .then(|| arguments::system_options(&self.matches));
        if let Some(words) = options.and_then(|options| hint.render(self.command.name, &options)) {
            output::print_hint(&words);
        }
    }

    /// Says what of a qube cannot be understood.
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

    /// Says something that matters, as `WHO: TEXT`; after `-q` without the front.
    pub fn warn(&self, who: &str, text: &str) {
        if self.is_talkative() {
            print_message(&format!("{who}: {text}"))
        } else {
            print_message(text)
        }
    }
}
