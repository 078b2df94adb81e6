//! Tests of qubes-db on stores with which a system does not start: `check` reports each kind of
//! damage with its line and remedy, `diff` and `restore` go back to a copy.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;

use qubes_test_support::TestSystem;
use qubes_test_support::paths::sample;
use qubes_test_support::sound_store::SOUND;

/// Runs `check`, which must exit with `code`, and returns its output.
fn check(store: &TestSystem, code: i32) -> String {
    let ran = store.run("qubes-db check");
    assert_eq!(ran.code, code, "{ran:?}");
    ran.stdout
        .replace(&store.store_file().display().to_string(), "$")
}

/// Returns the line number of `text` in the sound store.
fn line_of(text: &str) -> usize {
    1 + SOUND.lines().position(|l| l.contains(text)).unwrap()
}

/// Upstream loads what it wrote itself, so nothing in it may be an error. (Its latest code writes
/// `False`, which its releases misread: a warning.)
#[test]
fn stores_written_by_upstream_have_no_errors() {
    for name in ["small", "random-1", "random-2", "r40-small", "n1000"] {
        let path = sample(&format!("{name}.xml"));
        let store = TestSystem::with_store(fs::read(path).unwrap());
        let listed = store.run("qubes-db check --json").json();
        for damage in listed.as_array().unwrap() {
            assert_eq!(damage["severity"], "warning", "{name}: {damage}");
            assert!(damage["line"].is_u64(), "{name}: {damage}");
        }
    }
}

#[test]
fn properties_newer_than_the_release_are_reported() {
    let store = TestSystem::with_store(SOUND.replace(r#""memory">400"#, r#""bootmode">default"#));
    assert_eq!(check(&store, 0), "");
    fs::write(
        store.root().join("etc/qubes/core.toml"),
        "[store]\nrelease = \"4.2\"\n",
    )
    .unwrap();
    let output = check(&store, 1);
    assert!(
        output.contains(
            "error: work: Qubes OS 4.2 does not know bootmode (since 4.3)\n    repair: \
                 take property bootmode out"
        ),
        "{output}"
    );
}

#[test]
fn malformed_xml_is_reported_with_the_newest_good_copy() {
    let store = TestSystem::with_store(SOUND.replace("</domains>", "</domain>"));
    store.write_copy("2026-11-18-08:00:00", SOUND);
    store.write_copy("2026-11-19-08:00:00", "<qubes>");
    let output = check(&store, 1);
    let line = line_of("</domains>");
    assert!(
        output.contains(&format!("$:{line}: error: not well-formed XML at column ")),
        "{output}"
    );
    assert!(
        output.contains("the newest copy that loads is 2026-11-18-08:00:00"),
        "{output}"
    );

    let ran = store.run("qubes-db diff 2026-11-18");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.stdout.contains(&format!("-{line}:   </domains>")),
        "{ran:?}"
    );
    assert!(
        ran.stdout.contains(&format!("+{line}:   </domain>")),
        "{ran:?}"
    );
}

#[test]
fn line_numbers_are_right_without_indentation() {
    let flat: Vec<&str> = SOUND.lines().map(str::trim_start).collect();
    let store =
        TestSystem::with_store(flat.join("\n").replace("\"memory\">400", "\"memory\">much"));
    let output = check(&store, 1);
    assert!(
        output.starts_with(&format!(
            "$:{}: error: work: memory",
            line_of("\"memory\">400")
        )),
        "{output}"
    );
}

#[test]
fn file_that_is_not_a_store_is_reported() {
    for (text, why) in [
        ("", "the file is empty"),
        ("<QubesVmCollection/>", "written by Qubes R3 or older"),
        (
            "<html></html>",
            "not a store of Qubes: the root element is <html>",
        ),
    ] {
        let output = check(&TestSystem::with_store(text), 1);
        assert!(output.starts_with(&format!("$: error: {why}")), "{output}");
        assert_eq!(
            output.contains("no copy in "),
            why != "written by Qubes R3 or older",
            "{output}"
        );
    }
}

#[test]
fn missing_store_is_reported_and_can_be_restored() {
    let store = TestSystem::with_store(SOUND);
    store.write_copy("2026-11-18-08:00:00", SOUND);
    fs::remove_file(store.store_file()).unwrap();
    let ran = store.run("qubes-db check");
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("there is no store at"), "{ran:?}");
    assert!(
        ran.stderr
            .contains("the newest copy that loads is 2026-11-18-08:00:00"),
        "{ran:?}"
    );
    assert!(
        store
            .run("qubes-db diff")
            .stderr
            .contains("qubes-db restore 2026-11-18-08:00:00")
    );
    assert!(
        store
            .run("qubes-db history")
            .stdout
            .contains("2026-11-18-08:00:00")
    );

    let ran = store.run("qubes-db restore last");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("there was no store before"), "{ran:?}");
    assert_eq!(store.store(), SOUND);
    assert_eq!(check(&store, 0), "");
}

#[test]
fn history_lists_copies_and_which_of_them_load() {
    let store = TestSystem::with_store(SOUND);
    store.write_copy("2026-11-18-08:00:00", SOUND);
    store.write_copy("2026-11-19-08:00:00", "<qubes>");
    let printed = store.run("qubes-db history").stdout;
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0].starts_with("COPY"), "{printed}");
    assert!(
        lines[1].starts_with("2026-11-18-08:00:00") && lines[1].ends_with("4      loads"),
        "{printed}"
    );
    assert!(
        lines[2].starts_with("2026-11-19-08:00:00") && lines[2].contains("not well-formed"),
        "{printed}"
    );
    let listed = store.run("qubes-db history --json").json();
    assert_eq!(listed[0]["qubes"], 4);
    assert_eq!(listed[0]["error"], serde_json::Value::Null);
}

#[test]
fn diff_describes_changes_in_words() {
    let store = TestSystem::with_store(SOUND);
    store.write_copy("2026-11-18-08:00:00", SOUND);
    let ran = store.run("qubes-db diff");
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{ran:?}");

    let changed = SOUND
        .replace("\"memory\">400", "\"memory\">800")
        .replace("\"default_netvm\">sys-net", "\"default_netvm\">")
        .replace(
            "<feature name=\"service.cups\"></feature>",
            "<feature name=\"service.cups\">1</feature>",
        )
        .replace("<tag name=\"mine\"/>", "<tag name=\"yours\"/>")
        .replace("id=\"sda\"", "id=\"sdb\"")
        .replace("size=\"2147483648\"", "size=\"4294967296\"");
    fs::write(store.store_file(), changed).unwrap();
    let ran = store.run("qubes-db diff");
    assert_eq!(ran.code, 1, "{ran:?}");
    let expected = "system: default_netvm sys-net → (empty)
work: memory 400 → 800
work: feature service.cups (empty) → 1
work: tag mine removed
work: tag yours added
work: block device sda of sys-net (required) removed
work: block device sdb of sys-net (required) added
work: volume private size 2147483648 → 4294967296
";
    assert_eq!(ran.stdout, expected);

    store.write_copy("2026-11-19-08:00:00", &store.store());
    assert_eq!(
        store.run("qubes-db diff 2026-11-18 2026-11-19").stdout,
        expected
    );
    let from = store.copy_path("2026-11-18-08:00:00");
    assert_eq!(
        store
            .run(["qubes-db", "diff", from.to_str().unwrap()])
            .stdout,
        expected,
        "a file by its path"
    );
    let ran = store.run("qubes-db diff 2026-11");
    assert!(
        ran.stderr
            .contains("could mean 2026-11-18-08:00:00, 2026-11-19-08:00:00"),
        "{ran:?}"
    );
}

#[test]
fn restore_keeps_the_replaced_store_and_reports_changes() {
    let changed = SOUND.replace("\"memory\">400", "\"memory\">800");
    for current in [changed.as_str(), "", "<qubes><domains></qubes>"] {
        let store = TestSystem::with_store(current);
        store.write_copy("2026-11-18-08:00:00", SOUND);
        let ran = store.run("qubes-db restore 2026-11-18");
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(store.store(), SOUND);
        let copies = store.copies();
        assert_eq!(copies.len(), 2);
        assert_eq!(fs::read_to_string(&copies[1]).unwrap(), current);
        assert!(ran.stdout.contains("is now "), "{ran:?}");
        assert!(
            ran.stdout.contains(&format!(
                "what was there was kept as {}",
                copies[1].display()
            )),
            "{ran:?}"
        );
        assert_eq!(
            ran.stdout.contains("    work: memory 800 → 400\n"),
            current == changed,
            "{ran:?}"
        );

        let again = store.run("qubes-db restore 2026-11-18");
        assert!(again.stdout.contains("nothing was written"), "{again:?}");
        assert_eq!(store.copies().len(), 2);
    }
}

#[test]
fn oversized_file_is_neither_read_nor_copied() {
    let store = TestSystem::with_store(SOUND);
    store.write_copy("2026-11-18-08:00:00", SOUND);
    fs::File::create(store.store_file())
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    let (file, copies) = (store.store_file(), store.copies());
    let advice = format!(
        "move it away first: mv {0} {0}.odd; the newest copy that loads is 2026-11-18",
        file.display()
    );
    for words in [
        ["restore", "last"],
        ["repair", "--yes"],
        ["convert", "--verbose"],
    ] {
        let ran = store.run(("qubes-db", &words));
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (1, ""),
            "{words:?}: {ran:?}"
        );
        assert!(
            ran.stderr
                .contains("1099511627776 bytes are more than a store can have"),
            "{words:?}: {ran:?}"
        );
        assert!(
            ran.stderr.contains(&advice) && ran.stderr.lines().count() == 1,
            "{words:?}: {ran:?}"
        );
    }
    assert_eq!(store.copies(), copies);
    assert_eq!(fs::metadata(file).unwrap().len(), 1 << 40);
}

#[test]
fn copy_that_does_not_load_is_not_restored() {
    let store = TestSystem::with_store(SOUND);
    store.write_copy("2026-11-18-08:00:00", "<qubes>");
    let ran = store.run("qubes-db restore last");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.stderr.contains("not well-formed XML: line 1")
            && ran.stderr.contains("nothing was changed"),
        "{ran:?}"
    );
    assert_eq!(store.store(), SOUND);
    assert_eq!(store.run("qubes-db restore").code, 2);
    assert_eq!(store.run("qubes-db restore nope").code, 1);
}

#[test]
fn restore_refuses_while_qubesd_runs_unless_forced() {
    let store = TestSystem::with_store(SOUND.replace("\"memory\">400", "\"memory\">800"));
    store.write_copy("2026-11-18-08:00:00", SOUND);
    fs::create_dir_all(store.root().join("run")).unwrap();
    let qubesd = UnixListener::bind(store.root().join("run/qubesd.sock")).unwrap();
    let before = store.store();
    let ran = store.run("qubes-db restore last");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("qubesd is running"), "{ran:?}");
    assert_eq!((store.store(), store.copies().len()), (before, 1));
    assert_eq!(store.run("qubes-db diff").code, 1, "reading is allowed");
    assert_eq!(store.run("qubes-db restore last --force-write").code, 0);
    assert_eq!(store.store(), SOUND);
    drop(qubesd);
}

#[test]
fn dump_agrees_with_upstream() {
    let store = TestSystem::small();
    store.configure("[host]\nmemory_mib = 32404\ncpus = 16\n");
    let ran = store.run("qubes-db dump --json");
    assert_eq!(ran.code, 0, "{ran:?}");
    let upstream = fs::read_to_string(sample("small.dump.json")).unwrap();
    let ours = ran.json();
    let upstream: serde_json::Value = serde_json::from_str(&upstream).unwrap();
    for section in ["globals", "labels", "pools", "domains"] {
        let (ours, upstream) = (
            ours[section].as_object().unwrap(),
            upstream[section].as_object().unwrap(),
        );
        for (name, value) in upstream {
            assert_eq!(ours.get(name), Some(value), "{section} {name}");
        }
        assert_eq!(ours.len(), upstream.len(), "{section}");
    }
}

#[test]
fn advice_to_move_an_unusable_file_away_and_restore_works() {
    type Make = fn(&Path);
    let make: [(&str, Make); 4] = [
        ("FIFO", |path| {
            nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap()
        }),
        ("directory", |path| fs::create_dir(path).unwrap()),
        ("hole", |path| {
            fs::File::create(path).unwrap().set_len(1 << 40).unwrap()
        }),
        ("link to nothing", |path| {
            std::os::unix::fs::symlink("nothing", path).unwrap()
        }),
    ];
    for (what, make) in make {
        let store = TestSystem::with_store(SOUND);
        store.write_copy("2026-11-18-08:00:00", SOUND);
        fs::remove_file(store.store_file()).unwrap();
        make(&store.store_file());
        let output = store.run("qubes-db check").stderr;
        // A dangling link need not be moved: the copy is written to its target.
        let command = output
            .split("move it away first: ")
            .nth(1)
            .and_then(|rest| rest.split(';').next());
        assert!(
            command.is_some() || what == "link to nothing",
            "{what}: {output}"
        );
        let moved = command.is_none_or(|command| {
            std::process::Command::new("sh")
                .arg("-c")
                .arg(command)
                .status()
                .unwrap()
                .success()
        });
        assert!(moved, "{what}: {command:?}");
        let restore = output
            .split("qubes-db restore ")
            .nth(1)
            .unwrap()
            .trim()
            .to_owned();
        let ran = store.run(["qubes-db", "restore", &restore]);
        assert_eq!(ran.code, 0, "{what}: {ran:?}");
    }
}

#[test]
fn a_dump_includes_ephemeral_volumes_and_the_new_gray() {
    let store = TestSystem::recorded("small.xml");
    store.succeeds("qvm-volume config work:volatile ephemeral True");
    let text = fs::read_to_string(store.store_file())
        .unwrap()
        .replacen("0x555555", "0x555753", 1);
    fs::write(store.store_file(), text).unwrap();
    let dump = store.run("qubes-db dump").json();
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
