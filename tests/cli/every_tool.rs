//! What holds for every tool: errors, help, and a store that cannot be used.

use std::fs;
use std::os::unix::net::UnixListener;

use qubes::tools::COMMANDS;
use qubes_test_support::TestSystem;

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
        (
            "qvm-prefs",
            &["default-dvm,vault,personal", "vcpus", "3", "-q"],
            &["-q", "-D", "default-dvm,vault,personal", "vcpus"],
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

#[test]
fn a_table_without_a_match_lists_everything_and_warns() {
    let store = TestSystem::recorded("small.xml");
    for (line, more) in [
        ("qvm-ls zz*", "all qubes are listed"),
        ("qvm-volume list zz*", "the volumes of all qubes are listed"),
    ] {
        let ran = store.run(line);
        let whole = store.run(line.trim_end_matches(" zz*"));
        assert_eq!((ran.code, &ran.stdout), (0, &whole.stdout), "{line}");
        assert_eq!(
            ran.stderr,
            format!("warning: no qube matches 'zz*'; {more}\n")
        );
    }
}

#[test]
fn an_unreadable_store_is_reported_with_the_repair() {
    let store = TestSystem::recorded("small.xml");
    fs::write(store.store_file(), "<qubes><domains>").unwrap();
    for line in [
        "qvm-ls",
        "qvm-prefs work",
        "qvm-start work",
        "qvm-create -l red new",
    ] {
        let error = store.fails(1, line);
        let advice = "; qubes-db check tells more, qubes-db repair mends it";
        assert!(error.contains(advice), "{line}: {error}");
    }
}

#[test]
fn a_missing_kernel_is_reported_with_the_directory() {
    let store = TestSystem::created();
    fs::remove_dir_all(store.root().join("var/lib/qubes/vm-kernels")).unwrap();
    let run = store.run("qvm-create -C TemplateVM -l red new");
    let way = "each has a directory with vmlinuz and initramfs in /var/lib/qubes/vm-kernels";
    assert!(run.code == 1 && run.stderr.contains(way), "{run:?}");
}
