//! The program `qubes`: every command in one, selected by the program's name or its first argument.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use super::ui::failure::Failure;
use super::ui::output::{Output, print_hint, print_message};
use super::ui::program_name::program_name;
use super::ui::suggestion::closest;
use super::{COMMANDS, Command, generate, run};
use crate::tools::ui::quoted::quoted;

const NAME: &str = "qubes";
/// The program that the shells' completions call; not one of the commands.
const COMPLETER: &str = "qubes-complete";

/// The main function of `qubes`.
pub fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let called_as = program_name(&words.next().unwrap_or_default());
    if called_as == COMPLETER {
        return super::completion::complete::main();
    }
    if let Some(command) = find(&called_as) {
        return run(command, words.collect());
    }
    if called_as.starts_with("qvm-") || called_as.starts_with("qubes-") {
        // A link with the name of an unknown command.
        return report_unknown(&called_as);
    }
    let first = words.next().map(|w| w.to_string_lossy().into_owned());
    let rest: Vec<OsString> = words.collect();
    match first.as_deref() {
        None => print_help(2),
        Some("-h" | "--help" | "help") => print_help(0),
        Some("--version") => print_and_exit(super::run::version(NAME)),
        Some("generate") => match rest.as_slice() {
            [directory] => write_generated_files(Path::new(directory)),
            _ => print_usage("usage: qubes generate DIRECTORY"),
        },
        Some(name) => match find(name) {
            Some(command) => run(command, rest),
            None => report_unknown(name),
        },
    }
}

fn report_unknown(name: &str) -> ExitCode {
    print_message(&format!("{NAME}: error: no such command: {}", quoted(name)));
    let shown = || COMMANDS.iter().filter(|c| !c.hidden).map(|c| c.name);
    // `qubes ls` most likely means qvm-ls.
    let short = |prefix: &'static str| {
        let words = shown().filter_map(move |full| full.strip_prefix(prefix));
        closest(name, words).map(|word| format!("{prefix}{word}"))
    };
    let full = || closest(name, shown()).map(String::from);
    let close = short("qvm-").or_else(|| short("qubes-")).or_else(full);
    match close {
        Some(close) => print_hint(&format!("did you mean {}?", quoted(&close))),
        None => print_hint("qubes --help lists the commands"),
    }
    ExitCode::from(2)
}

fn print_help(code: u8) -> ExitCode {
    let mut text = format!("usage: {NAME} COMMAND [ARGUMENT ...]\n\ncommands:\n");
    let shown = COMMANDS
        .iter()
        .filter(|c| !c.hidden)
        .map(|c| (c.name, c.about));
    text.push_str(&super::ui::table::definition_list(shown));
    if code == 0 {
        return print_and_exit(text);
    }
    text.trim_end().lines().for_each(print_message);
    ExitCode::from(2)
}

fn print_and_exit(text: String) -> ExitCode {
    let mut out = Output::new();
    match out.text(&text).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Error(text)) => {
            print_message(&format!("{NAME}: error: {text}"));
            ExitCode::FAILURE
        }
        Err(_closed_pipe) => ExitCode::FAILURE,
    }
}

fn print_usage(text: &str) -> ExitCode {
    print_message(text);
    ExitCode::from(2)
}

/// Writes completions, manual pages and schemas below `directory`.
fn write_generated_files(directory: &Path) -> ExitCode {
    for file in generate::files() {
        let path = directory.join(&file.path);
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        if let Err(error) = made.and_then(|()| std::fs::write(&path, &file.text)) {
            print_message(&format!("{NAME}: error: {}: {error}", path.display()));
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Returns the command of this name.
pub fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}
