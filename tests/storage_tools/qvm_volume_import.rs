//! qvm-volume import: the volume keeps its data until the new ones are complete, whatever happens.

use std::fs;
use std::io::Write as _;
use std::time::{Duration, Instant};

use qubes_test_support::FileSystem;
use qubes_test_support::strace::{Call, calls, strace_command};
use qubes_test_support::tool_output::wait_for;

use crate::system::{MIB, System, random_bytes};

/// Returns the files into which an import is writing.
fn unfinished_imports(system: &System) -> Vec<String> {
    let names = system.names("appvms/work");
    names
        .into_iter()
        .filter(|name| name.starts_with("private-import.img"))
        .collect()
}

/// Waits until an import has begun to write.
fn wait_until_written(system: &System) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let has_data = |name: &String| system.disk_usage(&format!("appvms/work/{name}")) >= MIB;
    while !unfinished_imports(system).iter().any(has_data) {
        assert!(Instant::now() < deadline, "no import began");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_file_a_pipe_and_a_part_of_a_file_become_the_volume() {
    for (kind, system) in System::everywhere() {
        let data = random_bytes(5 * MIB, 1);
        let file = system.file("data", &data);
        system.ok(format!("qvm-volume import work:private {}", file.display()));
        assert!(system.bytes("appvms/work/private.img") == data, "{kind:?}");
        assert_eq!(
            system.stored_attribute("work", "private", "size").unwrap(),
            (5 * MIB).to_string()
        );

        let other = random_bytes(3 * MIB, 2);
        let ran = system.run_with_input("qvm-volume import work:private -", &other);
        assert_eq!(
            (ran.code, &*ran.stdout, &*ran.stderr),
            (0, "", ""),
            "{kind:?}: no terminal, no words"
        );
        assert!(
            system.bytes("appvms/work/private.img") == other,
            "{kind:?}: as long as what came"
        );

        let mut from_file = system.command("qvm-volume import work:private -");
        from_file.stdin(fs::File::open(&file).unwrap());
        assert!(from_file.status().unwrap().success());
        assert!(system.bytes("appvms/work/private.img") == data, "{kind:?}");

        system.ok("qvm-volume resize work:private 8MiB");

        system.ok(format!(
            "qvm-volume import --no-resize work:private {}",
            file.display()
        ));
        let image = system.bytes("appvms/work/private.img");
        assert!(
            image.len() as u64 == 8 * MIB && image.starts_with(&data),
            "{kind:?}"
        );
    }
}

#[test]
fn zeros_take_no_space() {
    let Some(system) = System::on(FileSystem::Btrfs) else {
        return;
    };
    let mut data = vec![0; 64 * MIB as usize];
    data[40 * MIB as usize..41 * MIB as usize].copy_from_slice(&random_bytes(MIB, 1));
    let ran = system.run_with_input("qvm-volume import work:private -", &data);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(system.bytes("appvms/work/private.img") == data);
    assert!(system.disk_usage("appvms/work/private.img") <= 2 * MIB);
}

#[test]
fn data_that_do_not_fit_or_do_not_exist_change_nothing() {
    let system = System::new();
    let data = random_bytes(2 * MIB, 1);
    let file = system.file("data", &data);
    let file = file.display();
    let empty = system.file("empty", b"");
    for (line, words) in [
        (
            format!("import --size 1MiB work:private {file}"),
            "Error: work:private: nothing was imported: the data have 2097152 bytes, but the \
             volume gets 1048576",
        ),
        (
            format!("import work:private {}", empty.display()),
            "Error: work:private: nothing was imported: there are no data; to empty a volume, use \
             'qvm-volume clear'",
        ),
        (
            format!("import work:root {file}"),
            "Error: work:root: it is not kept from start to start, so there is nothing to put \
             data into",
        ),
        (
            format!("import --size 8MiB work:private {file}"),
            "Error: work:private: nothing was imported: not enough data (2097152 bytes, expected \
             8388608)",
        ),
        (
            format!("import --size 1.5G work:private {file}"),
            "Error: Invalid size: 1.5G.",
        ),
        (
            "import work:private /nonexistent".to_string(),
            "Error: /nonexistent: No such file or directory",
        ),
        (
            "import work:private /".to_string(),
            "Error: cannot look at the data to import: is a directory",
        ),
    ] {
        assert_eq!(system.refuses(1, &format!("qvm-volume {line}")), words);
    }
    let too_many = system.refuses_with_input("qvm-volume import --size 1MiB work:private -", &data);
    assert_eq!(
        too_many,
        "Error: work:private: nothing was imported: the data have more than the 1048576 bytes \
         that the volume gets"
    );
    let too_few = system.refuses_with_input("qvm-volume import --size 8MiB work:private -", &data);
    assert_eq!(
        too_few,
        "Error: work:private: nothing was imported: not enough data (2097152 bytes, expected \
         8388608)"
    );
    let none = system.refuses_with_input("qvm-volume import work:private -", b"");
    assert!(
        none.ends_with("there are no data; to empty a volume, use 'qvm-volume clear'"),
        "{none}"
    );
}

#[test]
fn a_full_disk_in_the_middle_leaves_the_old_data() {
    for (kind, system) in System::everywhere() {
        let old = random_bytes(2 * MIB, 1);
        let file = system.file("data", &old);
        system.ok(format!("qvm-volume import work:private {}", file.display()));
        let hog = fs::File::create(system.path("/hog")).unwrap();
        let (room, all) = (
            nix::sys::statvfs::statvfs(&system.path("/")).unwrap(),
            nix::fcntl::FallocateFlags::empty(),
        );
        let most = room.blocks_available() * room.fragment_size() - 40 * MIB;
        nix::fcntl::fallocate(&hog, all, 0, i64::try_from(most).unwrap()).unwrap();
        let refused = system.refuses_with_input(
            "qvm-volume import work:private -",
            &random_bytes(64 * MIB, 2),
        );
        assert!(
            refused.contains("No space left on device"),
            "{kind:?}: {refused}"
        );
        assert!(system.bytes("appvms/work/private.img") == old, "{kind:?}");
        assert_eq!(unfinished_imports(&system), [""; 0], "{kind:?}");
    }
}

#[test]
fn a_killed_import_leaves_the_old_data_and_the_next_one_clears_its_leftovers() {
    for (kind, system) in System::everywhere() {
        let old = random_bytes(2 * MIB, 1);
        let file = system.file("data", &old);
        system.ok(format!("qvm-volume import work:private {}", file.display()));
        let mut import = system.spawn("qvm-volume import work:private -");
        let mut pipe = import.stdin.take().unwrap();
        pipe.write_all(&random_bytes(4 * MIB, 2)).unwrap();
        wait_until_written(&system);
        import.kill().unwrap();
        import.wait().unwrap();
        drop(pipe);
        assert!(system.bytes("appvms/work/private.img") == old, "{kind:?}");
        assert_eq!(
            system.stored_attribute("work", "private", "size").unwrap(),
            (2 * MIB).to_string(),
            "{kind:?}"
        );
        assert_eq!(
            unfinished_imports(&system).len(),
            1,
            "{kind:?}: this is what it was writing to"
        );
        let new = random_bytes(MIB, 3);
        let ran = system.run_with_input("qvm-volume import work:private -", &new);
        assert_eq!(ran.code, 0, "{kind:?}: {ran:?}");
        assert!(system.bytes("appvms/work/private.img") == new, "{kind:?}");
        assert_eq!(unfinished_imports(&system), [""; 0], "{kind:?}");
    }
}

#[test]
fn a_concurrent_import_is_refused_and_other_commands_do_not_wait() {
    let system = System::new();
    let mut first = system.spawn("qvm-volume import work:private -");
    let mut pipe = first.stdin.take().unwrap();
    let data = random_bytes(4 * MIB, 1);
    pipe.write_all(&data).unwrap();
    wait_until_written(&system);

    let begun = Instant::now();
    let second = system.run_with_input("qvm-volume import work:private -", b"other data");
    assert_eq!(second.code, 1, "{second:?}");
    let words = format!(
        "work is being worked on by another command: another import into it is in progress (pid {}",
        first.id()
    );
    assert!(second.stderr.contains(&words), "{second:?}");
    // Neither the qube nor the store is locked meanwhile.
    system.ok("qvm-volume resize work:volatile 12GiB");
    system.ok("qvm-prefs work memory 500");
    assert!(begun.elapsed() < Duration::from_secs(30), "somebody waited");
    drop(pipe);
    let first = wait_for(first);
    assert_eq!((first.code, &*first.stderr), (0, ""));
    assert!(system.bytes("appvms/work/private.img") == data);
    assert_eq!(
        system.ok("qvm-prefs work memory"),
        "500\n",
        "what was saved meanwhile is not lost"
    );
}

#[test]
fn a_change_of_the_volume_meanwhile_stops_the_import() {
    let system = System::new();
    let old = random_bytes(MIB, 1);
    let file = system.file("data", &old);
    system.ok(format!("qvm-volume import work:private {}", file.display()));
    let mut changed = system.spawn("qvm-volume import work:private -");
    let mut pipe = changed.stdin.take().unwrap();
    pipe.write_all(&random_bytes(4 * MIB, 2)).unwrap();
    wait_until_written(&system);
    system.ok("qvm-volume config work:private revisions_to_keep 7");
    drop(pipe);
    let changed = wait_for(changed);
    assert_eq!(
        (changed.code, &*changed.stderr),
        (
            1,
            "Error: work:private: nothing was imported: the volume's options were changed \
             meanwhile\n"
        )
    );
    assert!(system.bytes("appvms/work/private.img") == old);

    let mut removed = system.spawn("qvm-volume import work:private -");
    let mut pipe = removed.stdin.take().unwrap();
    pipe.write_all(&random_bytes(4 * MIB, 2)).unwrap();
    wait_until_written(&system);
    system.ok("qvm-remove -f work");
    drop(pipe);
    let removed = wait_for(removed);
    assert_eq!(
        (
            removed.code,
            removed
                .stderr
                .contains("nothing was imported: the qube was removed meanwhile")
        ),
        (1, true),
        "{removed:?}"
    );
    assert!(
        !system.image("appvms/work").exists(),
        "nothing is left of it"
    );
}

/// System calls that change a file or a directory. A new file stays empty until the next of them.
const CHANGING: [&str; 15] = [
    "ioctl",
    "fchmod",
    "fchown",
    "ftruncate",
    "pwrite64",
    "copy_file_range",
    "fsync",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "utimensat",
];

fn imported(system: &System, file: &std::path::Path) -> std::process::Command {
    let mut command = system.command("qvm-volume import work:private");
    command.arg(file);
    command
}

#[test]
fn an_import_killed_at_any_step_leaves_old_or_new_data_and_can_be_repeated() {
    if std::process::Command::new("strace")
        .arg("-V")
        .output()
        .is_err()
    {
        return qubes_test_support::skip("strace is not installed");
    }
    let contents = [random_bytes(MIB, 1), random_bytes(2 * MIB, 2)];
    // A file system that shares blocks, and one that copies them.
    for (kind, call_of_its_own) in [
        (FileSystem::Btrfs, "ioctl"),
        (FileSystem::Ext4, "copy_file_range"),
    ] {
        let Some(system) = System::on(kind) else {
            return;
        };
        let files = [
            system.file("data0", &contents[0]),
            system.file("data1", &contents[1]),
        ];
        let import_whole = |which: usize| {
            system.ok(format!(
                "qvm-volume import work:private {}",
                files[which].display()
            ));
            assert!(
                system.bytes("appvms/work/private.img") == contents[which],
                "{kind:?}"
            );
        };
        // The second import finds the directories of locks and the day's copy of the store.
        [0, 1, 0].into_iter().for_each(import_whole);
        let log = system.path("/trace");
        let traced = strace_command(
            &imported(&system, &files[1]),
            &["-o", &log.display().to_string()],
        )
        .status();
        assert!(traced.unwrap().success());
        let steps: Vec<Call> = calls(&log)
            .into_iter()
            .filter(|call| CHANGING.contains(&&*call.name))
            .collect();
        assert!(
            steps.iter().any(|call| call.name == call_of_its_own),
            "{kind:?}: {steps:?}"
        );
        let (mut old, mut new) = (0, 0);
        for call in &steps {
            import_whole(0);
            let inject = format!("inject={}:signal=KILL:when={}", call.name, call.number);
            let trace = format!("trace={}", call.name);
            let options = ["-o", "/dev/null", "-e", &trace, "-e", &inject];
            let mut killed = strace_command(&imported(&system, &files[1]), &options);
            let killed = killed.stderr(std::process::Stdio::null()).status().unwrap();
            let when = format!("{kind:?}: killed before {}", call.describe());
            assert_eq!(
                std::os::unix::process::ExitStatusExt::signal(&killed),
                Some(9),
                "{when}: it was not reached"
            );
            match system.bytes("appvms/work/private.img") {
                image if image == contents[0] => old += 1,
                image if image == contents[1] => new += 1,
                image => panic!("{when}: {} bytes that are neither", image.len()),
            }
        }
        assert!(
            old > 10 && new > 3,
            "{kind:?}: {old} kept the old data, {new} had the new"
        );
        import_whole(1);
        assert_eq!(unfinished_imports(&system), [""; 0]);
        assert_eq!(
            system.stored_attribute("work", "private", "size").unwrap(),
            contents[1].len().to_string()
        );
    }
}
