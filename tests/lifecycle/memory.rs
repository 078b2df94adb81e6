//! Memory for a start: reserved by the memory manager if there is one, else checked.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::thread;

use qubes::model::PowerState;
use qubes_test_support::TestSystem;

use crate::systems::{create, hypervisor, system};

/// Acts as the memory manager for one conversation and answers with the word. Returns the number of
/// requested bytes, the state of the qube before the answer, and its state when the connection was
/// closed.
fn answer(
    system: &TestSystem,
    qube: &str,
    word: &'static str,
) -> thread::JoinHandle<(u64, Option<PowerState>, Option<PowerState>)> {
    let socket = system.path("/run/qubes/qmemman.sock");
    std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
    let _of_an_earlier_one = std::fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).unwrap();
    let uuid = system.uuid(qube);
    thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut line = String::new();
        let mut reader = BufReader::new(connection.try_clone().unwrap());
        reader.read_line(&mut line).unwrap();
        let state = || hypervisor().state(uuid).unwrap().map(|live| live.state);
        let before = state();
        connection.write_all(word.as_bytes()).unwrap();
        assert_eq!(
            reader.read(&mut [0]).unwrap(),
            0,
            "one question in a conversation"
        );
        (
            line.strip_suffix('\n').unwrap().parse().unwrap(),
            before,
            state(),
        )
    })
}

#[test]
fn the_memory_manager_reserves_memory_until_the_qube_runs() {
    let Some(system) = system() else { return };
    create(&system, "work", "");
    for (property, value) in [("memory", "64"), ("maxmem", "640"), ("vcpus", "2")] {
        system.succeeds(["qvm-prefs", "work", property, value]);
    }
    // 64 MiB, 4 MiB, 1.5 MiB per processor, 8 KiB per MiB of maxmem.
    let asked_for = (64 + 4 + 3) * (1 << 20) + 8192 * 640;

    let manager = answer(&system, "work", "FAIL\n");
    let line = system.fails(1, "qvm-start work");
    let words =
        "not enough memory to start work: it needs 76 MiB, and other qubes cannot give so much";
    assert!(
        line.starts_with(&format!("Error: Starting qube failed: work: {words}")),
        "{line}"
    );
    assert_eq!(manager.join().unwrap(), (asked_for, None, None));
    assert!(!system.record("work").exists(), "nothing was begun");
    assert!(!system.has_dirty_image("work"));

    let manager = answer(&system, "work", "OK\n");
    system.succeeds("qvm-start work");
    assert_eq!(
        manager.join().unwrap(),
        (asked_for, None, Some(PowerState::Running))
    );

    // A running qube needs no more memory; a missing memory manager is reported.
    system.succeeds("qvm-start --skip-if-running work");
    system.succeeds("qvm-kill work");
    let line = system.fails(1, "qvm-start work");
    assert!(
        line.contains("the memory manager at") && line.contains("systemctl restart qubes-qmemman"),
        "{line}"
    );
}

#[test]
fn without_a_memory_manager_a_start_fails_if_too_little_memory_is_free() {
    let Some(system) = system() else { return };
    create(&system, "work", "");
    std::fs::create_dir_all(system.path("/etc/qubes")).unwrap();
    std::fs::write(
        system.path("/etc/qubes/core.toml"),
        "[host]\nmemory_mib = 100000000\n",
    )
    .unwrap();
    system.succeeds("qvm-prefs work memory 20000000");
    let line = system.fails(1, "qvm-start work");
    assert!(
        line.contains("not enough memory to start work: it needs 20000000 MiB, "),
        "{line}"
    );
    assert!(
        line.contains("MiB are free; shut other qubes down, or give it less"),
        "{line}"
    );
    assert_eq!(hypervisor().state(system.uuid("work")).unwrap(), None);
}
