//! Stale temporary files beside the store, and a running qubesd.

use std::fs::{self, File};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, SystemTime};

use qubes::fs::file_lock::{LockMode, lock_with_timeout};
use qubes_test_support::TestSystem;
use qubes_test_support::system::{small_store, stored_property};

/// Creates a file that was last modified two minutes ago.
fn create_stale_file(path: &Path) {
    fs::write(path, "<qubes>\n  half a sto").unwrap();
    let long_ago = SystemTime::now() - Duration::from_secs(120);
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(long_ago)
        .unwrap();
}

#[test]
fn the_next_writer_removes_stale_temporary_files_and_nothing_else() {
    let system = TestSystem::small();
    let beside = |name: &str| system.store_file().with_file_name(name);
    let stale = ["qubes.xml~aB3dE6gH.new", "qubes.xml~00000000.new"];
    stale
        .iter()
        .for_each(|name| create_stale_file(&beside(name)));
    // Names that upstream and users give, and a temporary file of another file.
    let foreign = [
        "qubes.xml~",
        "qubes.xml~k3_9xw2a",
        "qubes.xml~original",
        "qubes.xml~20261121",
        "qubes.xml~aB3dE6gH.new.txt",
        "qubes.xml~a.new",
        "notes~aB3dE6gH.new",
    ];
    foreign
        .iter()
        .for_each(|name| create_stale_file(&beside(name)));
    // Files that are still being written: an old one that is locked, and a new one. Then objects
    // that are not regular files.
    let (locked, young) = (
        beside("qubes.xml~lockedXX.new"),
        beside("qubes.xml~youngXXX.new"),
    );
    create_stale_file(&locked);
    let held = File::options().write(true).open(&locked).unwrap();
    assert!(lock_with_timeout(&held, LockMode::Exclusive, Duration::ZERO).unwrap());
    fs::write(&young, "").unwrap();
    let (directory, link) = (
        beside("qubes.xml~directry.new"),
        beside("qubes.xml~linkXXXX.new"),
    );
    fs::create_dir(&directory).unwrap();
    create_stale_file(&system.path("precious"));
    std::os::unix::fs::symlink(system.path("precious"), &link).unwrap();

    system.ok("qvm-ls --raw-list");
    system.ok("qvm-prefs work memory");
    assert!(beside(stale[0]).exists(), "a reader changes nothing");
    system.ok("qvm-prefs work memory 801");
    for name in stale {
        assert!(!beside(name).exists(), "{name} was not removed");
    }
    for kept in foreign.map(beside).iter().chain([
        &locked,
        &young,
        &directory,
        &link,
        &system.path("precious"),
    ]) {
        assert!(
            kept.symlink_metadata().is_ok(),
            "{} was removed",
            kept.display()
        );
    }
    drop(held);
    system.ok("qvm-prefs work memory 802");
    assert!(!locked.exists(), "the lock's holder is gone");
}

#[test]
fn stale_temporary_files_among_the_copies_are_removed_by_the_next_copy() {
    let system = TestSystem::small();
    let backup = system.path("var/lib/qubes/backup");
    fs::create_dir(&backup).unwrap();
    let (stale, foreign) = (
        "qubes-2026-01-02-03:04:05.xml~aB3dE6gH.new",
        "qubes-mine.xml~aB3dE6gH.new",
    );
    [stale, foreign]
        .iter()
        .for_each(|name| create_stale_file(&backup.join(name)));
    system.ok("qvm-prefs work memory 801");
    assert!(!backup.join(stale).exists() && backup.join(foreign).exists());
}

/// Commands that change the store in different ways.
const WRITING: [&str; 9] = [
    "qvm-prefs work memory 801",
    "qvm-prefs -D work memory",
    "qubes-prefs stats_interval 7",
    "qvm-features work gui 1",
    "qvm-tags work add new-tag",
    "qvm-service work cups on",
    "qvm-create --label red new",
    "qvm-remove --force vault",
    "qubes-db restore 2025-01-02",
];
/// Commands that only read the store.
const READING: [&str; 6] = [
    "qvm-ls",
    "qvm-prefs work memory",
    "qubes-prefs",
    "qvm-features work",
    "qvm-check work",
    "qubes-db diff 2025-01-02",
];

/// Creates a system with a copy of the store.
fn system_with_copy() -> TestSystem {
    let system = TestSystem::small();
    // A pool driver that works on every file system.
    let text = small_store().replace("driver=\"file\"", "driver=\"file-reflink\"");
    fs::write(system.store_file(), &text).unwrap();
    let backup = system.path("var/lib/qubes/backup");
    fs::create_dir(&backup).unwrap();
    fs::write(backup.join("qubes-2025-01-02-03:04:05.xml"), &text).unwrap();
    fs::create_dir_all(system.path("run")).unwrap();
    system.ok("qvm-prefs vault memory 444");
    system
}

#[test]
fn commands_read_but_do_not_write_while_qubesd_runs() {
    let system = system_with_copy();
    let before = fs::read(system.store_file()).unwrap();
    let socket = system.path("run/qubesd.sock");
    let qubesd = UnixListener::bind(&socket).unwrap();
    for line in WRITING {
        let message = system.fails(1, line);
        assert!(
            message.contains(&format!(
                "qubesd is running (it answers at {})",
                socket.display()
            )),
            "{line}: {message}"
        );
        assert!(message.contains("--force-write"), "{line}: {message}");
        assert!(
            fs::read(system.store_file()).unwrap() == before,
            "{line} wrote"
        );
    }
    for line in READING {
        let ran = system.run(line);
        assert!(
            ran.code <= 1 && !ran.stderr.contains("qubesd"),
            "{line}: {ran:?}"
        );
    }
    // A qubesd with a full queue, which accepts no connection, is still running.
    let mut waiting = Vec::new();
    while let Ok(connection) = nonblocking_connection(&socket) {
        waiting.push(connection);
        assert!(waiting.len() < 10_000);
    }
    assert!(system.fails(1, WRITING[0]).contains("qubesd is running"));
    // A store other than the system's own is not qubesd's.
    let elsewhere = system.path("elsewhere.xml");
    fs::write(&elsewhere, small_store()).unwrap();
    system.ok(format!(
        "qvm-prefs --qubesxml {} work memory 801",
        elsewhere.display()
    ));
    assert_eq!(stored_property(&elsewhere, "work", "memory"), "801");

    // A socket without a listener, or a file that is not a socket, does not mean a running qubesd.
    drop(qubesd);
    assert!(socket.exists());
    system.ok("qvm-prefs work memory 801");
    fs::remove_file(&socket).unwrap();
    fs::write(&socket, "").unwrap();
    system.ok("qvm-prefs work memory 802");
    assert_eq!(system.stored_property("work", "memory"), "802");
}

fn nonblocking_connection(path: &Path) -> nix::Result<std::os::fd::OwnedFd> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
    let socket = socket(
        AddressFamily::Unix,
        SockType::Stream,
        SockFlag::SOCK_NONBLOCK,
        None,
    )?;
    connect(
        std::os::fd::AsRawFd::as_raw_fd(&socket),
        &UnixAddr::new(path)?,
    )?;
    Ok(socket)
}

#[test]
fn a_forced_write_beside_qubesd_is_warned_about() {
    let system = system_with_copy();
    let _qubesd = UnixListener::bind(system.path("run/qubesd.sock")).unwrap();
    let warned = |line: &str| {
        let ran = system.run(line);
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
        let lines: Vec<&str> = ran.stderr.lines().collect();
        let tool = line.split(' ').next().unwrap();
        assert_eq!(lines.len(), 1, "{line}: {ran:?}");
        assert!(
            lines[0].starts_with(&format!("{tool}: qubesd is running and does not see")),
            "{line}: {ran:?}"
        );
        assert!(
            lines[0].contains("its next save takes it back unless it is restarted"),
            "{line}: {ran:?}"
        );
    };
    warned("qvm-prefs --force work memory 801");
    assert_eq!(system.stored_property("work", "memory"), "801");
    warned("qvm-prefs --force-write work memory 802");
    warned("qubes-prefs --force stats_interval 7");
    warned("qvm-tags work add new-tag --force");
    warned("qubes-db restore 2025-01-02 --force");
    assert_eq!(system.stored_property("work", "memory"), "800");
    // qvm-remove's --force keeps its older meaning.
    assert!(
        system
            .fails(1, "qvm-remove --force vault")
            .contains("qubesd is running")
    );
    assert_eq!(system.run("qvm-remove --force --force-write vault").code, 0);
    assert!(
        !String::from_utf8(fs::read(system.store_file()).unwrap())
            .unwrap()
            .contains(">vault<")
    );
    // Without a qubesd there is no warning.
    fs::remove_file(system.path("run/qubesd.sock")).unwrap();
    system.ok("qvm-prefs --force work memory 445");
}
