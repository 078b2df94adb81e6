//! A store in unusual places, or changed by programs that do not lock it. Each command works, or
//! fails with exit code 1 and one line, and then has changed nothing.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MsFlags, mount};
use qubes_test_support::companions::{Companion, python};
use qubes_test_support::system::{small_store, stored_property};
use qubes_test_support::{FileSystem, LoopMount, TestSystem, skip, tool_output, wait_until};

const CHANGE: &str = "qvm-prefs work memory 801";

fn edited(from: &str, to: &str) -> Vec<u8> {
    let text = small_store();
    assert!(text.contains(from));
    text.replacen(from, to, 1).into_bytes()
}

/// Starts a command, lets `meddle` change the store while the command waits for its lock, and
/// returns the command's output.
fn change_during_wait(meddle: impl FnOnce(&Path)) -> (TestSystem, tool_output::ToolOutput) {
    let system = TestSystem::small();
    let directory = system.store_file().parent().unwrap().to_path_buf();
    let holder = Companion::start(python("f = lock()\nready()", &directory), "READY");
    let mut command = system.command(CHANGE);
    command
        .env("RUST_BACKTRACE", "0")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let waiting = command.spawn().unwrap();
    let inode = fs::metadata(system.store_file()).unwrap().ino();
    let descriptors = PathBuf::from(format!("/proc/{}/fd", waiting.id()));
    // The command waits when it has both the store and the queue open.
    let queue = system.path("run/qubes/lock/database.queue");
    wait_until("the command waits for the lock", || {
        let open: Vec<_> = fs::read_dir(&descriptors)
            .into_iter()
            .flatten()
            .flatten()
            .collect();
        let has = |inode_number: u64| {
            open.iter()
                .any(|d| fs::metadata(d.path()).is_ok_and(|m| m.ino() == inode_number))
        };
        queue.exists() && has(inode) && has(fs::metadata(&queue).unwrap().ino())
    });
    meddle(&system.store_file());
    holder.finish();
    let output = waiting.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    (
        system,
        tool_output::ToolOutput {
            code: output.status.code().unwrap(),
            stdout,
            stderr,
        },
    )
}

#[test]
fn an_edit_during_the_wait_for_the_lock_is_kept() {
    let vault = (
        "<property name=\"memory\">",
        "<!-- edited --><property name=\"memory\">",
    );
    let rename = |file: &Path| {
        let new = file.with_extension("new");
        fs::write(&new, edited(vault.0, vault.1)).unwrap();
        fs::rename(new, file).unwrap();
    };
    let in_place = |file: &Path| {
        fs::write(file, edited(vault.0, vault.1)).unwrap();
    };
    for (what, meddle) in [
        ("renamed", &rename as &dyn Fn(&Path)),
        ("written in place", &in_place),
    ] {
        let (system, ran) = change_during_wait(meddle);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{what}");
        assert_eq!(system.stored_property("work", "memory"), "801", "{what}");
        let text = fs::read_to_string(system.store_file()).unwrap();
        assert!(text.contains("<!-- edited -->"), "{what}: the edit is lost");
    }
}

#[test]
fn damage_during_the_wait_for_the_lock_is_reported() {
    let truncate = |file: &Path| {
        File::options()
            .write(true)
            .open(file)
            .unwrap()
            .set_len(0)
            .unwrap()
    };
    let half = |file: &Path| {
        File::options()
            .write(true)
            .open(file)
            .unwrap()
            .set_len(3000)
            .unwrap()
    };
    let remove = |file: &Path| fs::remove_file(file).unwrap();
    let directory = |file: &Path| {
        fs::remove_file(file).unwrap();
        fs::create_dir(file).unwrap();
    };
    for (meddle, expected) in [
        (&truncate as &dyn Fn(&Path), "the file is empty"),
        (&half, ": line "),
        (&remove, "there is no store at"),
        (&directory, "is not a regular file"),
    ] {
        let (system, ran) = change_during_wait(meddle);
        assert_eq!((ran.code, ran.stderr.lines().count()), (1, 1), "{ran:?}");
        assert!(ran.stderr.contains(expected), "{ran:?}");
        let left: Vec<_> = fs::read_dir(system.store_file().parent().unwrap())
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        assert!(
            left.iter().all(|path| *path == system.store_file()),
            "{left:?}"
        );
    }
}

#[test]
fn a_change_between_reading_and_saving_is_not_overwritten() {
    use qubes::store::{LockWait, StoreError, StoreLocation, Write};
    let remove = |file: &Path| fs::remove_file(file).unwrap();
    let truncate = |file: &Path| {
        File::options()
            .write(true)
            .open(file)
            .unwrap()
            .set_len(0)
            .unwrap()
    };
    let directory = |file: &Path| {
        fs::remove_file(file).unwrap();
        fs::create_dir(file).unwrap();
    };
    // The file is the same, but a rename would replace the link.
    let link = |file: &Path| {
        fs::rename(file, file.with_file_name("real.xml")).unwrap();
        symlink("real.xml", file).unwrap();
    };
    for (what, meddle) in [
        ("removed", &remove as &dyn Fn(&Path)),
        ("emptied", &truncate),
        ("a directory", &directory),
        ("a link", &link),
    ] {
        let system = TestSystem::small();
        let place = StoreLocation {
            file: system.store_file(),
            run_dir: system.path("run").into(),
            backup_dir: system.path("backup"),
            qubesd_socket: None,
            group: None,
            wait: LockWait::NONE,
            force: false,
        };
        let mut write = Write::open(&place).unwrap();
        write.draft().unchecked().globals.set("stats_interval", "7");
        meddle(&system.store_file());
        let metadata = |path: &Path| {
            fs::symlink_metadata(path)
                .map(|m| (m.ino(), m.len(), m.is_symlink()))
                .ok()
        };
        let before = metadata(&system.store_file());
        match write.save() {
            Err(error @ StoreError::ChangedWithoutLock { .. }) => {
                assert!(!error.to_string().contains('\n'))
            }
            other => panic!("{what}: {other:?}"),
        }
        assert_eq!(metadata(&system.store_file()), before, "{what}");
    }
}

#[test]
fn a_link_stays_a_link_and_copies_are_beside_its_target() {
    for absolute in [false, true] {
        let system = TestSystem::small();
        let data = system.path("srv/data");
        fs::create_dir_all(&data).unwrap();
        fs::rename(system.store_file(), data.join("real.xml")).unwrap();
        // Through a directory that is a link, and over a second link.
        symlink(
            if absolute { "/srv/data" } else { "data" },
            system.path("srv/link"),
        )
        .unwrap();
        symlink("real.xml", data.join("second.xml")).unwrap();
        // As in a chroot, an absolute link begins at the root.
        let target = if absolute {
            "/srv/link/second.xml"
        } else {
            "../../../srv/link/second.xml"
        };
        symlink(target, system.store_file()).unwrap();
        system.ok(CHANGE);
        system.ok("qvm-prefs work memory 802");
        assert_eq!(
            fs::read_link(system.store_file()).unwrap(),
            Path::new(target)
        );
        assert!(
            fs::symlink_metadata(data.join("second.xml"))
                .unwrap()
                .is_symlink()
        );
        assert_eq!(
            stored_property(&data.join("real.xml"), "work", "memory"),
            "802"
        );
        let copies: Vec<_> = fs::read_dir(data.join("backup"))
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        assert_eq!(copies.len(), 1);
        assert!(fs::read(&copies[0]).unwrap() == small_store().into_bytes());
        assert!(!system.store_file().with_file_name("backup").exists());
    }
}

#[test]
fn dangling_and_looping_links_are_reported() {
    let system = TestSystem::small();
    fs::remove_file(system.store_file()).unwrap();
    symlink("../nowhere/real.xml", system.store_file()).unwrap();
    let target = system.path("var/lib/nowhere/real.xml");
    let expected = format!(
        "there is no store at {}; qubes-create makes one",
        target.display()
    );
    for line in ["qvm-ls", CHANGE, "qvm-check work"] {
        let message = system.fails(1, line);
        assert!(message.ends_with(&expected), "{line}: {message}");
    }
    // The advice works, and the link stays a link.
    system.ok("qubes-create");
    assert!(target.is_file() && system.store_file().is_symlink());
    fs::remove_file(system.store_file()).unwrap();
    symlink("qubes.xml", system.store_file()).unwrap();
    for line in ["qvm-ls", CHANGE] {
        assert!(
            system
                .fails(1, line)
                .ends_with("Too many symbolic links encountered"),
            "{line}: {}",
            system.fails(1, line)
        );
    }
    assert!(
        fs::symlink_metadata(system.store_file())
            .unwrap()
            .is_symlink()
    );
}

#[test]
fn a_store_that_is_not_a_regular_file_is_reported() {
    let system = TestSystem::small();
    fs::remove_file(system.store_file()).unwrap();
    let assert_all_report = || {
        for line in ["qvm-ls", CHANGE, "qvm-check work"] {
            let message = system.fails(1, line);
            assert!(
                // Below this root there is no /dev.
                message.ends_with("qubes.xml is not a regular file")
                    || message.contains("no store at") && message.contains("null;"),
                "{message}"
            );
        }
        fs::remove_file(system.store_file()).unwrap();
    };
    let _listener = UnixListener::bind(system.store_file()).unwrap();
    assert_all_report();
    symlink("/dev/null", system.store_file()).unwrap();
    assert_all_report();
    nix::unistd::mkfifo(&system.store_file(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_all_report();
}

#[test]
fn another_hard_link_keeps_the_old_content() {
    let system = TestSystem::small();
    let other = system.path("other-name.xml");
    fs::hard_link(system.store_file(), &other).unwrap();
    system.ok(CHANGE);
    assert_eq!(system.stored_property("work", "memory"), "801");
    assert!(fs::read(&other).unwrap() == small_store().into_bytes());
}

#[test]
fn nothing_is_saved_if_the_copy_cannot_be_made() {
    let system = TestSystem::small();
    let backup = system.store_file().with_file_name("backup");
    fs::write(&backup, "a file").unwrap();
    let message = system.fails(1, CHANGE);
    assert!(
        message.ends_with(&format!(
            "cannot copy the store to {}: Not a directory",
            backup.display()
        )),
        "{message}"
    );
    assert!(fs::read(system.store_file()).unwrap() == small_store().into_bytes());
    // A link to a directory works.
    fs::remove_file(&backup).unwrap();
    fs::create_dir(system.path("copies")).unwrap();
    symlink(system.path("copies"), &backup).unwrap();
    system.ok(CHANGE);
    assert_eq!(fs::read_dir(system.path("copies")).unwrap().count(), 1);
}

/// Returns whether this process is root; reports a skipped test otherwise.
fn is_root_or_skip(what: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        skip(format_args!("{what} needs root"));
    }
    root
}

/// A file attribute, removed when this is dropped.
struct Attribute(PathBuf, char);

impl Attribute {
    fn set(path: &Path, letter: char) -> Option<Attribute> {
        let set = Command::new("chattr")
            .arg(format!("+{letter}"))
            .arg(path)
            .output();
        set.is_ok_and(|o| o.status.success())
            .then(|| Attribute(path.to_path_buf(), letter))
    }
}

impl Drop for Attribute {
    fn drop(&mut self) {
        let _gone = Command::new("chattr")
            .arg(format!("-{}", self.1))
            .arg(&self.0)
            .output();
    }
}

#[test]
fn an_immutable_store_can_be_read_and_is_not_changed() {
    if !is_root_or_skip("setting file attributes") {
        return;
    }
    let system = TestSystem::small();
    let store = system.store_file();
    let file = |letter| {
        (
            store.clone(),
            letter,
            format!("cannot write {}: Operation not permitted", store.display()),
        )
    };
    let directory = store.parent().unwrap();
    let no_copy = format!(
        "cannot copy the store to {}/backup: Operation not permitted",
        directory.display()
    );
    let cases = [
        file('i'),
        file('a'),
        (directory.to_path_buf(), 'i', no_copy),
    ];
    for (path, letter, expected) in cases {
        let Some(_set) = Attribute::set(&path, letter) else {
            return skip("this file system has no attributes");
        };
        let message = system.fails(1, CHANGE);
        assert!(
            message.ends_with(&expected),
            "{letter} of {}: {message}",
            path.display()
        );
        assert_eq!(system.ok("qvm-prefs work memory"), "800\n");
    }
    system.ok(CHANGE);
}

#[test]
fn a_full_or_read_only_disk_allows_reading_and_leaves_the_store_unchanged() {
    for kind in [FileSystem::Ext4, FileSystem::Btrfs, FileSystem::Xfs] {
        match LoopMount::new(kind) {
            Ok(disk) => check_full_and_read_only(&disk),
            Err(reason) => skip(reason),
        }
    }
}

/// Tests changes on a full disk, then on a read-only one.
fn check_full_and_read_only(disk: &LoopMount) {
    let store = disk.path().join("qubes.xml");
    fs::write(&store, small_store()).unwrap();
    let system = TestSystem::small();
    let on_disk = |line: &str| line.replacen(' ', &format!(" --qubesxml {} ", store.display()), 1);
    let mut filler = File::create(disk.path().join("filler")).unwrap();
    // With ever smaller writes, to fill the disk to the last block.
    for size in [1 << 22, 1 << 16, 1 << 12, 1] {
        while filler
            .write_all(&vec![1; size])
            .and_then(|()| filler.sync_data())
            .is_ok()
        {}
    }
    let message = system.fails(1, on_disk(CHANGE));
    assert!(message.ends_with("No space left on device"), "{message}");
    assert_eq!(system.ok(on_disk("qvm-prefs work memory")), "800\n");
    assert!(fs::read(&store).unwrap() == small_store().into_bytes());
    let temp_files = fs::read_dir(disk.path())
        .unwrap()
        .filter(|e| e.as_ref().unwrap().path().to_string_lossy().contains('~'));
    assert_eq!(temp_files.count(), 0);
    filler.set_len(0).unwrap();
    system.ok(on_disk(CHANGE));
    drop(filler);

    mount(
        None::<&str>,
        &disk.path(),
        None::<&str>,
        MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY,
        None::<&str>,
    )
    .unwrap();
    let message = system.fails(1, on_disk("qvm-prefs work memory 802"));
    assert!(
        message.ends_with(&format!(
            "cannot write {}: Read-only file system",
            store.display()
        )),
        "{message}"
    );
    assert_eq!(system.ok(on_disk("qvm-prefs work memory")), "801\n");
}

#[test]
fn a_save_keeps_owner_and_group_of_the_store() {
    if !is_root_or_skip("giving files away") {
        return;
    }
    let system = TestSystem::small();
    let group = nix::unistd::Group::from_name("qubes")
        .unwrap()
        .map_or(4321, |group| group.gid.as_raw());
    std::os::unix::fs::chown(system.store_file(), Some(1234), Some(group)).unwrap();
    fs::set_permissions(system.store_file(), fs::Permissions::from_mode(0o600)).unwrap();
    system.ok(CHANGE);
    let now = fs::metadata(system.store_file()).unwrap();
    assert_eq!(
        (now.uid(), now.gid(), now.mode() & 0o7777),
        (1234, group, 0o660)
    );
}
