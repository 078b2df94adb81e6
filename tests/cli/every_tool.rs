//! What holds for every tool: errors, help, JSON, and a store that cannot be used.

use std::fs;
use std::os::unix::net::UnixListener;

use qubes::tools::COMMANDS;
use qubes_test_support::TestSystem;

#[test]
fn json_has_real_types() {
    let store = TestSystem::recorded("small.xml");
    let listed =
        store.run("qvm-ls --json -O name,state,vcpus,netvm,autostart,priv-max,tags work sys-net");
    let list: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    let expected = serde_json::json!([
        {"name": "sys-net", "state": "Halted", "vcpus": 2, "netvm": null, "autostart": true,
         "priv_max": 2147483648_u64, "tags": ["audiovm-dom0", "guivm-dom0"]},
        {"name": "work", "state": "Halted", "vcpus": 4, "netvm": "sys-firewall", "autostart": false,
         "priv_max": 2147483648_u64,
         "tags": ["audiovm-dom0", "created-by-dom0", "guivm-dom0", "job", "zz-last"]}
    ]);
    assert_eq!(list, expected);

    let prefs = store.run("qvm-prefs --json work");
    let prefs: serde_json::Value = serde_json::from_str(&prefs.stdout).unwrap();
    assert_eq!(
        prefs["vcpus"],
        serde_json::json!({"value": 4, "default": false})
    );
    assert_eq!(
        prefs["netvm"],
        serde_json::json!({"value": "sys-firewall", "default": true})
    );
    assert_eq!(
        store.run("qubes-prefs --json clockvm").stdout,
        "\"sys-net\"\n"
    );
}

#[test]
fn errors_have_one_line_and_the_documented_code() {
    let store = TestSystem::recorded("small.xml");
    store.refuses(2, "qvm-prefs nope vcpus 3", "no such domain: 'nope'");
    store.refuses(1, "qvm-prefs work vcpus 0", "vcpus must be positive");
    store.refuses(1, "qvm-prefs work label pink", "Label does not exist: pink");
    store.refuses(
        1,
        "qvm-prefs work kernel 9.9.9",
        "Kernel '9.9.9' not installed",
    );
    store.refuses(2, "qvm-prefs zz* vcpus", "no domain matches 'zz*'");
    store.refuses(1, "qvm-start work", "offline");
    store.refuses(
        1,
        "qvm-ls --qubesxml /nonexistent/qubes.xml",
        "/nonexistent/qubes.xml",
    );
}

#[test]
fn an_invalid_store_is_refused_in_one_line() {
    for text in [
        "",
        "no xml at all",
        "<qubes><domains>",
        "<!DOCTYPE x [<!ENTITY e 'e'>]><qubes>&e;</qubes>",
    ] {
        let store = TestSystem::recorded("small.xml");
        fs::write(store.store_file(), text).unwrap();
        store.refuses(1, "qvm-ls", "qubes.xml");
        store.refuses(1, "qvm-prefs work vcpus 3", "qubes.xml");
    }
}

/// Words of the program text in a help text, and arguments that stand under a heading of options,
/// come from definitions in the wrong place.
#[test]
fn help_lists_arguments_under_their_heading_and_names_no_type() {
    let store = TestSystem::recorded("small.xml");
    for tool in COMMANDS {
        let help = store.run((tool.name, &["--help"]));
        assert_eq!((help.code, help.stderr.as_str()), (0, ""), "{}", tool.name);
        assert!(!help.stdout.contains("::"), "{}", help.stdout);
        let mut heading = "";
        for line in help.stdout.lines() {
            if line.ends_with(':') && !line.starts_with(' ') {
                heading = line;
            }
            let is_argument = line.starts_with("  <") || line.starts_with("  [");
            assert!(
                !is_argument || heading == "Arguments:",
                "{}: {line} under {heading}",
                tool.name
            );
        }
    }
}

#[test]
fn help_and_version_go_to_standard_output() {
    let store = TestSystem::recorded("small.xml");
    let help = store.run("qvm-ls --help");
    assert!(
        help.code == 0 && help.stderr.is_empty() && help.stdout.contains("--offline-mode"),
        "{help:?}"
    );
    let version = store.run("qvm-ls --version");
    assert!(
        version.code == 0 && version.stdout.starts_with("qvm-ls ("),
        "{version:?}"
    );
}

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

#[test]
fn while_qubesd_runs_only_reading_works() {
    let store = TestSystem::recorded("small.xml");
    fs::create_dir_all(store.root().join("run")).unwrap();
    let _qubesd = UnixListener::bind(store.root().join("run/qubesd.sock")).unwrap();
    store.refuses(1, "qvm-features work x 1", "qubesd");
    store.refuses(1, "qvm-tags work add x", "qubesd");
    store.refuses(1, "qvm-notes -s x work", "qubesd");
    assert_eq!(
        store.ok("qvm-notes -p work"),
        "Line one\nUnicode: zażółć ☃\n\n"
    );
    assert_eq!(store.ok("qvm-features work anon-timezone"), "1\n");
}

#[test]
fn setting_and_unsetting_restores_the_file() {
    let store = TestSystem::recorded("small.xml");
    let before = fs::read(store.store_file()).unwrap();
    for (program, there, back) in [
        (
            "qvm-features",
            &["work", "new", "<&>\"'"][..],
            &["-D", "work", "new"][..],
        ),
        (
            "qvm-service",
            &["-e", "vault", "crond"],
            &["--default", "vault", "crond"],
        ),
        (
            "qvm-tags",
            &["vault", "add", "x", "y"],
            &["vault", "del", "x"],
        ),
    ] {
        store.ok((program, there));
        assert_ne!(fs::read(store.store_file()).unwrap(), before, "{there:?}");
        store.ok((program, back));
    }
    store.ok("qvm-tags vault u y");
    assert_eq!(
        String::from_utf8(fs::read(store.store_file()).unwrap()),
        String::from_utf8(before)
    );
}
