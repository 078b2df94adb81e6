//! Listings on a terminal of a certain width and environment.

use std::fs;
use std::io::Read;
use std::process::Stdio;

use nix::pty::{Winsize, openpty};

use qubes_test_support::TestSystem;

const RED: &str = "\x1b[38;5;160m";

/// Returns what a command writes to a terminal of this many columns.
fn on_terminal(
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

fn piped(store: &TestSystem, program: &str, line: &str) -> String {
    let words: Vec<String> = line.split_whitespace().map(String::from).collect();
    let run = store.run((program, &words));
    assert_eq!(run.code, 0, "{line}: {run:?}");
    run.stdout
}

#[test]
fn names_and_labels_are_coloured_on_a_terminal() {
    let store = TestSystem::recorded("small.xml");
    let shown = on_terminal(&store, "qvm-ls", "-O name,label,class sys-net", 80, &[]);
    assert_eq!(
        shown.lines().nth(1).unwrap(),
        format!("{RED}sys-net\x1b[0m  {RED}red\x1b[0m    AppVM")
    );
    let black = on_terminal(&store, "qvm-ls", "-O name vault dom0", 80, &[]);
    assert!(
        black.contains("\x1b[1mdom0\x1b[0m"),
        "what cannot be read on a black terminal is bold: {black:?}"
    );
    assert!(
        black.contains("\x1b[38;5;37mvault\x1b[0m"),
        "a label of the store's own has its colour: {black:?}"
    );
}

#[test]
fn colours_can_be_disabled() {
    let store = TestSystem::recorded("small.xml");
    let table = piped(&store, "qvm-ls", "");
    assert!(!table.contains('\x1b'));
    for (line, environment) in [
        ("", [("NO_COLOR", "1")].as_slice()),
        ("", &[("TERM", "dumb")]),
        ("", &[("TERM", "")]),
        ("--color=never", &[]),
        ("--color never", &[]),
    ] {
        assert_eq!(
            on_terminal(&store, "qvm-ls", line, 100, environment),
            table,
            "{line} {environment:?}"
        );
    }
    let asked = on_terminal(
        &store,
        "qvm-ls",
        "--color=always",
        100,
        &[("NO_COLOR", "1")],
    );
    assert!(
        asked.contains(RED),
        "the command line comes before the environment"
    );
    assert!(
        on_terminal(&store, "qvm-ls", "", 100, &[("NO_COLOR", "")]).contains(RED),
        "an empty NO_COLOR says nothing"
    );
}

#[test]
fn output_for_programs_has_no_colours() {
    let store = TestSystem::recorded("small.xml");
    for line in ["--raw-data", "--raw-list", "--json"] {
        let plain = piped(&store, "qvm-ls", line);
        assert_eq!(
            piped(&store, "qvm-ls", &format!("--color=always {line}")),
            plain
        );
        assert_eq!(
            on_terminal(
                &store,
                "qvm-ls",
                &format!("--color=always {line}"),
                100,
                &[]
            ),
            plain
        );
    }
    assert!(piped(&store, "qvm-ls", "--color=always").contains(RED));
    let run = store.run("qvm-ls --color=sometimes");
    assert_eq!(run.code, 2);
    assert!(
        run.stderr
            .contains("argument --color: invalid choice: 'sometimes'"),
        "{run:?}"
    );
}

#[test]
fn a_tree_has_connected_branches_on_a_terminal() {
    let store = TestSystem::recorded("small.xml");
    let line = "--tree --color=never -O name sys-net sys-firewall personal sys-whonix work";
    let drawn = on_terminal(&store, "qvm-ls", line, 80, &[]);
    assert_eq!(
        drawn,
        "NAME\nsys-net\n└─sys-firewall\n  ├─sys-whonix\n  │ └─personal\n  └─work\n"
    );
    let ascii = on_terminal(&store, "qvm-ls", line, 80, &[("LC_ALL", "C")]);
    assert_eq!(
        ascii,
        "NAME\nsys-net\n`-sys-firewall\n  |-sys-whonix\n  | `-personal\n  `-work\n"
    );
    let recorded = piped(&store, "qvm-ls", line);
    assert_eq!(
        recorded,
        "NAME\nsys-net\n└─sys-firewall\n  └─sys-whonix\n    └─personal\n  └─work\n"
    );
}

#[test]
fn a_loop_of_netvms_hides_no_qube_from_the_tree() {
    let store = TestSystem::recorded("small.xml");
    let text = fs::read_to_string(store.store_file()).unwrap();
    let looped = text.replacen(
        "<property name=\"netvm\">sys-net</property>",
        "<property name=\"netvm\">sys-whonix</property>",
        1,
    );
    assert_ne!(looped, text);
    fs::write(store.store_file(), looped).unwrap();
    let words: Vec<String> = ["--tree", "-O", "name"].map(String::from).to_vec();
    let shown = store.run(("qvm-ls", &words)).stdout;
    for line in ["sys-firewall !", "└─sys-whonix !", "  └─personal", "└─work"] {
        assert!(shown.lines().any(|l| l == line), "{line}:\n{shown}");
    }
}

#[test]
fn long_cells_wrap_on_a_narrow_terminal() {
    let store = TestSystem::recorded("small.xml");
    let line = "--color=never -O name,kernelopts,tags work sys-net";
    let shown = on_terminal(&store, "qvm-ls", line, 56, &[]);
    let expected = "\
NAME     KERNELOPTS               TAGS
sys-net  -                        audiovm-dom0,
                                  guivm-dom0
work     quiet apparmor=1         audiovm-dom0,
         security=apparmor <x> &  created-by-dom0,
         \"q\"                      guivm-dom0,job,zz-last
";
    assert_eq!(shown, expected);
    assert_eq!(
        on_terminal(&store, "qvm-ls", line, 300, &[]),
        piped(&store, "qvm-ls", line)
    );
    assert_eq!(
        on_terminal(&store, "qvm-ls", line, 300, &[("COLUMNS", "56")]),
        expected,
        "COLUMNS comes first"
    );
    assert_eq!(
        on_terminal(&store, "qvm-ls", line, 0, &[]),
        piped(&store, "qvm-ls", line),
        "a terminal that does not know"
    );
    assert_eq!(
        on_terminal(&store, "qvm-ls", line, 20, &[]),
        piped(&store, "qvm-ls", line),
        "no room for anything"
    );
    assert_eq!(
        on_terminal(&store, "qvm-features", "remote-work", 20, &[]),
        "",
        "nothing to list"
    );
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

#[test]
fn filter_values_can_be_separated_by_commas() {
    let store = TestSystem::recorded("small.xml");
    let listed = piped(
        &store,
        "qvm-ls",
        "--raw-list --tags job,anon-vm --class DispVM,AppVM",
    );
    assert_eq!(listed, "personal\nwork\n");
    assert_eq!(
        piped(&store, "qvm-ls", "--raw-list --class=DispVM,RemoteVM"),
        "remote-work\nsys-usb\n"
    );
    assert_eq!(
        piped(
            &store,
            "qvm-ls",
            "--raw-list --class=AppVM,DispVM work dom0"
        ),
        "work\n"
    );
}

#[test]
fn human_readable_sizes_are_sorted_as_numbers() {
    let store = TestSystem::recorded("small.xml");
    let line = "--human-readable -O name,priv-max,root-max --sort root-max work vault win10";
    let expected = "NAME   PRIV-MAX  ROOT-MAX\nvault  5.0G      10G\nwork   2.0G      10G\nwin10  \
                    2.0G      60G\n";
    assert_eq!(piped(&store, "qvm-ls", line), expected);
}

#[test]
fn json_is_sorted_as_the_table_is() {
    let store = TestSystem::recorded("small.xml");
    for sort in [
        "--sort root-max",
        "--sort root-max --reverse",
        "--sort label --reverse",
        "--sort name --reverse",
        "",
    ] {
        let line = format!("-O name,label,root-max {sort}");
        let table = piped(&store, "qvm-ls", &line);
        let names: Vec<&str> = table
            .lines()
            .skip(1)
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        let list: serde_json::Value =
            serde_json::from_str(&piped(&store, "qvm-ls", &format!("{line} --json"))).unwrap();
        let in_json: Vec<&str> = list
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|qube| qube["name"].as_str())
            .collect();
        assert_eq!(in_json, names, "{sort}");
    }
}
