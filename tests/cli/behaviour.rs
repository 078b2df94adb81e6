//! Behaviour without recordings: JSON, offline mode, errors, broken pipes, terminals.

use std::fs;
use std::process::{Command, Stdio};

use crate::store::{Run, Store};

const QVM_LS: &str = env!("CARGO_BIN_EXE_qvm-ls");
const QVM_CHECK: &str = env!("CARGO_BIN_EXE_qvm-check");
const QVM_PREFS: &str = env!("CARGO_BIN_EXE_qvm-prefs");
const QUBES_PREFS: &str = env!("CARGO_BIN_EXE_qubes-prefs");
const QVM_CREATE: &str = env!("CARGO_BIN_EXE_qvm-create");
const QVM_REMOVE: &str = env!("CARGO_BIN_EXE_qvm-remove");
const QVM_START: &str = env!("CARGO_BIN_EXE_qvm-start");

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(String::from).collect()
}

fn run(store: &Store, program: &str, line: &str) -> Run {
    store.run(program, &words(line), "", false)
}

/// Checks that a run fails with this exit code and one line of error, and changes nothing.
fn fails_cleanly(store: &Store, program: &str, line: &str, exit: i32, words: &str) {
    let before = fs::read(store.file()).unwrap_or_default();
    let run = run(store, program, line);
    assert_eq!(run.exit, exit, "{line}: {run:?}");
    assert!(run.stderr.contains(words), "{line}: {run:?}");
    assert_eq!(
        run.stderr
            .lines()
            .filter(|l| l.contains("error: ") || l.starts_with("Error: "))
            .count(),
        1,
        "{run:?}"
    );
    assert_eq!(
        fs::read(store.file()).unwrap_or_default(),
        before,
        "{line} changed the store"
    );
}

#[test]
fn json_has_real_types() {
    let store = Store::small();
    let listed = run(
        &store,
        QVM_LS,
        "--json -O name,state,vcpus,netvm,autostart,priv-max,tags work sys-net",
    );
    let list: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    let expected = serde_json::json!([
        {"name": "sys-net", "state": "Halted", "vcpus": 2, "netvm": null, "autostart": true,
         "priv_max": 2147483648_u64, "tags": ["audiovm-dom0", "guivm-dom0"]},
        {"name": "work", "state": "Halted", "vcpus": 4, "netvm": "sys-firewall", "autostart": false,
         "priv_max": 2147483648_u64,
         "tags": ["audiovm-dom0", "created-by-dom0", "guivm-dom0", "job", "zz-last"]}
    ]);
    assert_eq!(list, expected);

    let prefs = run(&store, QVM_PREFS, "--json work");
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
        run(&store, QUBES_PREFS, "--json clockvm").stdout,
        "\"sys-net\"\n"
    );
}

#[test]
fn options_may_follow_positionals_and_work_without_environment() {
    let store = Store::small();
    let root = store.root().display().to_string();
    let mut command = Command::new(QVM_PREFS);
    command.args(["work", "-D", "vcpus", "--offline-mode", "--root", &root]);
    command.env_remove("QUBES_ROOT").env_remove("QUBES_OFFLINE");
    assert!(command.status().unwrap().success());
    assert_eq!(run(&store, QVM_PREFS, "work vcpus").stdout, "2\n");

    let other = store.root().join("other.xml");
    fs::copy(store.file(), &other).unwrap();
    run(
        &store,
        QVM_PREFS,
        &format!("--qubesxml {} work vcpus 7", other.display()),
    );
    assert_eq!(
        run(
            &store,
            QVM_PREFS,
            &format!("--qubesxml={} work vcpus", other.display())
        )
        .stdout,
        "7\n"
    );
    assert_eq!(run(&store, QVM_PREFS, "work vcpus").stdout, "2\n");
}

#[test]
fn errors_have_one_line_and_the_documented_code() {
    let store = Store::small();
    fails_cleanly(
        &store,
        QVM_PREFS,
        "nope vcpus 3",
        2,
        "no such domain: 'nope'",
    );
    fails_cleanly(
        &store,
        QVM_PREFS,
        "work vcpus 0",
        1,
        "vcpus must be positive",
    );
    fails_cleanly(
        &store,
        QVM_PREFS,
        "work label pink",
        1,
        "Label does not exist: pink",
    );
    fails_cleanly(
        &store,
        QVM_PREFS,
        "work kernel 9.9.9",
        1,
        "Kernel '9.9.9' not installed",
    );
    fails_cleanly(&store, QVM_PREFS, "zz* vcpus", 2, "no domain matches 'zz*'");
    fails_cleanly(&store, QVM_START, "work", 1, "offline");
    fails_cleanly(
        &store,
        QVM_LS,
        "--qubesxml /nonexistent/qubes.xml",
        1,
        "/nonexistent/qubes.xml",
    );
}

#[test]
fn without_a_hypervisor_a_listing_lacks_only_states() {
    let store = Store::small();
    let live = |program: &str, line: &str| {
        let mut command = store.command(program);
        command.args(words(line)).env_remove("QUBES_OFFLINE");
        let output = command
            .env(
                "QUBES_LIBVIRT_URI",
                "qemu+unix:///session?socket=/nonexistent",
            )
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            text(output.stdout),
            text(output.stderr),
            output.status.code(),
        )
    };
    let (stdout, stderr, code) = live(QVM_LS, "--raw-data -O name,state,label dom0 work vault");
    assert_eq!(
        (stdout.as_str(), code),
        ("dom0|Running|black\nvault|NA|teal\nwork|NA|blue\n", Some(0))
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(
        stderr.starts_with("qvm-ls: power states are not available: "),
        "{stderr}"
    );
    let (stdout, stderr, code) = live(QVM_LS, "--raw-data -O name,label work");
    assert_eq!(
        (stdout.as_str(), stderr.as_str(), code),
        ("work|blue\n", "", Some(0)),
        "nobody asked for states"
    );
    let (_, stderr, code) = live(QVM_CHECK, "--running work");
    assert!(
        code == Some(1) && stderr.contains("power states are not available"),
        "{stderr}"
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
        let store = Store::small();
        fs::write(store.file(), text).unwrap();
        fails_cleanly(&store, QVM_LS, "", 1, "qubes.xml");
        fails_cleanly(&store, QVM_PREFS, "work vcpus 3", 1, "qubes.xml");
    }
}

#[test]
fn a_closed_pipe_does_not_panic() {
    let store = Store::small();
    let mut command = store.command(QVM_LS);
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
fn values_cannot_control_a_terminal() {
    let store = Store::small();
    let text = fs::read_to_string(store.file()).unwrap();
    fs::write(
        store.file(),
        text.replace(">quiet apparmor=1 ", ">quiet\u{9b}31m apparmor=1 "),
    )
    .unwrap();
    let shown = store.run(QVM_PREFS, &words("work kernelopts"), "", true);
    assert!(shown.stdout.starts_with("quiet_31m apparmor"), "{shown:?}");
    let piped = run(&store, QVM_PREFS, "work kernelopts");
    assert!(
        piped.stdout.starts_with("quiet\u{9b}31m apparmor"),
        "{piped:?}"
    );
}

#[test]
fn qubes_that_use_each_other_are_removed_in_an_order_that_works() {
    let store = Store::empty();
    assert_eq!(
        run(&store, QUBES_PREFS, "default_kernel 6.6.77-1.fc37").exit,
        0
    );
    for line in [
        "-C TemplateVM -l black a-template",
        "-t a-template -l red --prop provides_network=True b-net",
    ] {
        assert_eq!(run(&store, QVM_CREATE, line).exit, 0, "{line}");
    }
    assert_eq!(
        run(
            &store,
            QVM_CREATE,
            "-t a-template -l red --prop netvm=b-net c-client"
        )
        .exit,
        0
    );
    fails_cleanly(
        &store,
        QVM_REMOVE,
        "-f a-template b-net",
        1,
        "template for c-client",
    );
    assert_eq!(
        run(&store, QVM_REMOVE, "-f a-template b-net c-client").exit,
        0
    );
    assert_eq!(run(&store, QVM_LS, "--raw-list").stdout, "dom0\n");
}

#[test]
fn a_standalone_qube_from_a_template_is_its_copy() {
    let store = Store::empty();
    assert_eq!(
        run(&store, QUBES_PREFS, "default_kernel 6.6.77-1.fc37").exit,
        0
    );
    let image = store.root().join("root.img");
    fs::write(&image, "the system of the template".repeat(1000)).unwrap();
    let template = format!(
        "-C TemplateVM -l black --prop memory=777 --root-copy-from {} tpl",
        image.display()
    );
    assert_eq!(run(&store, QVM_CREATE, &template).exit, 0);
    assert_eq!(
        run(&store, QVM_CREATE, "--standalone -t tpl -l red own").exit,
        0
    );
    assert_eq!(
        run(
            &store,
            QVM_LS,
            "--raw-data -O name,class,label,memory,template own"
        )
        .stdout,
        "own|StandaloneVM|red|-|-\n"
    );
    assert_eq!(run(&store, QVM_PREFS, "own memory").stdout, "777\n");
    let copy = fs::read(store.root().join("var/lib/qubes/appvms/own/root.img")).unwrap();
    assert!(copy.starts_with(b"the system of the template"));
    let moved = format!("-C TemplateVM -l black -R {} moved", image.display());
    assert_eq!(run(&store, QVM_CREATE, &moved).exit, 0);
    assert!(!image.exists(), "a moved image is gone");
}

#[test]
fn label_template_and_name_can_be_given_as_properties() {
    let store = Store::empty();
    assert_eq!(
        run(&store, QUBES_PREFS, "default_kernel 6.6.77-1.fc37").exit,
        0
    );
    assert_eq!(
        run(
            &store,
            QVM_CREATE,
            "-C TemplateVM --prop label=black --prop name=tpl"
        )
        .exit,
        0
    );
    assert_eq!(
        run(
            &store,
            QVM_CREATE,
            "--prop label=red --prop template=tpl --prop label=blue app"
        )
        .exit,
        0
    );
    assert_eq!(
        run(&store, QVM_LS, "--raw-data -O name,label,template app").stdout,
        "app|blue|tpl\n"
    );
    assert_eq!(
        run(&store, QVM_CREATE, "--prop label=red -l green -t tpl other").exit,
        0
    );
    assert_eq!(run(&store, QVM_PREFS, "other label").stdout, "green\n");
}

#[test]
fn the_environment_names_the_default_thin_pool() {
    let store = Store::small();
    let default_pool = |pool: &str| {
        let output = store
            .command(QUBES_PREFS)
            .arg("default_pool")
            .env("DEFAULT_LVM_POOL", pool)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(default_pool("vm-pool"), "vm-pool\n");
    assert_eq!(
        default_pool("another"),
        "varlibqubes\n",
        "no pool of the store: the one with /var/lib/qubes"
    );
    assert_eq!(
        run(&store, QUBES_PREFS, "default_pool").stdout,
        "varlibqubes\n"
    );
    let text = fs::read_to_string(store.file()).unwrap();
    fs::write(
        store.file(),
        text.replace("name=\"slow-hdd\"", "name=\"default\""),
    )
    .unwrap();
    assert_eq!(
        default_pool("vm-pool"),
        "default\n",
        "a pool of that name comes first"
    );
}

#[test]
fn help_and_version_go_to_standard_output() {
    let store = Store::small();
    let help = run(&store, QVM_LS, "--help");
    assert!(
        help.exit == 0 && help.stderr.is_empty() && help.stdout.contains("--offline-mode"),
        "{help:?}"
    );
    let version = run(&store, QVM_LS, "--version");
    assert!(
        version.exit == 0 && version.stdout.starts_with("qvm-ls ("),
        "{version:?}"
    );
}

#[test]
fn exceeding_the_file_size_limit_is_an_error() {
    let store = Store::small();
    let before = fs::read(store.file()).unwrap();
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "ulimit -f 2; exec \"$@\"",
        "sh",
        QVM_PREFS,
        "work",
        "memory",
        "333",
    ]);
    let root = store.root().display().to_string();
    let output = command
        .args(["--offline-mode", "--root", &root])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(
        words.contains("cannot") && words.contains("File too large"),
        "{words}"
    );
    assert_eq!(fs::read(store.file()).unwrap(), before);
}
