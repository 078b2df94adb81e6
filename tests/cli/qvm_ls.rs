//! qvm-ls: columns, filters, order, colours, and the width of a terminal.

use std::process::Stdio;

use qubes_test_support::{TestSystem, tool_output};

use crate::terminal::{RED, on_terminal};

#[test]
fn without_a_hypervisor_a_listing_lacks_only_states() {
    let store = TestSystem::recorded("small.xml");
    let live = |line: &str| {
        let mut command = store.command(line);
        command.env_remove("QUBES_OFFLINE").env(
            "QUBES_LIBVIRT_URI",
            "qemu+unix:///session?socket=/nonexistent",
        );
        let ran = tool_output::run(&mut command);
        (ran.stdout, ran.stderr, ran.code)
    };
    let (stdout, stderr, code) = live("qvm-ls --raw-data -O name,state,label dom0 work vault");
    assert_eq!(
        (stdout.as_str(), code),
        ("dom0|Running|black\nvault|NA|teal\nwork|NA|blue\n", 0)
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(
        stderr.starts_with("qvm-ls: power states are not available: "),
        "{stderr}"
    );
    let (stdout, stderr, code) = live("qvm-ls --raw-data -O name,label work");
    assert_eq!(
        (stdout.as_str(), stderr.as_str(), code),
        ("work|blue\n", "", 0),
        "nobody asked for states"
    );
    let (_, stderr, code) = live("qvm-check --running work");
    assert!(
        code == 1 && stderr.contains("power states are not available"),
        "{stderr}"
    );
}

#[test]
fn a_closed_pipe_does_not_panic() {
    let store = TestSystem::recorded("small.xml");
    let mut command = store.command("qvm-ls");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command
        .stdout(Stdio::from(writer))
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn a_missing_address_matches_an_empty_filter() {
    let store = TestSystem::recorded("small.xml");
    let listed = |filter: &str| {
        let ran = store.run(["qvm-ls", "--raw-list", "--prefs", filter]);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.stdout.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    for property in [
        "ip",
        "dns",
        "gateway",
        "visible_ip",
        "visible_gateway",
        "visible_netmask",
    ] {
        let (empty, none) = (
            listed(&format!("{property}=\"\"")),
            listed(&format!("{property}=None")),
        );
        assert!(
            empty.iter().any(|name| name == "vault"),
            "{property}: {empty:?}"
        );
        assert_eq!(none, ["dom0", "remote-work"], "{property}");
    }
    for property in [
        "ip6",
        "gateway6",
        "visible_ip6",
        "visible_gateway6",
        "start_time",
    ] {
        assert!(
            listed(&format!("{property}=\"\""))
                .iter()
                .any(|name| name == "work"),
            "{property}"
        );
        assert!(
            !listed(&format!("{property}=None"))
                .iter()
                .any(|name| name == "work"),
            "{property}"
        );
    }
    assert!(listed("netvm=None").iter().any(|name| name == "vault"));
}

#[test]
fn colours_can_be_disabled() {
    let store = TestSystem::recorded("small.xml");
    let table = store.ok("qvm-ls");
    assert!(!table.contains('\x1b'));
    for (line, environment) in [
        ("qvm-ls", [("NO_COLOR", "1")].as_slice()),
        ("qvm-ls", &[("TERM", "dumb")]),
        ("qvm-ls", &[("TERM", "")]),
        ("qvm-ls --color=never", &[]),
        ("qvm-ls --color never", &[]),
    ] {
        let shown = on_terminal(&store, line, 100, environment);
        assert_eq!(shown, table, "{line} {environment:?}");
    }
}

#[test]
fn output_for_programs_has_no_colours() {
    let store = TestSystem::recorded("small.xml");
    for option in ["--raw-data", "--raw-list", "--json"] {
        let plain = store.ok(format!("qvm-ls {option}"));
        let coloured = format!("qvm-ls --color=always {option}");
        assert_eq!(store.ok(&coloured), plain);
        assert_eq!(on_terminal(&store, &coloured, 100, &[]), plain);
    }
    assert!(store.ok("qvm-ls --color=always").contains(RED));
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
        let line = format!("qvm-ls -O name,label,root-max {sort}");
        let table = store.ok(&line);
        let rows = table.lines().skip(1);
        let names: Vec<&str> = rows
            .filter_map(|row| row.split_whitespace().next())
            .collect();
        let list = store.json(format!("{line} --json"));
        let qubes = list.as_array().unwrap().iter();
        let in_json: Vec<&str> = qubes.filter_map(|qube| qube["name"].as_str()).collect();
        assert_eq!(in_json, names, "{sort}");
    }
}
