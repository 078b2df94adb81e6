//! A save that is stopped at any system call, runs out of space, or may not write: the old file or the new one, whole,
//! and no litter that somebody could take for it.

#[path = "support/skip.rs"]
mod skip;
#[path = "support/store_processes.rs"]
mod store_processes;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use qubes::store::{Read, Saved, Wait, Write};
use store_processes::{Scratch, job, memory_in, place_in, set_memory, this_binary};

/// Not a test of its own: what the other processes of these tests do.
#[test]
fn helper_process() {
    let Some((job, dir)) = job() else { return };
    let place = place_in(&dir, Wait::NO);
    match job.as_str() {
        "save" => {
            // The marks between which a tracer finds the calls of a save.
            let _none = fs::metadata("/mark-begin");
            let mut write = Write::open(&place).unwrap();
            set_memory(&mut write, "801");
            assert_eq!(write.save().unwrap(), Saved::Written);
            drop(write);
            let _none = fs::metadata("/mark-end");
        }
        "try" => match Write::open(&place) {
            Err(error) => println!("MESSAGE {error}"),
            Ok(mut write) => {
                set_memory(&mut write, "801");
                match write.save() {
                    Err(error) => println!("MESSAGE {error}"),
                    Ok(saved) => println!("MESSAGE {saved:?}"),
                }
            }
        },
        other => panic!("no such job: {other}"),
    }
}

/// A system call of the traced save: its name, and which of its name it is in its thread.
struct Call {
    name: String,
    number: usize,
}

/// The calls between the marks, in order.
fn calls_of_a_save(log: &str) -> Vec<Call> {
    let mut seen: HashMap<(String, String), usize> = HashMap::new();
    let mut calls = Vec::new();
    let mut inside = false;
    for line in log.lines() {
        // `THREAD name(arguments…`; strace counts for each thread alone.
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let Some((name, _)) = call.trim_start().split_once('(') else { continue };
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            continue;
        }
        let number = seen.entry((thread.to_string(), name.to_string())).or_default();
        *number += 1;
        inside |= call.contains("/mark-begin");
        if call.contains("/mark-end") {
            break;
        }
        if inside && !call.contains("/mark-begin") {
            calls.push(Call { name: name.to_string(), number: *number });
        }
    }
    calls
}

fn strace(dir: &Path, arguments: &[&str]) -> Command {
    let helper = this_binary("save", dir);
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "strace.log"]).args(arguments).arg(helper.get_program()).args(helper.get_args());
    command.envs(helper.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(dir);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    command
}

#[test]
fn a_save_killed_at_any_system_call_leaves_the_old_file_or_the_new_one() {
    let scratch = Scratch::new();
    let old = fs::read(&scratch.place.file).unwrap();
    if !strace(scratch.dir.path(), &[]).status().is_ok_and(|s| s.success()) {
        skip::skip("strace is not installed or may not trace here");
        return;
    }
    let new = fs::read(&scratch.place.file).unwrap();
    assert_ne!(old, new);
    let calls = calls_of_a_save(&fs::read_to_string(scratch.dir.path().join("strace.log")).unwrap());
    let called = |name: &str| calls.iter().filter(|c| c.name.starts_with(name)).count();
    // The copy and the file: two syncs of data, two of directories, two renames.
    assert!(called("fsync") == 4 && called("rename") >= 2, "the trace misses the save");

    let (mut left_old, mut left_new) = (0, 0);
    for call in &calls {
        let scratch = Scratch::new();
        let inject = format!("inject={}:signal=KILL:when={}", call.name, call.number);
        let ended = strace(scratch.dir.path(), &["-e", &inject]).status().unwrap();
        let at = format!("{} number {}", call.name, call.number);
        assert!(!ended.success(), "{at} was not reached");
        let bytes = fs::read(&scratch.place.file).unwrap();
        assert!(bytes == old || bytes == new, "killed at {at}: {} bytes", bytes.len());
        left_old += u32::from(bytes == old);
        left_new += u32::from(bytes == new);
        // Whatever was left, the next one reads, locks and saves.
        assert_eq!(Read::open(&scratch.place).unwrap().len(), 14, "killed at {at}");
        let mut write = Write::open(&scratch.place).unwrap();
        set_memory(&mut write, "802");
        assert_eq!(write.save().unwrap(), Saved::Written, "killed at {at}");
    }
    assert!(left_old > 0 && left_new > 0, "killed before ({left_old}) and after ({left_new}) the rename");
}

fn is_root(what: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        skip::skip(format_args!("{what} needs root"));
    }
    root
}

/// A small file system of its own below a scratch directory, gone with this.
struct SmallDisk<'d>(&'d Path);

impl SmallDisk<'_> {
    fn mount(at: &Path, kib: u32) -> SmallDisk<'_> {
        let options = format!("size={kib}k");
        mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), Some(options.as_str())).unwrap();
        SmallDisk(at)
    }

    fn make_read_only(&self) {
        mount(None::<&str>, self.0, None::<&str>, MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, None::<&str>).unwrap();
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _gone = umount2(self.0, MntFlags::MNT_DETACH);
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn on_a_full_disk_the_old_file_stays_and_a_later_save_succeeds() {
    if !is_root("mounting a small tmpfs") {
        return;
    }
    let scratch = Scratch::new();
    let elsewhere = tempfile::tempdir().unwrap();
    for backup_on_the_full_disk in [true, false] {
        let dir = scratch.dir.path().join(format!("disk-{backup_on_the_full_disk}"));
        fs::create_dir(&dir).unwrap();
        let _disk = SmallDisk::mount(&dir, 100);
        let mut place = place_in(&dir, Wait::NO);
        place.run_dir = elsewhere.path().join("run");
        if !backup_on_the_full_disk {
            place.backup_dir = elsewhere.path().join("backup");
        }
        fs::copy(&scratch.place.file, &place.file).unwrap();
        let old = fs::read(&place.file).unwrap();
        let filler = dir.join("filler");
        fs::write(&filler, vec![7; 68 << 10]).unwrap();

        let mut write = Write::open(&place).unwrap();
        set_memory(&mut write, "801");
        let message = write.save().unwrap_err().to_string();
        assert!(message.starts_with("cannot ") && message.contains(": No space left on device"), "{message}");
        assert!(!message.contains('\n'), "{message}");
        assert_eq!(fs::read(&place.file).unwrap(), old);
        assert!(names(&dir).iter().all(|n| !n.contains('~')), "{:?}", names(&dir));
        if backup_on_the_full_disk {
            assert!(names(&place.backup_dir).is_empty(), "no half a copy");
        }

        fs::remove_file(&filler).unwrap();
        assert_eq!(write.save().unwrap(), Saved::Written, "the transaction lives on");
        assert_eq!(memory_in(&place.file), "801");
    }
}

#[test]
fn on_a_read_only_file_system_reading_works_and_writing_says_why_not() {
    if !is_root("mounting a small tmpfs") {
        return;
    }
    let scratch = Scratch::new();
    let dir = scratch.dir.path().join("disk");
    fs::create_dir(&dir).unwrap();
    let disk = SmallDisk::mount(&dir, 200);
    let place = place_in(&dir, Wait::NO);
    fs::copy(&scratch.place.file, &place.file).unwrap();
    let mut early = Write::open(&place).unwrap();
    set_memory(&mut early, "801");
    drop(early);
    disk.make_read_only();
    assert_eq!(Read::open(&place).unwrap().len(), 14);
    let message = Write::open(&place).err().unwrap().to_string();
    assert_eq!(message, format!("cannot write {}: Read-only file system", place.file.display()));
}

/// What the helper says when it tries to save as somebody without rights.
fn message_of_nobody(dir: &Path) -> Option<String> {
    let mut command = this_binary("try", dir);
    command.uid(65534).gid(65534);
    let output = command.output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|l| Some(l.split_once("MESSAGE ")?.1.to_string()))
}

#[test]
fn who_may_not_write_is_told_so_and_changes_nothing() {
    if !is_root("becoming somebody else") {
        return;
    }
    let scratch = Scratch::new();
    let dir = scratch.dir.path();
    let file = &scratch.place.file;
    let old = fs::read(file).unwrap();
    let mode = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(dir, 0o755);
    mode(file, 0o644);
    let Some(message) = message_of_nobody(dir) else {
        println!("skipped: another user cannot run this test's binary");
        return;
    };
    assert_eq!(message, format!("cannot write {}: Permission denied", file.display()));

    // The file would be writable, its directory is not: neither a copy nor a new file can be made.
    mode(file, 0o666);
    let message = message_of_nobody(dir).unwrap();
    let backup = scratch.place.backup_dir.display();
    assert_eq!(message, format!("cannot copy the store to {backup}: Permission denied"));
    fs::create_dir(&scratch.place.backup_dir).unwrap();
    mode(&scratch.place.backup_dir, 0o777);
    let message = message_of_nobody(dir).unwrap();
    assert_eq!(message, format!("cannot make a temporary file beside {}: Permission denied", file.display()));
    assert_eq!(fs::read(file).unwrap(), old);
    assert!(names(dir).iter().all(|n| !n.contains('~')));
}

#[test]
fn root_leaves_a_store_to_its_owner() {
    if !is_root("giving files away") {
        return;
    }
    let scratch = Scratch::new();
    chown(&scratch.place.file, Some(1234), None).unwrap();
    let mut write = Write::open(&scratch.place).unwrap();
    set_memory(&mut write, "801");
    write.save().unwrap();
    assert_eq!(fs::metadata(&scratch.place.file).unwrap().uid(), 1234);
}
