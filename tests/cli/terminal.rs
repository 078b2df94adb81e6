//! Runs tools on a terminal of a certain width and environment.

use std::fs;
use std::io::Read;
use std::process::Stdio;

use nix::pty::{Winsize, openpty};
use qubes_test_support::TestSystem;

pub const RED: &str = "\x1b[38;5;160m";

/// Returns what a command writes to a terminal of this many columns.
pub fn on_terminal(
    store: &TestSystem,
    program: &str,
    line: &str,
    columns: u16,
    environment: &[(&str, &str)],
) -> String {
    let size = Winsize {
        ws_row: 24,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let ends = openpty(&size, None).unwrap();
    let mut command = store.command(program);
    command
        .args(line.split_whitespace())
        .env_remove("NO_COLOR")
        .env_remove("COLUMNS");
    command
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::from(ends.slave));
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut bytes = Vec::new();
    // The read ends with an error when the last writer is gone: that is a terminal's end of file.
    let _closed = fs::File::from(ends.master).read_to_end(&mut bytes);
    assert!(child.wait().unwrap().success(), "{line}");
    String::from_utf8(bytes).unwrap().replace("\r\n", "\n")
}

pub fn piped(store: &TestSystem, program: &str, line: &str) -> String {
    let words: Vec<String> = line.split_whitespace().map(String::from).collect();
    let run = store.run((program, &words));
    assert_eq!(run.code, 0, "{line}: {run:?}");
    run.stdout
}

#[test]
fn values_cannot_imitate_other_output() {
    let store = TestSystem::recorded("small.xml");
    let text = fs::read_to_string(store.store_file()).unwrap();
    let hostile = "a\u{9b}31m\u{202e}b\u{200b}\nvault  Running";
    let changed = text
        .replacen(">a\nb\ttab<", &format!(">{hostile}<"), 1)
        .replacen(">quiet ", ">quiet\u{9b}31m ", 1);
    assert_ne!(changed, text);
    fs::write(store.store_file(), changed).unwrap();
    let shown = on_terminal(&store, "qvm-features", "work", 80, &[]);
    assert!(
        shown.contains("multiline          a_31m_b_\n                   vault  Running\n"),
        "{shown}"
    );
    let raw = piped(&store, "qvm-features", "work");
    assert!(
        raw.contains("a\u{9b}31m\u{202e}b\u{200b}\n"),
        "a program gets what is there: {raw:?}"
    );
    for shown in [
        on_terminal(&store, "qvm-ls", "-O name,kernelopts work", 80, &[]),
        piped(&store, "qvm-ls", "--color=always -O name,kernelopts work"),
        on_terminal(&store, "qvm-ls", "--raw-data -O kernelopts work", 80, &[]),
        on_terminal(&store, "qvm-prefs", "work,vault kernelopts", 80, &[]),
    ] {
        assert!(
            shown.contains("quiet") && !shown.contains('\u{9b}'),
            "{shown:?}"
        );
    }
}
