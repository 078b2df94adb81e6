//! Runs tools on a terminal of a certain width and environment.

use std::fs;

use qubes_test_support::TestSystem;

pub const RED: &str = "\x1b[38;5;160m";

/// Returns what a tool writes to a terminal of this many columns, in colours unless the environment
/// forbids them.
pub fn on_terminal(
    store: &TestSystem,
    line: &str,
    columns: u16,
    environment: &[(&str, &str)],
) -> String {
    let mut command = store.command(line);
    command.env_remove("NO_COLOR").env_remove("COLUMNS");
    command.envs(environment.iter().copied());
    let ran = store.run_command_on_terminal(command, Some(columns));
    assert_eq!(ran.code, 0, "{line}: {ran:?}");
    ran.stdout
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
    let shown = on_terminal(&store, "qvm-features work", 80, &[]);
    assert!(
        shown.contains("multiline          a_31m_b_\n                   vault  Running\n"),
        "{shown}"
    );
    let raw = store.succeeds("qvm-features work");
    assert!(
        raw.contains("a\u{9b}31m\u{202e}b\u{200b}\n"),
        "a program gets what is there: {raw:?}"
    );
    for shown in [
        on_terminal(&store, "qvm-ls -O name,kernelopts work", 80, &[]),
        store.succeeds("qvm-ls --color=always -O name,kernelopts work"),
        on_terminal(&store, "qvm-ls --raw-data -O kernelopts work", 80, &[]),
        on_terminal(&store, "qvm-prefs work,vault kernelopts", 80, &[]),
    ] {
        assert!(
            shown.contains("quiet") && !shown.contains('\u{9b}'),
            "{shown:?}"
        );
    }
}
