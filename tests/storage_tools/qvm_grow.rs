//! qvm-grow-private and qvm-grow-root: R3's commands that enlarge volumes.

use crate::system::{MIB, System};

#[test]
fn units_are_powers_of_1024_as_in_r3() {
    let system = System::new();
    system.ok("qvm-grow-private work 3G");
    assert_eq!(
        system.ok("qvm-volume info work:private size"),
        format!("{}\n", 3072 * MIB)
    );
    system.ok("qvm-grow-root tpl 11gb");
    assert_eq!(
        system.ok("qvm-volume info tpl:root size"),
        format!("{}\n", 11264 * MIB)
    );
    let started = system.run("qvm-grow-root --allow-start tpl 12G");
    assert_eq!(started.code, 0);
    assert_eq!(
        started.stderr,
        "qvm-grow-root: the qube was not started: it makes its root file system larger at its \
         next start\n"
    );
}

#[test]
fn volumes_never_shrink_and_snapshots_are_not_resized() {
    let system = System::new();
    let smaller = system.run("qvm-grow-private work 1G");
    assert_eq!(smaller.code, 1);
    assert!(
        smaller
            .stderr
            .starts_with("Error: Refusing to shrink volume work:private from 2147483648 to"),
        "{smaller:?}"
    );
    let snapshot = system.refuses(1, "qvm-grow-root work 20G");
    assert!(
        snapshot.contains("work:root") || snapshot.contains("snapshot"),
        "{snapshot}"
    );
    assert_eq!(
        system.refuses(2, "qvm-grow-private work 1T"),
        "qvm-grow-private: error: '1T' is not a size: bytes, or a number with K, M or G"
    );
    assert_eq!(
        system.refuses(2, "qvm-grow-private work"),
        "qvm-grow-private: error: the following arguments are required: SIZE"
    );
    assert_eq!(
        system.refuses(2, "qvm-grow-private nosuch 1G"),
        "qvm-grow-private: error: no such domain: 'nosuch'"
    );
}
