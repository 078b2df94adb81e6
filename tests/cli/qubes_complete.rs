//! Completion: the candidates that the shells get.

use qubes_test_support::TestSystem;

fn complete_on(store: &TestSystem, shell: &str, line: &[&str]) -> Vec<String> {
    let index = (line.len() - 1).to_string();
    let words = [shell, &index].into_iter().chain(line.iter().copied());
    let words: Vec<String> = words.map(String::from).collect();
    let run = store.run(("qubes-complete", &words));
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{line:?}");
    run.stdout.lines().map(String::from).collect()
}

#[test]
fn only_qubes_that_a_command_can_work_on_are_offered() {
    let store = TestSystem::recorded("small.xml");
    let offered = |line: &[&str]| complete_on(&store, "bash", line);
    let has = |line: &[&str], name: &str| offered(line).iter().any(|word| word == name);
    assert!(
        has(&["qvm-prefs", ""], "dom0")
            && has(&["qvm-check", ""], "dom0")
            && has(&["qvm-ls", ""], "remote-work")
    );
    for tool in ["qvm-start", "qvm-kill", "qvm-shutdown", "qvm-notes"] {
        assert!(
            !has(&[tool, ""], "dom0")
                && !has(&[tool, ""], "remote-work")
                && has(&[tool, ""], "work"),
            "{tool}"
        );
    }
    for tool in ["qvm-remove", "qvm-clone"] {
        assert!(
            !has(&[tool, ""], "dom0") && has(&[tool, ""], "remote-work"),
            "{tool}"
        );
    }
    assert_eq!(offered(&["qvm-clone", "work", ""]), [""; 0], "a new name");
    assert_eq!(offered(&["qvm-create", "wo"]), [""; 0], "a new name");
    // A record says that work was started.
    let records = store.root().join("run/qubes/vm");
    std::fs::create_dir_all(&records).unwrap();
    std::fs::write(records.join("work"), "").unwrap();
    assert!(!has(&["qvm-start", ""], "work") && has(&["qvm-start", ""], "vault"));
    assert_eq!(offered(&["qvm-shutdown", ""]), ["work"]);
    assert_eq!(offered(&["qvm-kill", "--all", "--exclude", ""]), ["work"]);
}

#[test]
fn a_store_that_cannot_be_read_has_no_completions_and_no_errors() {
    let store = TestSystem::recorded("small.xml");
    let assert_nothing_offered = || {
        for line in [
            &["qvm-start", ""][..],
            &["qvm-prefs", "work", "netvm", ""],
            &["qvm-create", "-t", ""],
            &["qvm-volume", "info", ""],
            &["qvm-tags", "work", "del", ""],
            &["qubes-db", "restore", ""],
        ] {
            assert_eq!(complete_on(&store, "bash", line), [""; 0], "{line:?}");
        }
    };
    for broken in ["", "<qubes><domains>", "no xml"] {
        std::fs::write(store.store_file(), broken).unwrap();
        assert_nothing_offered();
    }
    std::fs::remove_file(store.store_file()).unwrap();
    assert_nothing_offered();
}
