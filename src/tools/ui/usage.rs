//! Usage lines in the layout that scripts and people know from argparse (`docs/spec/r4-tools.md`
//! §1.2).

use super::program_name;
use clap::{Arg, Command};

use super::arguments::{self, RequiredByCommand};
use super::words::takes_value;

/// The longest line: 80 columns less 2, as in argparse.
const WIDTH: usize = 78;

/// Returns `usage: PROG [--option] … POSITIONAL …`, wrapped, without a line feed at the end.
/// Options are in the order of their definition; those that upstream does not have appear only in
/// `--help`.
pub fn usage(command: &Command) -> String {
    let options = options(command);
    let positionals = positional_parts(command);
    let program = program_name::program(command).to_owned();
    let parts: Vec<&str> = std::iter::once(&program)
        .chain(&options)
        .chain(&positionals)
        .map(String::as_str)
        .collect();
    let one_line = format!("usage: {}", parts.join(" "));
    if one_line.chars().count() <= WIDTH {
        return one_line;
    }
    let indent = "usage: ".len() + program.len() + 1;
    let mut lines = wrap(
        std::iter::once(&program).chain(&options),
        "usage: ".len(),
        indent,
    );
    lines.extend(wrap(positionals.iter(), indent, indent));
    let pad = " ".repeat(indent);
    let mut text = format!("usage: {}", lines[0]);
    for line in &lines[1..] {
        text.push('\n');
        text.push_str(&pad);
        text.push_str(line);
    }
    text
}

/// Returns the positional arguments as usage lines show them.
pub fn positionals(command: &Command) -> String {
    positional_parts(command).join(" ")
}

/// Returns the names and aliases of all subcommands, in the order of usage lines.
pub fn subcommand_names(line: &Command) -> Vec<&str> {
    let of_each = |sub| std::iter::once(Command::get_name(sub)).chain(sub.get_visible_aliases());
    line.get_subcommands().flat_map(of_each).collect()
}

/// Joins parts to lines; the first begins at column `first`, the others at `indent`.
fn wrap<'a>(parts: impl Iterator<Item = &'a String>, first: usize, indent: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut line, mut length) = (String::new(), first - 1);
    for part in parts {
        if length + 1 + part.len() > WIDTH && !line.is_empty() {
            lines.push(std::mem::take(&mut line));
            length = indent - 1;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(part);
        length += part.len() + 1;
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

fn options(command: &Command) -> Vec<String> {
    let mut shown: Vec<&Arg> = command
        .get_arguments()
        .filter(|a| !a.is_positional() && !a.is_hide_set() && arguments::is_upstream(a))
        .collect();
    // clap adds the common options of a subcommand behind its own.
    shown.sort_by_key(|arg| !arguments::is_common(arg));
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(arg) = shown.get(at) {
        let together = exclusive_run_length(command, &shown[at..]);
        if together > 1 {
            let inner: Vec<String> = shown[at..at + together].iter().map(|a| option(a)).collect();
            parts.push(format!("[{}]", inner.join(" | ")));
        } else {
            parts.push(format!("[{}]", option(arg)));
        }
        at += together;
    }
    parts
}

/// Returns how many of `args`, from the first on, are the members of one group of exclusive
/// options. A group whose members are not adjacent is not shown as one.
fn exclusive_run_length(command: &Command, args: &[&Arg]) -> usize {
    for group in command.get_groups().filter(|g| arguments::is_exclusive(g)) {
        let members = group.get_args().count();
        let run = args
            .iter()
            .take_while(|a| group.get_args().any(|id| id == a.get_id()))
            .count();
        if run == members {
            return run;
        }
    }
    1
}

fn option(arg: &Arg) -> String {
    let name = match (arg.get_long(), arg.get_short()) {
        (Some(long), _) => format!("--{long}"),
        (None, Some(short)) => format!("-{short}"),
        (None, None) => arg.get_id().to_string(),
    };
    if !takes_value(arg) {
        return name;
    }
    let value = value_name(arg);
    match arg.get_num_args().is_some_and(|n| n.max_values() > 1) {
        true => format!("{name} {value} [{value} ...]"),
        false => format!("{name} {value}"),
    }
}

/// Returns the parts between which the usage may be wrapped: each positional argument, the
/// subcommands, and what follows them.
fn positional_parts(command: &Command) -> Vec<String> {
    let shown = command.get_positionals().filter(|arg| !arg.is_hide_set());
    let mut parts: Vec<String> = shown.map(positional).collect();
    if command.has_subcommands() {
        let names = subcommand_names(command).join(",");
        parts.extend([format!("{{{names}}}"), "...".to_owned()]);
    }
    parts
}

fn positional(arg: &Arg) -> String {
    let value = value_name(arg);
    match (
        arg.get_num_args().is_some_and(|n| n.max_values() > 1),
        is_required(arg),
    ) {
        (true, true) => format!("{value} [{value} ...]"),
        (true, false) => format!("[{value} ...]"),
        (false, true) => value,
        (false, false) => format!("[{value}]"),
    }
}

/// Whether an argument must be given. Some are checked by the tool itself, because an option that
/// only prints help makes them needless.
pub fn is_required(arg: &Arg) -> bool {
    arg.is_required_set() || arg.get::<RequiredByCommand>().is_some()
}

/// Returns the placeholder for an argument's value.
pub fn value_name(arg: &Arg) -> String {
    match arg.get_value_names() {
        Some([name, ..]) => name.to_string(),
        _ => arg.get_id().as_str().to_uppercase(),
    }
}
