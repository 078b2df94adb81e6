//! qvm-ls: columns, filters, order, colours, and the width of a terminal.

use std::fs;
use std::process::Stdio;

use qubes_test_support::{TestSystem, tool_output};

use crate::terminal::{RED, on_terminal, piped};

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
