//! Links and special files in place of files in RUN are not followed, waited for or changed.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use qubes_test_support::TestSystem;

use crate::victim::{Trap, Victim, clear, run_with_deadline};

/// The files of RUN that only help messages or save time. No command fails because of them.
const OPTIONAL_FILES: [&str; 5] = [
    "lock/database.holder",
    "lock/database.queue",
    "contents",
    "unbroken",
    "sound",
];

fn system_with_victim() -> (TestSystem, Victim) {
    let system = TestSystem::small();
    let victim = Victim::new(system.path("victim"));
    (system, victim)
}

#[test]
fn a_trap_in_place_of_a_cache_or_holder_file_is_ignored() {
    let (system, victim) = system_with_victim();
    let mut memory = 400;
    let lines = ["qvm-ls", "qvm-prefs work memory", "qubes-db check"];
    let code_and_stderr = |line: &str| {
        let ran = run_with_deadline(&system.command(line));
        (ran.code, ran.stderr)
    };
    let before = lines.map(code_and_stderr);
    for file in OPTIONAL_FILES {
        for trap in Trap::ALL {
            let when = format!("{trap:?} as {file}");
            trap.set(&system.path("run/qubes").join(file), &victim);
            for (line, before) in lines.into_iter().zip(&before) {
                assert_eq!(code_and_stderr(line), *before, "{line}: {when}");
            }
            memory += 1;
            let ran = run_with_deadline(&system.command(format!("qvm-prefs work memory {memory}")));
            assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{when}: {ran:?}");
            assert_eq!(
                system.stored_property("work", "memory"),
                memory.to_string(),
                "{when}"
            );
            victim.assert_untouched(&when);
            assert!(!victim.path.with_extension("made").exists(), "{when}");
            clear(&system.path("run/qubes").join(file));
            assert_eq!(fs::metadata(&victim.path).unwrap().nlink(), 1, "{when}");
        }
    }
}

/// The queue is used only while a process waits for the store.
#[test]
fn a_trap_in_place_of_the_queue_does_not_prevent_waiting_for_the_store() {
    use qubes::fs::file_lock::{LockMode, try_lock, unlock};
    let (system, victim) = system_with_victim();
    for trap in Trap::ALL {
        trap.set(&system.path("run/qubes/lock/database.queue"), &victim);
        let store = fs::File::options()
            .read(true)
            .write(true)
            .open(system.store_file())
            .unwrap();
        assert!(try_lock(&store, LockMode::Exclusive).unwrap());
        let command = system.command("qvm-prefs work memory 500");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| run_with_deadline(&command));
            // The command may or may not have to wait; it succeeds in both cases.
            unlock(&store).unwrap();
            let ran = waiting.join().unwrap();
            assert_eq!(
                (ran.code, ran.stderr.as_str()),
                (0, ""),
                "{trap:?}: {ran:?}"
            );
        });
        victim.assert_untouched(&format!("{trap:?}"));
    }
}

#[test]
fn a_trap_in_place_of_a_qubes_lock_is_refused_in_one_line() {
    let (system, victim) = system_with_victim();
    for trap in Trap::ALL {
        trap.set(&system.path("run/qubes/lock/vm-work"), &victim);
        let ran = run_with_deadline(&system.command("qvm-remove --force work"));
        assert_eq!(
            (ran.code, ran.stderr.lines().count()),
            (1, 1),
            "{trap:?}: {ran:?}"
        );
        assert!(
            ran.stderr.contains("run/qubes/lock/vm-work"),
            "{trap:?}: {ran:?}"
        );
        victim.assert_untouched(&format!("{trap:?}"));
        assert!(!victim.path.with_extension("made").exists(), "{trap:?}");
    }
}

#[test]
fn links_in_place_of_directories_of_run_are_not_followed() {
    let (system, victim) = system_with_victim();
    let elsewhere = system.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    for name in [
        "database.holder",
        "database.queue",
        "vm-work",
        "work",
        "work.log",
    ] {
        fs::hard_link(&victim.path, elsewhere.join(name)).unwrap();
    }
    let run = system.path("run/qubes");
    for part in ["lock", "vm", "stop", "log", "console"] {
        clear(&run.join(part));
        fs::create_dir_all(&run).unwrap();
        symlink(&elsewhere, run.join(part)).unwrap();
    }
    for line in ["qvm-ls", "qvm-prefs work memory 444"] {
        let ran = run_with_deadline(&system.command(line));
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{line}: {ran:?}");
    }
    for line in ["qvm-remove --force work", "qubes-recover"] {
        let ran = run_with_deadline(&system.command(line));
        assert_eq!(
            (ran.code, ran.stderr.lines().count()),
            (1, 1),
            "{line}: {ran:?}"
        );
    }
    assert_eq!(
        fs::read_to_string(&victim.path).unwrap(),
        crate::victim::CONTENT
    );
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 5);
}

#[test]
fn stale_temporary_files_in_run_are_removed() {
    let (system, _victim) = system_with_victim();
    system.ok("qvm-prefs work memory 401");
    let run = system.path("run/qubes");
    fs::create_dir_all(run.join("vm")).unwrap();
    let stale = [
        "contents~aB3dE6gH.new",
        "sound~aB3dE6gH.new",
        "vm/work~aB3dE6gH.new",
    ];
    let young = "contents~yyyyyyyy.new";
    for name in stale {
        let file = fs::File::create(run.join(name)).unwrap();
        file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(600))
            .unwrap();
    }
    fs::write(run.join(young), "").unwrap();
    system.ok("qvm-prefs work memory 402");
    system.run("qubes-recover");
    for name in stale {
        assert!(!run.join(name).exists(), "{name}");
    }
    assert!(run.join(young).exists());
}
