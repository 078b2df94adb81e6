//! Only one process writes at a time, and readers do not wait.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use qubes::store::{LockWait, Read, StoreError, StoreLocation, Write};
use qubes_test_support::companions::{Companion, python};
use qubes_test_support::scratch_store::{Scratch, edit, memory_in, set_memory};
use qubes_test_support::store_location::store_location_with_wait;
use qubes_test_support::store_processes::{job, prepare_helper};
use qubes_test_support::wait_until;

/// How often each counting process adds one.
const ROUNDS: u32 = 25;

const HELPER: &str = "lock::helper_process";

/// Not a test: does the job of a helper process.
#[test]
fn helper_process() {
    let Some((job, dir)) = job() else { return };
    let place = store_location_with_wait(&dir, LockWait::up_to(Duration::from_secs(120)));
    match job.as_str() {
        "hold" => {
            let _held = Write::open(&place).unwrap();
            print_and_wait("READY");
        }
        "count" => {
            for _ in 0..ROUNDS {
                let mut write = Write::open(&place).unwrap();
                let memory: u32 = write
                    .get("work")
                    .unwrap()
                    .properties
                    .get("memory")
                    .unwrap()
                    .parse()
                    .unwrap();
                set_memory(&mut write, &(memory + 1).to_string());
                write.save().unwrap();
            }
        }
        other => panic!("no such job: {other}"),
    }
}

/// Prints that this helper process is ready, and waits until its standard input ends.
fn print_and_wait(ready: &str) {
    println!("{ready}");
    std::io::stdout().flush().unwrap();
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}

/// Returns the location of the store with a wait of 60 s.
fn location_with_wait(scratch: &Scratch) -> StoreLocation {
    store_location_with_wait(scratch.dir.path(), LockWait::up_to(Duration::from_secs(60)))
}

fn is_busy(place: &StoreLocation) -> bool {
    matches!(Write::open(place), Err(StoreError::Busy { .. }))
}

/// Returns how many descriptors this process has of the inode.
fn count_descriptors(inode: u64) -> usize {
    let descriptors = fs::read_dir("/proc/self/fd").unwrap();
    descriptors
        .filter(|d| fs::metadata(d.as_ref().unwrap().path()).is_ok_and(|m| m.ino() == inode))
        .count()
}

#[test]
fn a_writer_that_waited_on_a_replaced_file_locks_the_new_one() {
    let scratch = Scratch::new();
    let old_inode = fs::metadata(&scratch.place.file).unwrap().ino();
    let mut first = Write::open(&scratch.place).unwrap();
    let place = location_with_wait(&scratch);
    let second = thread::spawn(move || {
        let mut second = Write::open(&place).unwrap();
        let seen = second
            .get("work")
            .unwrap()
            .properties
            .get("memory")
            .unwrap()
            .to_string();
        edit(&mut second, "vault").properties.set("memory", "333");
        second.save().unwrap();
        seen
    });
    wait_until("the second writer waits on the old file", || {
        count_descriptors(old_inode) >= 2
    });
    set_memory(&mut first, "801");
    first.save().unwrap();
    assert!(
        !second.is_finished(),
        "the lock is still held after the save"
    );
    drop(first);
    assert_eq!(
        second.join().unwrap(),
        "801",
        "the second writer read what the first had saved"
    );
    let qubes = Read::open(&scratch.place).unwrap();
    assert_eq!(
        qubes.get("work").unwrap().properties.get("memory"),
        Some("801")
    );
    assert_eq!(
        qubes.get("vault").unwrap().properties.get("memory"),
        Some("333")
    );
}

#[test]
fn the_lock_is_held_across_several_saves() {
    let scratch = Scratch::new();
    let mut write = Write::open(&scratch.place).unwrap();
    for memory in ["801", "802", "803"] {
        set_memory(&mut write, memory);
        write.save().unwrap();
        assert_eq!(memory_in(&scratch.place.file), memory);
        assert!(is_busy(&scratch.place), "the lock is free after a save");
        let attempt = "lock(fcntl.LOCK_EX | fcntl.LOCK_NB)";
        let python = python(attempt, scratch.dir.path())
            .stderr(std::process::Stdio::piped())
            .output()
            .unwrap();
        assert!(
            String::from_utf8_lossy(&python.stderr).contains("BlockingIOError"),
            "Python took the lock after a save"
        );
    }
    drop(write);
    assert!(!is_busy(&scratch.place));
}

#[test]
fn no_update_is_lost_between_three_rust_and_three_python_writers() {
    let scratch = Scratch::new();
    // Every other time in place, as a foreign program may do.
    let program = format!(
        "
for n in range({ROUNDS}):
    f = lock()
    text = f.read()
    at = text.index(b'name=\"name\">work<')
    start = text.rindex(b'<domain ', 0, at)
    add = lambda m: m[1] + str(int(m[2]) + 1).encode()
    text = text[:start] + re.sub(rb'(name=\"memory\">)(\\d+)', add, text[start:], count=1)
    if n % 2:
        f.seek(0); f.truncate(); f.write(text); f.flush()
    else:
        new = PATH + '~python' + str(os.getpid())
        with open(new, 'wb') as out:
            out.write(text)
        os.rename(new, PATH)
    f.close()
"
    );
    let ours = (0..3).map(|_| prepare_helper(HELPER, "count", scratch.dir.path()));
    let theirs = (0..3).map(|_| python(&program, scratch.dir.path()));
    let crowd: Vec<_> = ours.chain(theirs).map(|mut c| c.spawn().unwrap()).collect();
    for mut process in crowd {
        assert!(process.wait().unwrap().success());
    }
    assert_eq!(
        memory_in(&scratch.place.file),
        (800 + 6 * ROUNDS).to_string()
    );
}

#[test]
fn a_lock_timeout_names_pid_and_command_of_the_holder() {
    let scratch = Scratch::new();
    let check = |companion: Companion, command: &str| {
        for (place, ending) in [
            (scratch.place.clone(), "not waiting"),
            (
                store_location_with_wait(
                    scratch.dir.path(),
                    LockWait::up_to(Duration::from_secs(1)),
                ),
                "gave up after 1 s",
            ),
        ] {
            let message = Write::open(&place).err().unwrap().to_string();
            let pid = companion.child.id();
            let expected = format!("{} is locked by pid {pid} (", place.file.display());
            assert!(
                message.starts_with(&expected) && message.contains(command),
                "{message}"
            );
            assert!(
                message.ends_with(ending) && !message.contains('\n'),
                "{message}"
            );
        }
        companion.finish();
    };
    let exe = std::env::current_exe().unwrap();
    let ours = Companion::start(prepare_helper(HELPER, "hold", scratch.dir.path()), "READY");
    check(ours, &format!("{} --exact {HELPER}", exe.display()));
    let theirs = Companion::start(python("f = lock()\nready()", scratch.dir.path()), "READY");
    check(theirs, "python3 -c");
}

#[test]
fn a_reader_does_not_wait_for_a_writer() {
    let scratch = Scratch::new();
    let mut write = Write::open(&scratch.place).unwrap();
    set_memory(&mut write, "801");
    let begun = Instant::now();
    let memory = |qubes: &Read| {
        qubes
            .get("work")
            .unwrap()
            .properties
            .get("memory")
            .unwrap()
            .to_string()
    };
    assert_eq!(
        memory(&Read::open(&location_with_wait(&scratch)).unwrap()),
        "800"
    );
    write.save().unwrap();
    assert_eq!(
        memory(&Read::open(&location_with_wait(&scratch)).unwrap()),
        "801"
    );
    drop(write);
    let python = Companion::start(python("f = lock()\nready()", scratch.dir.path()), "READY");
    assert_eq!(
        memory(&Read::open(&location_with_wait(&scratch)).unwrap()),
        "801"
    );
    python.finish();
    assert!(begun.elapsed() < Duration::from_secs(30), "a reader waited");
}

/// A file that is renamed over while it is read gets a new change time and nothing else. The writer
/// only locks and renames, so that it overtakes many readers.
#[test]
fn a_reader_does_not_wait_when_the_file_is_renamed_over() {
    let scratch = Scratch::new();
    let text = fs::read(&scratch.place.file).unwrap();
    let read = AtomicBool::new(false);
    thread::scope(|scope| {
        let renamer = scope.spawn(|| {
            let next = scratch.dir.path().join("next");
            let mut locked = Vec::new();
            while !read.load(Ordering::Relaxed) {
                fs::write(&next, &text).unwrap();
                let file = fs::OpenOptions::new().write(true).open(&next).unwrap();
                let whole = nix::libc::flock {
                    l_type: nix::libc::F_WRLCK as i16,
                    l_whence: 0,
                    l_start: 0,
                    l_len: 0,
                    l_pid: 0,
                };
                fcntl(&file, FcntlArg::F_OFD_SETLK(&whole)).unwrap();
                fs::rename(&next, &scratch.place.file).unwrap();
                // The previous files stay locked: a reader may just have opened one.
                locked.push(file);
                if locked.len() > 8 {
                    locked.remove(0);
                }
            }
        });
        // This location does not allow waiting: a reader that would wait fails with `Busy`.
        let reads: Vec<_> = (0..400)
            .map(|_| Read::open(&scratch.place).map(drop))
            .collect();
        read.store(true, Ordering::Relaxed);
        renamer.join().unwrap();
        assert!(
            reads.iter().all(Result::is_ok),
            "{:?}",
            reads.iter().find(|r| r.is_err())
        );
    });
}

#[test]
fn a_reader_leaves_no_lock_behind() {
    let scratch = Scratch::new();
    let _read = Read::open(&scratch.place).unwrap();
    assert!(!is_busy(&scratch.place));
}

#[test]
fn a_half_written_file_is_not_read_as_the_store() {
    let scratch = Scratch::new();
    let program = "\
f = lock()
text = f.read()
f.truncate(len(text) // 2)
ready()
f.seek(0)
f.write(text)
f.close()";
    let python = Companion::start(python(program, scratch.dir.path()), "READY");
    let without_wait = Read::open(&scratch.place).err().unwrap();
    assert!(
        without_wait
            .to_string()
            .contains(&format!("locked by pid {}", python.child.id())),
        "{without_wait}"
    );
    let place = location_with_wait(&scratch);
    let reader = thread::spawn(move || Read::open(&place).unwrap().len());
    python.finish();
    assert_eq!(reader.join().unwrap(), 14);
}

#[test]
fn a_held_read_keeps_out_writers_but_not_readers() {
    let scratch = Scratch::new();
    let held = Read::hold(&scratch.place).unwrap();
    assert!(is_busy(&scratch.place));
    let second = Read::hold(&scratch.place).unwrap();
    Read::open(&scratch.place).unwrap();
    drop(held);
    assert!(is_busy(&scratch.place));
    drop(second);
    let write = Write::open(&scratch.place).unwrap();
    assert!(matches!(
        Read::hold(&scratch.place),
        Err(StoreError::Busy { .. })
    ));
    drop(write);
    Read::hold(&scratch.place).unwrap();
}

#[test]
fn a_dead_process_is_not_named_as_the_holder() {
    let scratch = Scratch::new();
    let note = scratch.place.run_dir.path().join("lock/database.holder");
    let _held = Read::hold(&scratch.place).unwrap();
    fs::create_dir_all(note.parent().unwrap()).unwrap();
    fs::write(&note, "4194303 pid 4194303 (long gone)\n").unwrap();
    let message = Write::open(&scratch.place).err().unwrap().to_string();
    assert!(
        message.contains("locked by another process") && !message.contains("long gone"),
        "{message}"
    );
}
