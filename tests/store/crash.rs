//! A save without space or permission leaves the old file whole, and no temporary files. Saves that
//! are killed are tested in `faults.rs`.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use qubes::store::{Read, SaveOutcome, Write};
use qubes_test_support::scratch_store::{Scratch, memory_in, set_memory};
use qubes_test_support::skip;
use qubes_test_support::store_location::store_location;
use qubes_test_support::store_processes::{job, prepare_helper};

const HELPER: &str = "crash::helper_process";

/// Not a test: does the job of a helper process.
#[test]
fn helper_process() {
    let Some((job, dir)) = job() else { return };
    let place = store_location(&dir);
    match job.as_str() {
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

/// Returns whether this process is root; reports a skipped test otherwise.
fn is_root_or_skip(what: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        skip(format_args!("{what} needs root"));
    }
    root
}

/// A small file system mounted at a scratch directory, unmounted when this is dropped.
struct SmallDisk<'d>(&'d Path);

impl SmallDisk<'_> {
    fn mount(at: &Path, kib: u32) -> SmallDisk<'_> {
        let options = format!("size={kib}k");
        mount(
            Some("tmpfs"),
            at,
            Some("tmpfs"),
            MsFlags::empty(),
            Some(options.as_str()),
        )
        .unwrap();
        SmallDisk(at)
    }

    fn make_read_only(&self) {
        mount(
            None::<&str>,
            self.0,
            None::<&str>,
            MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY,
            None::<&str>,
        )
        .unwrap();
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _gone = umount2(self.0, MntFlags::MNT_DETACH);
    }
}

/// Returns the sorted names in a directory.
fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_full_disk_leaves_the_old_file_and_a_later_save_succeeds() {
    if !is_root_or_skip("mounting a small tmpfs") {
        return;
    }
    let scratch = Scratch::new();
    let elsewhere = tempfile::tempdir().unwrap();
    for backup_on_the_full_disk in [true, false] {
        let dir = scratch
            .dir
            .path()
            .join(format!("disk-{backup_on_the_full_disk}"));
        fs::create_dir(&dir).unwrap();
        let _disk = SmallDisk::mount(&dir, 100);
        let mut place = store_location(&dir);
        place.run_dir = elsewhere.path().join("run").into();
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
        assert!(
            message.starts_with("cannot ") && message.contains(": No space left on device"),
            "{message}"
        );
        assert!(!message.contains('\n'), "{message}");
        assert_eq!(fs::read(&place.file).unwrap(), old);
        assert!(
            names(&dir).iter().all(|n| !n.contains('~')),
            "{:?}",
            names(&dir)
        );
        if backup_on_the_full_disk {
            assert!(names(&place.backup_dir).is_empty(), "a partial copy");
        }

        fs::remove_file(&filler).unwrap();
        assert_eq!(
            write.save().unwrap(),
            SaveOutcome::Written,
            "the transaction can still be saved"
        );
        assert_eq!(memory_in(&place.file), "801");
    }
}

#[test]
fn a_read_only_file_system_allows_reading_and_writing_is_an_error() {
    if !is_root_or_skip("mounting a small tmpfs") {
        return;
    }
    let scratch = Scratch::new();
    let dir = scratch.dir.path().join("disk");
    fs::create_dir(&dir).unwrap();
    let disk = SmallDisk::mount(&dir, 200);
    let place = store_location(&dir);
    fs::copy(&scratch.place.file, &place.file).unwrap();
    let mut early = Write::open(&place).unwrap();
    set_memory(&mut early, "801");
    drop(early);
    disk.make_read_only();
    assert_eq!(Read::open(&place).unwrap().len(), 14);
    let message = Write::open(&place).err().unwrap().to_string();
    assert_eq!(
        message,
        format!(
            "cannot write {}: Read-only file system",
            place.file.display()
        )
    );
}

/// Returns the message of a helper process that tries to save as user nobody.
fn try_save_as_nobody(dir: &Path) -> Option<String> {
    let mut command = prepare_helper(HELPER, "try", dir);
    command.uid(65534).gid(65534);
    let output = command.output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .find_map(|l| Some(l.split_once("MESSAGE ")?.1.to_string()))
}

#[test]
fn missing_write_permission_is_an_error_and_changes_nothing() {
    if !is_root_or_skip("becoming another user") {
        return;
    }
    let scratch = Scratch::new();
    let dir = scratch.dir.path();
    let file = &scratch.place.file;
    let old = fs::read(file).unwrap();
    let mode = |path: &Path, mode: u32| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap()
    };
    mode(dir, 0o755);
    mode(file, 0o644);
    let Some(message) = try_save_as_nobody(dir) else {
        return skip("another user cannot run this test's binary");
    };
    assert_eq!(
        message,
        format!("cannot write {}: Permission denied", file.display())
    );

    // The file is writable but its directory is not: neither a copy nor a new file can be created.
    mode(file, 0o666);
    let message = try_save_as_nobody(dir).unwrap();
    let backup = scratch.place.backup_dir.display();
    assert_eq!(
        message,
        format!("cannot copy the store to {backup}: Permission denied")
    );
    fs::create_dir(&scratch.place.backup_dir).unwrap();
    mode(&scratch.place.backup_dir, 0o777);
    let message = try_save_as_nobody(dir).unwrap();
    assert_eq!(
        message,
        format!(
            "cannot make a temporary file beside {}: Permission denied",
            file.display()
        )
    );
    assert_eq!(fs::read(file).unwrap(), old);
    assert!(names(dir).iter().all(|n| !n.contains('~')));
}

#[test]
fn a_save_by_root_keeps_the_owner_of_the_store() {
    if !is_root_or_skip("giving files away") {
        return;
    }
    let scratch = Scratch::new();
    chown(&scratch.place.file, Some(1234), None).unwrap();
    let mut write = Write::open(&scratch.place).unwrap();
    set_memory(&mut write, "801");
    write.save().unwrap();
    assert_eq!(fs::metadata(&scratch.place.file).unwrap().uid(), 1234);
}
