//! Running a command: parsing its arguments, reporting its failure.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::FromArgMatches as _;
use nix::sys::signal::{SigSet, Signal};

use super::Command;
use super::ui::arguments::CommonOptions;
use super::ui::command_line::{self, Parsed};
use super::ui::failure::Failure;
use super::ui::invocation::Invocation;
use super::ui::output::{self, Output, print_message, print_usage_error};
use super::ui::usage;
use crate::system::SystemOptions;

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
    let result = match command_line::parse(&mut line, words) {
        Ok(Parsed::Help(text)) => out.text(&text).map(|()| 0),
        Ok(Parsed::Version) => out.text(&version(command.name)).map(|()| 0),
        Ok(Parsed::Matches(matches)) => {
            let common = CommonOptions::from_arg_matches(&matches).unwrap_or_default();
            let mut invocation = Invocation {
                command: command.definition(),
                matches: *matches,
                common,
                out,
            };
            let result = (command.run)(&mut invocation);
            options = invocation
                .is_talkative()
                .then(|| invocation.common.system_options());
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
pub(super) fn version(name: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!("{name} (Qubes OS management core) {version}\nLicense: LGPL-2.1-or-later\n")
}
