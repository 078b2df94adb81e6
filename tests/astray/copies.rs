//! A copy of a whole system has the same UUIDs, but its qubes are different ones.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use qubes_test_support::{TestSystem, ToolOutput, binary, libvirt_daemon, skip, tool_output};

use crate::victim::{CONTENT, Trap, Victim};

fn system_with(qube: &str) -> Option<TestSystem> {
    if let Err(reason) = libvirt_daemon::uri() {
        skip(format_args!("no libvirt: {reason}"));
        return None;
    }
    let system = TestSystem::empty().online().with_template();
    system.succeeds(["qvm-create", "--label", "red", "--property", "netvm=", qube]);
    Some(system)
}

fn in_root(root: &Path, line: &str) -> ToolOutput {
    let mut words = line.split_whitespace();
    let mut command = Command::new(binary(words.next().unwrap()));
    tool_output::run(command.args(words).env("QUBES_ROOT", root))
}

fn copy(system: &TestSystem, with_run: bool) -> tempfile::TempDir {
    let copy = tempfile::Builder::new()
        .prefix("qubes-copy-")
        .tempdir()
        .unwrap();
    let copied = Command::new("cp")
        .arg("-a")
        .arg(system.root().join("."))
        .arg(copy.path())
        .status()
        .unwrap();
    assert!(copied.success());
    if !with_run {
        fs::remove_dir_all(copy.path().join("run")).unwrap();
    }
    copy
}

/// The copy is made with and without the records of the original.
#[test]
fn a_copied_root_does_not_control_the_qubes_of_the_original() {
    let Some(first) = system_with("f0") else {
        return;
    };
    first.succeeds("qvm-start f0");
    for with_run in [false, true] {
        let copy = copy(&first, with_run);
        let second = |line: &str| in_root(copy.path(), line);
        assert_eq!(
            second("qvm-ls --raw-data --fields STATE f0").stdout,
            "Halted\n",
            "{with_run}"
        );
        assert_ne!(second("qvm-check --running f0").code, 0, "{with_run}");
        for line in [
            "qvm-kill f0",
            "qvm-shutdown --wait f0",
            "qvm-shutdown --force f0",
            "qubes-recover",
        ] {
            second(line);
            assert_eq!(first.state("f0"), "Running", "{line} {with_run}");
        }
        for line in ["qvm-pause f0", "qvm-unpause f0", "qvm-prefs f0 memory 80"] {
            second(line);
            assert_eq!(first.state("f0"), "Running", "{line} {with_run}");
        }
        let refused = second("qvm-start f0");
        assert_eq!(
            (refused.code, refused.stderr.lines().count()),
            (1, 1),
            "{refused:?}"
        );
        assert!(
            refused
                .stderr
                .contains("runs under the same uuid and belongs to another store"),
            "{refused:?}"
        );
        assert_eq!(first.state("f0"), "Running", "{with_run}");
        assert!(!copy.path().join("run/qubes/vm/f0").exists(), "{with_run}");
        let removed = second("qvm-remove --force f0");
        assert_eq!(
            (removed.code, removed.stderr.as_str()),
            (0, ""),
            "{with_run}: {removed:?}"
        );
        assert_eq!(first.state("f0"), "Running", "{with_run}");
    }
    // If the qube is halted in the original, the copy's qube may start; the original shows it as
    // halted.
    first.succeeds("qvm-kill f0");
    let copy = copy(&first, false);
    let started = in_root(copy.path(), "qvm-start f0");
    assert_eq!(
        (started.code, started.stderr.as_str()),
        (0, ""),
        "{started:?}"
    );
    assert_eq!(first.state("f0"), "Halted");
    first.succeeds("qvm-kill f0");
    assert_eq!(
        in_root(copy.path(), "qvm-ls --raw-data --fields STATE f0").stdout,
        "Running\n"
    );
    assert_eq!(in_root(copy.path(), "qvm-kill f0").code, 0);
    let gone = in_root(copy.path(), "qvm-remove --force f0");
    assert_eq!((gone.code, gone.stderr.as_str()), (0, ""), "{gone:?}");
}

/// The links are in place of the logs and locks of monitor and console.
#[test]
fn a_start_does_not_write_through_links() {
    let Some(system) = system_with("f0") else {
        return;
    };
    let victim = Victim::new(system.path("victim"));
    let run = system.path("run/qubes");
    let (log, console) = (run.join("log/monitor-f0.log"), run.join("console/f0.log"));
    for trap in [
        &log,
        &console,
        &run.join("lock/watches-f0"),
        &run.join("contents"),
    ] {
        Trap::Link.set(trap, &victim);
    }
    system.succeeds("qvm-start f0");
    system.succeeds("qvm-kill f0");
    victim.assert_untouched("links");
    assert!(fs::symlink_metadata(&log).unwrap().is_file());
    // The console log is still found at its usual path.
    assert!(fs::metadata(&console).is_ok_and(|log| log.is_file()));
    for trap in [&log, &console] {
        fs::remove_file(trap).unwrap();
        fs::hard_link(&victim.path, trap).unwrap();
    }
    system.succeeds("qvm-start f0");
    system.succeeds("qvm-kill f0");
    assert_eq!(fs::read_to_string(&victim.path).unwrap(), CONTENT);
    assert_eq!(fs::metadata(&victim.path).unwrap().mode() & 0o7777, 0o600);
    // The directory of the real log, which libvirt's log daemon opens by path, is writable only for
    // this user.
    let real = fs::canonicalize(&console).unwrap();
    let directory = fs::metadata(real.parent().unwrap()).unwrap();
    assert_eq!(directory.uid(), nix::unistd::geteuid().as_raw());
    assert_eq!(
        directory.permissions().mode() & 0o022,
        0,
        "{}",
        real.display()
    );
}

#[test]
fn a_link_as_the_monitor_lock_is_not_followed() {
    let Some(system) = system_with("f0") else {
        return;
    };
    let victim = Victim::new(system.path("victim"));
    let lock = system.path("run/qubes/lock/monitor-f0");
    fs::create_dir_all(lock.parent().unwrap()).unwrap();
    symlink(&victim.path, &lock).unwrap();
    // The start does not need this lock; the monitor reports why it does not watch.
    system.run("qvm-start f0");
    system.run("qvm-kill f0");
    victim.assert_untouched("a link");
    assert_eq!(system.state("f0"), "Halted");
}
