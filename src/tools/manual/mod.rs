//! Manual pages: a table with the texts of each command, and the pages that belong to none.

mod endings;
mod overview;
mod page;
mod pages;
mod roff;
pub(super) mod section;

use clap::Arg;

use super::{COMMANDS, Command};
use crate::tools::ui::arguments::is_common;
use crate::tools::ui::help::{about, heading, option_synopsis};
use crate::tools::ui::usage::{is_required, positionals, usage, value_name};
use endings::{write_examples, write_see_also};
pub use page::ManualPage;
use page::Page;
use roff::Roff;

/// Returns every manual page.
pub fn all() -> Vec<ManualPage> {
    let commands = COMMANDS.iter().filter(|command| !command.hidden);
    let mut all: Vec<ManualPage> = commands
        .map(|command| ManualPage {
            file: format!("{}.1", command.name),
            text: command_page(command),
        })
        .collect();
    all.extend(overview::all());
    all
}

fn command_page(command: &Command) -> String {
    // The test below asks for a page of each command.
    let page = pages::all()
        .find(|page| page.command == command.name)
        .unwrap_or(&Page::DEFAULT);
    let mut roff = Roff::new(command.name, 1, command.about);
    roff.heading("synopsis");
    roff.paragraphs(&synopsis(command));
    roff.heading("description");
    roff.paragraphs(page.description);
    write_options(&mut roff, command);
    (page.sections)()
        .iter()
        .for_each(|section| section.write(&mut roff));
    write_end(&mut roff, page);
    roff.finish()
}

fn synopsis(command: &Command) -> String {
    let usage = usage(&command.clap_command());
    let words = usage.trim_start_matches("usage: ").split_whitespace();
    let text = words.collect::<Vec<_>>().join(" ");
    format!("`{}`{}", command.name, &text[command.name.len()..])
}

/// The arguments and options of the command's own, the latter by their headings in `--help`.
fn write_options(roff: &mut Roff, command: &Command) {
    let line = command.clap_command();
    let help = |arg: &Arg| {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        format!("{help}.")
    };
    let arguments: Vec<&Arg> = line
        .get_positionals()
        .filter(|arg| !arg.is_hide_set())
        .collect();
    if !arguments.is_empty() {
        roff.heading("arguments");
        for arg in arguments {
            let name = value_name(arg);
            let tag = match is_required(arg) {
                true => name,
                false => format!("[{name}]"),
            };
            roff.definition(&tag, &help(arg));
        }
    }
    roff.heading("options");
    let options: Vec<(Option<String>, &Arg)> = line
        .get_arguments()
        .filter(|arg| !arg.is_positional() && !arg.is_hide_set() && !is_common(arg))
        .map(|arg| (heading(&line, arg), arg))
        .collect();
    roff.paragraphs("The options that every command has are in `qubes`(7).");
    let mut headings: Vec<&Option<String>> = Vec::new();
    for (heading, _) in &options {
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    headings.sort_by_key(|heading| heading.is_some());
    for heading in headings {
        if let Some(heading) = heading {
            roff.subheading(heading);
        }
        for (_, arg) in options.iter().filter(|(other, _)| other == heading) {
            roff.definition(&option_synopsis(arg), &help(arg));
        }
    }
    if line.has_subcommands() {
        roff.definitions("commands", &subcommands(&line));
    }
}

/// Returns the subcommands, each with its arguments and options.
fn subcommands(line: &clap::Command) -> Vec<(String, String)> {
    let entry = |sub: &clap::Command| {
        let mut text = about(sub)
            .replace("\n\n", " ")
            .trim_end_matches('.')
            .to_owned()
            + ".";
        for arg in sub.get_arguments().filter(|arg| !arg.is_hide_set()) {
            let name = match arg.is_positional() {
                true => value_name(arg),
                false => option_synopsis(arg),
            };
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            text.push_str(&format!(" {name}: {help}."));
        }
        (
            format!("{} {}", sub.get_name(), positionals(sub))
                .trim_end()
                .to_owned(),
            text,
        )
    };
    line.get_subcommands().map(entry).collect()
}

fn write_end(roff: &mut Roff, page: &Page) {
    for (heading, entries) in [
        ("exit status", page.exit_status),
        ("environment", page.environment),
        ("files", page.files),
    ] {
        let mut entries = entries.to_vec();
        if heading == "environment" {
            entries.push((
                "QUBES_ROOT, QUBES_XML_PATH, QUBES_OFFLINE",
                "Defaults of common options; see `qubes`(7).",
            ));
        }
        if !entries.is_empty() {
            roff.definitions(heading, &entries);
        }
    }
    if !page.examples.is_empty() {
        write_examples(roff, page.examples);
    }
    write_see_also(roff, &[page.see_also, &["qubes(7)"]].concat());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::ui::command_line::{Parsed, parse};

    fn words(line: &str) -> Vec<String> {
        let mut words = Vec::new();
        for (at, part) in line.split('\'').enumerate() {
            match at % 2 {
                0 => words.extend(part.split_whitespace().map(String::from)),
                _ => words.push(part.to_owned()),
            }
        }
        words
    }

    #[test]
    fn every_command_has_a_page_with_examples() {
        for command in COMMANDS.iter().filter(|command| !command.hidden) {
            let page = pages::all().find(|page| page.command == command.name);
            let page = page.unwrap_or_else(|| panic!("{} has no page", command.name));
            assert!(page.description.len() > 100, "{}", command.name);
            assert!((3..=6).contains(&page.examples.len()), "{}", command.name);
        }
        assert_eq!(
            pages::all().count(),
            COMMANDS.iter().filter(|command| !command.hidden).count()
        );
    }

    #[test]
    fn examples_are_command_lines_of_ours() {
        for page in pages::all() {
            for line in page.examples.iter().flat_map(|(lines, _)| lines.lines()) {
                let line = line.split(" | ").next().unwrap_or_default();
                let line = line.split(" > ").next().unwrap_or_default();
                let mut words = words(line).into_iter();
                let name = words.next().unwrap_or_default();
                let command = crate::tools::multicall::find(&name)
                    .unwrap_or_else(|| panic!("{line}: no such command"));
                let words = words.map(Into::into).collect();
                let parsed = parse(&mut command.clap_command(), words);
                assert!(matches!(parsed, Ok(Parsed::Matches(_))), "{line}");
            }
        }
    }

    #[test]
    fn references_name_pages_that_exist() {
        let files: Vec<String> = all().into_iter().map(|page| page.file).collect();
        for name in pages::all().flat_map(|page| page.see_also) {
            let file = name.replace('(', ".").replace(')', "");
            assert!(files.contains(&file), "{name}");
        }
    }
}
