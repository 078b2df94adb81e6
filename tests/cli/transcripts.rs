//! Transcripts: what the tools print, a file `transcripts/NAME.txt` for each. Every command of a
//! file runs on a system of its own; the whole output, the exit code and the changed files must be
//! as in the file. After a wanted change, or with a new command in a file:
//!
//!     SNAPSHOTS=overwrite cargo test --test cli transcripts::
//!
//! Paragraphs are separated by empty lines: a comment, or a command and its output.
//!
//! | line | meaning |
//! |---|---|
//! | `# TEXT` | a comment |
//! | `system: KIND` | `created`, `furnished` or `sound`, see [`furnish`]; else that of the recordings |
//! | `replace: OLD => NEW` | a text of the store is replaced once; `\n` is a line feed |
//! | `setup: COMMAND` | runs before on the same system, and must succeed |
//! | `stdin: TEXT` | a line of standard input, which is empty otherwise |
//! | `env: NAME=VALUE` | a variable of the command's environment |
//! | `tty: COLUMNS` | standard output is a terminal, in colours with `env: NO_COLOR=` |
//! | `$ COMMAND` | quoted as in a shell |
//! | `\| TEXT` | printed to standard output (`\ TEXT`: without the end of the line) |
//! | `! TEXT` | printed to standard error |
//! | `exit: CODE` | the exit code, if it is not 0 |
//! | `changed: PATH` | a new, removed or other file, except in RUN and copies of the store |

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use qubes::tools::COMMANDS;
use qubes_test_support::sound_store::SOUND;
use qubes_test_support::tree::{Tree, tree};
use qubes_test_support::{TestSystem, ToolOutput, repository};
use snapbox::data::DataFormat;
use snapbox::{Assert, Data};

use crate::recording::{shell_words, sorted_uses};

macro_rules! transcripts {
    ($($tool:ident)*) => {
        const TOOLS: &[&str] = &[$(stringify!($tool)),*];

        $(#[test]
        fn $tool() {
            check(stringify!($tool));
        })*
    };
}

transcripts! {
    qubes qubes_complete qubes_create qubes_db qubes_domain_xml qubes_monitor qubes_prefs
    qubes_recover qubes_set_updates qvm_add_appvm qvm_add_template qvm_check qvm_clone qvm_create
    qvm_create_default_dvm qvm_example qvm_features qvm_grow_private qvm_grow_root qvm_init_storage qvm_kill
    qvm_ls qvm_notes qvm_pause qvm_pool qvm_prefs qvm_remove qvm_revert_template_changes
    qvm_service qvm_shutdown qvm_start qvm_tags qvm_template_commit qvm_template_postprocess
    qvm_trim_template qvm_unpause qvm_volume
}

#[test]
fn every_tool_has_a_transcript() {
    let tested: BTreeSet<String> = TOOLS.iter().map(|tool| tool.replace('_', "-")).collect();
    let mut tools: BTreeSet<String> = COMMANDS.iter().map(|tool| tool.name.to_string()).collect();
    tools.extend(["qubes", "qubes-complete"].map(String::from));
    assert_eq!(tested, tools);
}

/// Runs the commands of a tool's file and compares it with what they print.
fn check(tool: &str) {
    let name = format!("tests/cli/transcripts/{}.txt", tool.replace('_', "-"));
    let file = repository(&name);
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
    let paragraphs = text.trim_end().split("\n\n").map(replay);
    let replayed = paragraphs.collect::<Vec<_>>().join("\n\n") + "\n";
    let recorded = Data::read_from(&file, Some(DataFormat::Text)).raw();
    Assert::new().action_env("SNAPSHOTS").eq(replayed, recorded);
}

/// Runs the command of a paragraph, if it has one, and returns the paragraph with the output.
fn replay(paragraph: &str) -> String {
    let is_output = |line: &&str| {
        let marks = ["|", "\\", "!", "exit: ", "changed: "];
        marks.iter().any(|mark| line.starts_with(mark))
    };
    let given: Vec<&str> = paragraph.lines().filter(|line| !is_output(line)).collect();
    let replayed = given.join("\n");
    let Some(command) = given.iter().find_map(|line| line.strip_prefix("$ ")) else {
        return replayed;
    };
    let system = furnish(&given);
    let mut tool = system.command(shell_words(command));
    let (mut input, mut columns) = (String::new(), None);
    for line in &given {
        match line.split_once(' ').unwrap() {
            ("stdin:", text) => input += &format!("{text}\n"),
            ("env:", variable) => {
                let (name, value) = variable.split_once('=').unwrap();
                tool.env(name, value);
            }
            ("tty:", number) => columns = Some(number.parse().unwrap()),
            _ => {}
        }
    }
    let files = || tree(system.root(), &["run", "var/lib/qubes/backup"]);
    let before = files();
    let ran = if columns.is_some() {
        system.run_command_on_terminal(tool, columns)
    } else {
        system.run_command(tool, input)
    };
    assert_plain(&ran.stderr);
    replayed + &describe(&ran) + &list_changes(&before, &files())
}

/// Creates the system on which a command runs.
fn furnish(given: &[&str]) -> TestSystem {
    let mut system = TestSystem::recorded("small.xml");
    for line in given {
        match line.split_once(' ').unwrap() {
            ("system:", "created") => system = TestSystem::created(),
            ("system:", "furnished") => system = TestSystem::furnished(),
            // The store `SOUND`, and a copy of it.
            ("system:", "sound") => {
                fs::write(system.store_file(), SOUND).unwrap();
                system.write_copy("2026-11-18-08:00:00", SOUND);
            }
            ("replace:", texts) => {
                let texts = texts.replace("\\n", "\n");
                let (old, new) = texts.split_once(" =>").unwrap();
                let new = new.strip_prefix(' ').unwrap_or_default();
                let store = system.store();
                assert!(store.contains(old), "{line}");
                fs::write(system.store_file(), store.replacen(old, new, 1)).unwrap();
            }
            ("setup:", setup) => drop(system.succeeds(shell_words(setup))),
            ("#" | "$" | "stdin:" | "env:" | "tty:", _) => {}
            _ => panic!("{line:?}"),
        }
    }
    system
}

/// Writes an output as the lines of a transcript.
fn describe(ran: &ToolOutput) -> String {
    let mut text = String::new();
    let mut write = |mark: char, line: &str| {
        let space = if line.is_empty() { "" } else { " " };
        write!(text, "\n{mark}{space}{}", line.replace('\x1b', "␛")).unwrap();
    };
    for line in ran.stdout.split_inclusive('\n') {
        let mark = if line.ends_with('\n') { '|' } else { '\\' };
        write(mark, line.trim_end_matches('\n'));
    }
    for line in without_usage(&sorted_uses(&ran.stderr)).lines() {
        write('!', line);
    }
    if ran.code != 0 {
        write!(text, "\nexit: {}", ran.code).unwrap();
    }
    text
}

/// Lists the changed paths as lines of a transcript.
fn list_changes(before: &Tree, after: &Tree) -> String {
    let paths: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let changed = paths.iter().filter(|path| {
        // Whether a next image is prepared depends on the file system.
        let is_prepared = path.to_string_lossy().ends_with("-precache.img");
        before.get(**path) != after.get(**path) && !is_prepared
    });
    changed
        .map(|path| format!("\nchanged: /{}", path.display()))
        .collect()
}

/// Panics if a message has words of the program text or control characters.
fn assert_plain(message: &str) {
    for technical in ["os error", "panicked", "Some(", "Err(", "caused by"] {
        assert!(!message.contains(technical), "{message}");
    }
    let is_control = |c: char| c.is_control() && c != '\n';
    assert!(!message.contains(is_control), "{message:?}");
}

/// Shortens the usage before an error to its first words. The recordings have it in full.
fn without_usage(stderr: &str) -> String {
    let Some((usage, error)) = stderr.split_once(": error: ") else {
        return stderr.to_string();
    };
    let Some((_, tool)) = usage
        .rsplit_once('\n')
        .filter(|_| usage.starts_with("usage: "))
    else {
        return stderr.to_string();
    };
    format!("usage: {tool} …\n{tool}: error: {error}")
}
