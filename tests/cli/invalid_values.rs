//! Invalid names and values, and what a new store lacks: each ends as with upstream's tools.

use std::fs;

use crate::store::{Run, Store};

fn run(store: &Store, program: &str, arguments: &[&str]) -> Run {
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    store.run(program, &arguments, "", false)
}

const QVM_LS: &str = env!("CARGO_BIN_EXE_qvm-ls");
const QVM_PREFS: &str = env!("CARGO_BIN_EXE_qvm-prefs");
const QUBES_PREFS: &str = env!("CARGO_BIN_EXE_qubes-prefs");
const QVM_TAGS: &str = env!("CARGO_BIN_EXE_qvm-tags");
const QVM_FEATURES: &str = env!("CARGO_BIN_EXE_qvm-features");
const QVM_SERVICE: &str = env!("CARGO_BIN_EXE_qvm-service");
const QVM_POOL: &str = env!("CARGO_BIN_EXE_qvm-pool");
const QVM_VOLUME: &str = env!("CARGO_BIN_EXE_qvm-volume");
const QVM_CREATE: &str = env!("CARGO_BIN_EXE_qvm-create");
const QVM_CLONE: &str = env!("CARGO_BIN_EXE_qvm-clone");
const QUBES_DB: &str = env!("CARGO_BIN_EXE_qubes-db");

#[test]
fn an_invalid_name_or_value_changes_nothing() {
    let store = Store::small();
    let before = fs::read(store.file()).unwrap();
    for (program, arguments, words) in [
        (QVM_TAGS, &["work", "del", ""][..], "is not valid"),
        (QVM_TAGS, &["work", "del", "a/b"], "is not valid"),
        (QVM_TAGS, &["work", "unset", "a b"], "is not valid"),
        (QVM_FEATURES, &["-D", "work", ""], "letters, digits"),
        (QVM_FEATURES, &["-D", "work", "a b"], "letters, digits"),
        (QVM_SERVICE, &["-D", "work", ""], "service"),
        (
            QVM_POOL,
            &["set", "reflinked", "-o", "ephemeral_volatile="],
            "neither True nor False",
        ),
        (
            QVM_VOLUME,
            &["config", "work:volatile", "ephemeral", ""],
            "neither True nor False",
        ),
        (
            QVM_VOLUME,
            &["config", "work:private", "rw", ""],
            "neither True nor False",
        ),
        (
            QVM_VOLUME,
            &["config", "work:private", "revisions_to_keep", ""],
            "",
        ),
        (QVM_PREFS, &["work", "stubdom_mem"], "has no value"),
        (QVM_PREFS, &["sys-net", "backup_timestamp"], "has no value"),
        (
            QVM_CLONE,
            &["-C", "RemoteVM", "work", "far"],
            "cannot be cloned as a RemoteVM",
        ),
        (
            QUBES_PREFS,
            &["default_netvm", "win10"],
            "Network loop on 'win10'",
        ),
        (
            QUBES_PREFS,
            &["default_dispvm", "work"],
            "Cannot set invalid property to system,",
        ),
    ] {
        let ran = run(&store, program, arguments);
        assert!(
            ran.exit != 0 && ran.stdout.is_empty(),
            "{arguments:?}: {ran:?}"
        );
        assert!(
            ran.stderr.contains(words) && !ran.stderr.is_empty(),
            "{arguments:?}: {ran:?}"
        );
        assert_eq!(fs::read(store.file()).unwrap(), before, "{arguments:?}");
    }
    // A valid name that is not set is not an error.
    for (program, arguments) in [
        (QVM_TAGS, &["work", "del", "nothing-of-the-kind"][..]),
        (QVM_FEATURES, &["-D", "work", "nothing.of-the.kind"]),
        (QVM_PREFS, &["vault", "netvm"]),
    ] {
        assert_eq!(run(&store, program, arguments).exit, 0, "{arguments:?}");
    }
}

#[test]
fn a_label_is_given_by_name_at_creation() {
    let store = Store::small();
    for (label, code, words) in [
        ("1", 1, "Label must not be a digit"),
        ("label-2", 2, "no such label: 'label-2'"),
        ("x", 2, "no such label"),
    ] {
        let ran = run(&store, QVM_CREATE, &["-l", label, "n1"]);
        assert!(
            ran.exit == code && ran.stderr.contains(words),
            "{label}: {ran:?}"
        );
    }
    assert_eq!(run(&store, QVM_PREFS, &["work", "label", "1"]).exit, 0);
    for (arguments, words) in [
        (&["-l", "red", ""][..], "VMNAME is mandatory"),
        (&["-l", "", "n1"], "--label option is mandatory"),
    ] {
        let ran = run(&store, QVM_CREATE, arguments);
        assert!(
            ran.exit == 2 && ran.stderr.contains(words),
            "{arguments:?}: {ran:?}"
        );
    }
    let ran = run(&store, QVM_CREATE, &["-l", "red", "-t", "", "n1"]);
    assert_eq!(ran.exit, 0, "the default template counts: {ran:?}");
}

#[test]
fn a_missing_address_matches_an_empty_filter() {
    let store = Store::small();
    let listed = |filter: &str| {
        let ran = run(&store, QVM_LS, &["--raw-list", "--prefs", filter]);
        assert_eq!(ran.exit, 0, "{ran:?}");
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
fn a_new_store_without_kernel_and_template_is_sound() {
    let store = Store::empty();
    let listed = run(&store, QUBES_PREFS, &[]).stdout;
    let row = |name: &str| {
        listed
            .lines()
            .find(|line| line.split_whitespace().next() == Some(name))
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        row("default_template")
            .split_whitespace()
            .collect::<Vec<_>>(),
        ["default_template", "D", "None"]
    );
    assert!(
        !row("default_kernel").contains(" U"),
        "{}",
        row("default_kernel")
    );
    let explicit = run(&store, QUBES_PREFS, &["--hide-default"]).stdout;
    assert!(
        !explicit.contains("default_template") && !explicit.contains(" U"),
        "{explicit}"
    );
    let ran = run(&store, QUBES_PREFS, &["default_template"]);
    assert_eq!((ran.exit, &*ran.stdout, &*ran.stderr), (0, "", ""));
}

#[test]
fn resetting_provides_network_removes_servicevm() {
    let store = Store::small();
    assert_eq!(
        run(&store, QVM_FEATURES, &["personal", "servicevm", "1"]).exit,
        0
    );
    assert_eq!(
        run(&store, QVM_PREFS, &["-D", "personal", "provides_network"]).exit,
        0
    );
    assert_eq!(
        run(&store, QVM_FEATURES, &["personal", "servicevm"]).exit,
        1
    );
}

#[test]
fn a_dump_includes_ephemeral_volumes_and_the_new_gray() {
    let store = Store::small();
    assert_eq!(
        run(
            &store,
            QVM_VOLUME,
            &["config", "work:volatile", "ephemeral", "True"]
        )
        .exit,
        0
    );
    let text = fs::read_to_string(store.file())
        .unwrap()
        .replacen("0x555555", "0x555753", 1);
    fs::write(store.file(), text).unwrap();
    let dump: serde_json::Value =
        serde_json::from_str(&run(&store, QUBES_DB, &["dump"]).stdout).unwrap();
    assert_eq!(
        dump["domains"]["work"]["volumes"]["volatile"]["ephemeral"],
        true
    );
    assert_eq!(
        dump["domains"]["work"]["volumes"]["private"].get("ephemeral"),
        None
    );
    assert_eq!(dump["labels"]["5"]["color"], "0x555555");
}

#[test]
fn an_option_of_another_subcommand_is_refused() {
    let store = Store::small();
    for (tool, line, option) in [
        (QVM_VOLUME, "list --size 3", "--size"),
        (QVM_VOLUME, "info --full work:private", "--full"),
        (QVM_VOLUME, "resize --pool x work:private 3GiB", "--pool"),
        (
            QVM_VOLUME,
            "config --force work:private revisions_to_keep 2",
            "--force",
        ),
        (QVM_VOLUME, "clear --no-resize work:private", "--no-resize"),
        (QVM_POOL, "list -o x=1", "--option"),
        (QVM_POOL, "remove -o x=1 nope", "--option"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let ran = run(&store, tool, &words);
        assert!(
            ran.exit == 2 && ran.stderr.contains(&format!("has no option {option}")),
            "{line}: {ran:?}"
        );
    }
}
