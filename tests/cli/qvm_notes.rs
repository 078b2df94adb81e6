//! qvm-notes: setting, appending, editing and deleting.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use qubes_test_support::{TestSystem, binary};

fn notes_of(store: &TestSystem, qube: &str) -> PathBuf {
    store
        .root()
        .join("var/lib/qubes/appvms")
        .join(qube)
        .join("notes.txt")
}

#[test]
fn notes_are_set_appended_and_deleted() {
    let store = TestSystem::recorded("small.xml");
    store.ok(["qvm-notes", "--set", "one\u{202e}\x1b", "vault"]);
    store.ok("qvm-notes --append two vault");
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
    assert_eq!(store.ok("qvm-notes -p vault"), "one__\ntwo\n");
    assert_eq!(store.run_with_input("qvm-notes -d vault", "no\n").code, 2);
    assert!(notes_of(&store, "vault").exists());
    assert_eq!(store.run_with_input("qvm-notes -d vault", "y\n").code, 0);
    assert!(!notes_of(&store, "vault").exists());
    store.ok("qvm-notes -f -d vault");
    assert_eq!(store.ok("qvm-notes -p vault"), "\n");
}

/// Edits the notes of vault with this shell script as the editor; its `$1` is the file.
fn edit(store: &TestSystem, script: &str) -> (Option<i32>, String) {
    let editor = store.root().join("editor");
    fs::write(&editor, script).unwrap();
    let mut command: Command = store.command("qvm-notes");
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
    let store = TestSystem::recorded("small.xml");
    assert_eq!(edit(&store, "true"), (Some(0), String::new()));
    assert!(!notes_of(&store, "vault").exists());
    assert_eq!(edit(&store, "echo first >>$1"), (Some(0), String::new()));
    assert_eq!(edit(&store, "echo second >>$1"), (Some(0), String::new()));
    assert_eq!(store.ok("qvm-notes -p vault"), "first\nsecond\n\n");
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
        &format!(
            "echo mine >$1; {} -s theirs vault",
            binary("qvm-notes").display()
        ),
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
    let store = TestSystem::recorded("small.xml");
    let add = |n: usize| {
        store
            .command("qvm-notes")
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
fn notes_that_are_too_long_or_not_text_are_refused() {
    let store = TestSystem::recorded("small.xml");
    store.refuses(
        2,
        [
            "qvm-notes",
            "-s",
            &"x".repeat(100_000),
            "--append",
            "y",
            "work",
        ],
        "not allowed with",
    );
    let large = store.root().join("large");
    fs::write(&large, "x".repeat(256_001)).unwrap();
    store.refuses(
        1,
        ["qvm-notes", "-i", large.to_str().unwrap(), "work"],
        "256000 bytes",
    );
    fs::write(&large, "x".repeat(256_000)).unwrap();
    store.ok(["qvm-notes", "-i", large.to_str().unwrap(), "work"]);
    store.refuses(1, "qvm-notes --append y work", "would have 256002 bytes");
    fs::write(&large, b"\xff\xfe").unwrap();
    store.refuses(
        1,
        ["qvm-notes", "-i", large.to_str().unwrap(), "work"],
        "not UTF-8",
    );
}
