//! Invalid names and values, and what a new store lacks: each ends as with upstream's tools.

use std::fs;

use qubes_test_support::TestSystem;

#[test]
fn an_invalid_name_or_value_changes_nothing() {
    let store = TestSystem::recorded("small.xml");
    let before = fs::read(store.store_file()).unwrap();
    for (program, arguments, words) in [
        ("qvm-tags", &["work", "del", ""][..], "is not valid"),
        ("qvm-tags", &["work", "del", "a/b"], "is not valid"),
        ("qvm-tags", &["work", "unset", "a b"], "is not valid"),
        ("qvm-features", &["-D", "work", ""], "letters, digits"),
        ("qvm-features", &["-D", "work", "a b"], "letters, digits"),
        ("qvm-service", &["-D", "work", ""], "service"),
        (
            "qvm-pool",
            &["set", "reflinked", "-o", "ephemeral_volatile="],
            "neither True nor False",
        ),
        (
            "qvm-volume",
            &["config", "work:volatile", "ephemeral", ""],
            "neither True nor False",
        ),
        (
            "qvm-volume",
            &["config", "work:private", "rw", ""],
            "neither True nor False",
        ),
        (
            "qvm-volume",
            &["config", "work:private", "revisions_to_keep", ""],
            "",
        ),
        ("qvm-prefs", &["work", "stubdom_mem"], "has no value"),
        (
            "qvm-prefs",
            &["sys-net", "backup_timestamp"],
            "has no value",
        ),
        (
            "qvm-clone",
            &["-C", "RemoteVM", "work", "far"],
            "cannot be cloned as a RemoteVM",
        ),
        (
            "qubes-prefs",
            &["default_netvm", "win10"],
            "Network loop on 'win10'",
        ),
        (
            "qubes-prefs",
            &["default_dispvm", "work"],
            "Cannot set invalid property to system,",
        ),
    ] {
        let ran = store.run((program, arguments));
        assert!(
            ran.code != 0 && ran.stdout.is_empty(),
            "{arguments:?}: {ran:?}"
        );
        assert!(
            ran.stderr.contains(words) && !ran.stderr.is_empty(),
            "{arguments:?}: {ran:?}"
        );
        assert_eq!(
            fs::read(store.store_file()).unwrap(),
            before,
            "{arguments:?}"
        );
    }
    // A valid name that is not set is not an error.
    for (program, arguments) in [
        ("qvm-tags", &["work", "del", "nothing-of-the-kind"][..]),
        ("qvm-features", &["-D", "work", "nothing.of-the.kind"]),
        ("qvm-prefs", &["vault", "netvm"]),
    ] {
        assert_eq!(store.run((program, arguments)).code, 0, "{arguments:?}");
    }
}

#[test]
fn a_label_is_given_by_name_at_creation() {
    let store = TestSystem::recorded("small.xml");
    for (label, code, words) in [
        ("1", 1, "Label must not be a digit"),
        ("label-2", 2, "no such label: 'label-2'"),
        ("x", 2, "no such label"),
    ] {
        let ran = store.run(["qvm-create", "-l", label, "n1"]);
        assert!(
            ran.code == code && ran.stderr.contains(words),
            "{label}: {ran:?}"
        );
    }
    store.succeeds("qvm-prefs work label 1");
    for (arguments, words) in [
        (&["-l", "red", ""][..], "VMNAME is mandatory"),
        (&["-l", "", "n1"], "--label option is mandatory"),
    ] {
        let ran = store.run(("qvm-create", arguments));
        assert!(
            ran.code == 2 && ran.stderr.contains(words),
            "{arguments:?}: {ran:?}"
        );
    }
    let ran = store.run(["qvm-create", "-l", "red", "-t", "", "n1"]);
    assert_eq!(ran.code, 0, "the default template counts: {ran:?}");
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
fn a_new_store_without_kernel_and_template_is_sound() {
    let store = TestSystem::created();
    let listed = store.run("qubes-prefs").stdout;
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
    let explicit = store.run("qubes-prefs --hide-default").stdout;
    assert!(
        !explicit.contains("default_template") && !explicit.contains(" U"),
        "{explicit}"
    );
    let ran = store.run("qubes-prefs default_template");
    assert_eq!((ran.code, &*ran.stdout, &*ran.stderr), (0, "", ""));
}

#[test]
fn resetting_provides_network_removes_servicevm() {
    let store = TestSystem::recorded("small.xml");
    store.succeeds("qvm-features personal servicevm 1");
    store.succeeds("qvm-prefs -D personal provides_network");
    assert_eq!(store.run("qvm-features personal servicevm").code, 1);
}

#[test]
fn a_dump_includes_ephemeral_volumes_and_the_new_gray() {
    let store = TestSystem::recorded("small.xml");
    store.succeeds("qvm-volume config work:volatile ephemeral True");
    let text = fs::read_to_string(store.store_file())
        .unwrap()
        .replacen("0x555555", "0x555753", 1);
    fs::write(store.store_file(), text).unwrap();
    let dump: serde_json::Value = serde_json::from_str(&store.run("qubes-db dump").stdout).unwrap();
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
    let store = TestSystem::recorded("small.xml");
    for (tool, line, option) in [
        ("qvm-volume", "list --size 3", "--size"),
        ("qvm-volume", "info --full work:private", "--full"),
        ("qvm-volume", "resize --pool x work:private 3GiB", "--pool"),
        (
            "qvm-volume",
            "config --force work:private revisions_to_keep 2",
            "--force",
        ),
        (
            "qvm-volume",
            "clear --no-resize work:private",
            "--no-resize",
        ),
        ("qvm-pool", "list -o x=1", "--option"),
        ("qvm-pool", "remove -o x=1 nope", "--option"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let ran = store.run((tool, &words));
        assert!(
            ran.code == 2 && ran.stderr.contains(&format!("has no option {option}")),
            "{line}: {ran:?}"
        );
    }
}
