//! Features, services, tags and notes: behaviour without recordings.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::store::{Run, Store};

const QVM_FEATURES: &str = env!("CARGO_BIN_EXE_qvm-features");
const QVM_NOTES: &str = env!("CARGO_BIN_EXE_qvm-notes");
const QVM_SERVICE: &str = env!("CARGO_BIN_EXE_qvm-service");
const QVM_TAGS: &str = env!("CARGO_BIN_EXE_qvm-tags");

fn run(store: &Store, program: &str, arguments: &[&str]) -> Run {
    let arguments: Vec<String> = arguments.iter().map(|a| a.to_string()).collect();
    store.run(program, &arguments, "", false)
}

fn ok(store: &Store, program: &str, arguments: &[&str]) -> String {
    let run = run(store, program, arguments);
    assert_eq!(
        (run.exit, run.stderr.as_str()),
        (0, ""),
        "{arguments:?}: {run:?}"
    );
    run.stdout
}

/// Checks that a run fails with a reason in its last line, and changes neither the store nor the
/// notes of `work`.
fn refuses(store: &Store, program: &str, arguments: &[&str], exit: i32, words: &str) {
    let bytes = || {
        (
            fs::read(store.file()).unwrap(),
            fs::read(notes_of(store, "work")).ok(),
        )
    };
    let before = bytes();
    let run = run(store, program, arguments);
    assert_eq!(run.exit, exit, "{arguments:?}: {run:?}");
    assert!(
        run.stderr
            .lines()
            .last()
            .is_some_and(|line| line.contains(words)),
        "{arguments:?}: {run:?}"
    );
    assert_eq!(bytes(), before, "{arguments:?} changed something");
}

fn json(store: &Store, program: &str, arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&ok(store, program, arguments)).unwrap()
}

fn notes_of(store: &Store, qube: &str) -> PathBuf {
    store
        .root()
        .join("var/lib/qubes/appvms")
        .join(qube)
        .join("notes.txt")
}

#[test]
fn lists_are_json_with_real_types() {
    let store = Store::small();
    let features = json(&store, QVM_FEATURES, &["work", "--json"]);
    assert_eq!(features["multiline"], "a\nb\ttab");
    assert_eq!(features.as_object().unwrap().len(), 7);
    assert_eq!(
        json(&store, QVM_FEATURES, &["--json", "work", "empty-false"]),
        ""
    );
    assert_eq!(
        json(&store, QVM_SERVICE, &["--json", "work"]),
        serde_json::json!({"cups": false, "clocksync": true})
    );
    assert_eq!(
        json(&store, QVM_SERVICE, &["--json", "work", "cups"]),
        false
    );
    assert_eq!(
        json(&store, QVM_TAGS, &["--json", "vault"]),
        serde_json::json!(["audiovm-dom0", "guivm-dom0"])
    );
    assert_eq!(
        json(&store, QVM_TAGS, &["vault", "ls", "guivm-dom0", "--json"]),
        "guivm-dom0"
    );
    assert_eq!(
        run(&store, QVM_FEATURES, &["--json", "work", "nosuch"]).exit,
        1
    );
}

#[test]
fn setting_and_unsetting_restores_the_file() {
    let store = Store::small();
    let before = fs::read(store.file()).unwrap();
    for (program, there, back) in [
        (
            QVM_FEATURES,
            &["work", "new", "<&>\"'"][..],
            &["-D", "work", "new"][..],
        ),
        (
            QVM_SERVICE,
            &["-e", "vault", "crond"],
            &["--default", "vault", "crond"],
        ),
        (
            QVM_TAGS,
            &["vault", "add", "x", "y"],
            &["vault", "del", "x"],
        ),
    ] {
        ok(&store, program, there);
        assert_ne!(fs::read(store.file()).unwrap(), before, "{there:?}");
        ok(&store, program, back);
    }
    ok(&store, QVM_TAGS, &["vault", "u", "y"]);
    assert_eq!(
        String::from_utf8(fs::read(store.file()).unwrap()),
        String::from_utf8(before)
    );
}

#[test]
fn the_last_of_two_contradicting_options_counts() {
    let store = Store::small();
    for (arguments, state) in [
        (&["-e", "-d", "vault", "cups"][..], "off\n"),
        (&["-d", "-e", "vault", "cups"], "on\n"),
        (&["vault", "cups", "-d", "OFF"], "off\n"),
        (&["vault", "cups", "Yes"], "on\n"),
    ] {
        ok(&store, QVM_SERVICE, arguments);
        assert_eq!(
            ok(&store, QVM_SERVICE, &["vault", "cups"]),
            state,
            "{arguments:?}"
        );
    }
}

#[test]
fn invalid_values_are_refused_and_change_nothing() {
    let store = Store::small();
    refuses(
        &store,
        QVM_TAGS,
        &["work", "add", "good", "b!d"],
        1,
        "tag 'b!d' for qube 'work' is not valid",
    );
    refuses(
        &store,
        QVM_TAGS,
        &["work", "del"],
        2,
        "qvm-tags VMNAME del: error: the following arguments",
    );
    refuses(
        &store,
        QVM_TAGS,
        &["work", "list", "a", "b"],
        2,
        "unrecognized arguments: b",
    );
    refuses(
        &store,
        QVM_FEATURES,
        &["work", "preload-dispvm", "x"],
        1,
        "managed by the system",
    );
    refuses(
        &store,
        QVM_FEATURES,
        &["work", "x", "a\nb"],
        1,
        "printable ASCII",
    );
    refuses(
        &store,
        QVM_SERVICE,
        &["work", "a/b", "on"],
        1,
        "'service.a/b'",
    );
    refuses(
        &store,
        QVM_SERVICE,
        &["-e", "work", "cups", "off"],
        2,
        "the opposite",
    );
    refuses(
        &store,
        QVM_SERVICE,
        &["-D", "work", "cups", "off"],
        2,
        "cannot both set and unset a value",
    );
    refuses(
        &store,
        QVM_NOTES,
        &["-s", "x", "dom0"],
        1,
        "dom0 has no notes",
    );
    refuses(
        &store,
        QVM_NOTES,
        &["-s", &"x".repeat(100_000), "--append", "y", "work"],
        2,
        "not allowed with",
    );
    let large = store.root().join("large");
    fs::write(&large, "x".repeat(256_001)).unwrap();
    refuses(
        &store,
        QVM_NOTES,
        &["-i", large.to_str().unwrap(), "work"],
        1,
        "256000 bytes",
    );
    fs::write(&large, "x".repeat(256_000)).unwrap();
    ok(&store, QVM_NOTES, &["-i", large.to_str().unwrap(), "work"]);
    refuses(
        &store,
        QVM_NOTES,
        &["--append", "y", "work"],
        1,
        "would have 256002 bytes",
    );
    fs::write(&large, b"\xff\xfe").unwrap();
    refuses(
        &store,
        QVM_NOTES,
        &["-i", large.to_str().unwrap(), "work"],
        1,
        "not UTF-8",
    );
}

#[test]
fn notes_are_set_appended_and_deleted() {
    let store = Store::small();
    ok(&store, QVM_NOTES, &["--set", "one\u{202e}\x1b", "vault"]);
    ok(&store, QVM_NOTES, &["--append", "two", "vault"]);
    assert_eq!(
        fs::read_to_string(notes_of(&store, "vault")).unwrap(),
        "one__\ntwo"
    );
    assert_eq!(
        fs::metadata(notes_of(&store, "vault"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o660
    );
    assert_eq!(ok(&store, QVM_NOTES, &["-p", "vault"]), "one__\ntwo\n");
    let arguments = ["-d", "vault"].map(String::from);
    assert_eq!(store.run(QVM_NOTES, &arguments, "no\n", false).exit, 2);
    assert!(notes_of(&store, "vault").exists());
    assert_eq!(store.run(QVM_NOTES, &arguments, "y\n", false).exit, 0);
    assert!(!notes_of(&store, "vault").exists());
    ok(&store, QVM_NOTES, &["-f", "-d", "vault"]);
    assert_eq!(ok(&store, QVM_NOTES, &["-p", "vault"]), "\n");
}

/// Edits the notes of vault with this shell script as the editor; its `$1` is the file.
fn edit(store: &Store, script: &str) -> (Option<i32>, String) {
    let editor = store.root().join("editor");
    fs::write(&editor, script).unwrap();
    let mut command: Command = store.command(QVM_NOTES);
    command
        .arg("vault")
        .env("VISUAL", format!("sh {}", editor.display()))
        .env("EDITOR", "false");
    let output = command.env("TMPDIR", store.root()).output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn an_editor_changes_the_notes_and_loses_no_text() {
    let store = Store::small();
    assert_eq!(edit(&store, "true"), (Some(0), String::new()));
    assert!(!notes_of(&store, "vault").exists());
    assert_eq!(edit(&store, "echo first >>$1"), (Some(0), String::new()));
    assert_eq!(edit(&store, "echo second >>$1"), (Some(0), String::new()));
    assert_eq!(ok(&store, QVM_NOTES, &["-p", "vault"]), "first\nsecond\n\n");
    let (code, words) = edit(&store, "echo third >>$1; exit 3");
    assert!(
        code == Some(1) && words.contains("the notes stay"),
        "{words}"
    );
    assert_eq!(
        fs::read(notes_of(&store, "vault")).unwrap(),
        b"first\nsecond\n"
    );

    let (code, words) = edit(
        &store,
        &format!("echo mine >$1; {QVM_NOTES} -s theirs vault"),
    );
    assert!(
        code == Some(1) && words.contains("changed by somebody else"),
        "{words}"
    );
    assert_eq!(fs::read(notes_of(&store, "vault")).unwrap(), b"theirs");
    let copy = words.trim().rsplit(' ').next().unwrap();
    assert_eq!(fs::read(Path::new(copy)).unwrap(), b"mine\n", "{words}");
}

#[test]
fn concurrent_appends_to_notes_are_all_kept() {
    let store = Store::small();
    let add = |n: usize| {
        store
            .command(QVM_NOTES)
            .args(["--append", &format!("line {n}"), "vault"])
            .spawn()
            .unwrap()
    };
    let children: Vec<_> = (0..12).map(add).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let notes = fs::read_to_string(notes_of(&store, "vault")).unwrap();
    let mut lines: Vec<&str> = notes.lines().collect();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), 12, "{notes}");
}

#[test]
fn while_qubesd_runs_only_reading_works() {
    let store = Store::small();
    fs::create_dir_all(store.root().join("run")).unwrap();
    let _qubesd = UnixListener::bind(store.root().join("run/qubesd.sock")).unwrap();
    refuses(&store, QVM_FEATURES, &["work", "x", "1"], 1, "qubesd");
    refuses(&store, QVM_TAGS, &["work", "add", "x"], 1, "qubesd");
    refuses(&store, QVM_NOTES, &["-s", "x", "work"], 1, "qubesd");
    assert_eq!(
        ok(&store, QVM_NOTES, &["-p", "work"]),
        "Line one\nUnicode: zażółć ☃\n\n"
    );
    assert_eq!(ok(&store, QVM_FEATURES, &["work", "anon-timezone"]), "1\n");
}
