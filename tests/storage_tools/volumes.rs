//! The data of volumes: revisions, sizes, copies between volumes.

use std::fs;
use std::os::unix::fs::FileExt;

use crate::system::{MIB, System, random_bytes};

fn import(system: &System, volume: &str, bytes: &[u8]) {
    let file = system.file("data", bytes);
    system.ok(format!("qvm-volume import {volume} {}", file.display()));
}

#[test]
fn revisions_are_listed_and_each_can_be_reverted_to() {
    for (kind, system) in System::everywhere() {
        system.ok("qvm-volume config work:private revisions_to_keep 3");
        let states: Vec<Vec<u8>> = (1..=3).map(|seed| random_bytes(MIB, seed)).collect();
        for state in &states {
            import(&system, "work:private", state);
        }
        // The first revision is the empty volume.
        assert_eq!(
            system.ok("qvm-volume info work:private revisions"),
            "1\n2\n3\n"
        );
        let info = system.ok("qvm-volume info work:private");
        assert!(
            info.ends_with("List of available revisions (for revert):\n  1\n  2\n  3\n"),
            "{info}"
        );
        assert!(
            system
                .ok("qvm-volume list work")
                .contains("work    private      Yes\n")
        );

        system.ok("qvm-volume revert work:private");
        assert!(
            system.bytes("appvms/work/private.img") == states[1],
            "{kind:?}: the newest revision"
        );
        assert_eq!(
            system.ok("qvm-volume info work:private revisions"),
            "1\n2\n4\n"
        );
        system.ok("qvm-volume rv work:private 4");
        assert!(
            system.bytes("appvms/work/private.img") == states[2],
            "{kind:?}: what was reverted is not lost"
        );
        system.ok("qvm-volume revert work:private 1");
        assert_eq!(
            system.ok("qvm-volume info work:private size"),
            format!("{}\n", 2048 * MIB)
        );
        assert_eq!(
            system.stored_attribute("work", "private", "size").unwrap(),
            (2048 * MIB).to_string()
        );

        let unknown = system.refuses(1, "qvm-volume revert work:private 77");
        assert_eq!(
            unknown,
            "Error: volume work:private: it has no revision '77'; it has 2, 5, 6"
        );
        assert_eq!(
            system.refuses(1, "qvm-volume revert tpl:private"),
            "Error: No snapshots available"
        );
        assert_eq!(
            system.refuses(1, "qvm-volume revert work:root"),
            "Error: No snapshots available"
        );
    }
}

#[test]
fn a_volume_grows_and_shrinks_only_by_force() {
    for (kind, system) in System::everywhere() {
        import(&system, "work:private", &random_bytes(4 * MIB, 1));
        let old = system.bytes("appvms/work/private.img");
        system.ok("qvm-volume resize work:private 8MiB");
        let grown = system.bytes("appvms/work/private.img");
        assert!(
            grown.len() as u64 == 8 * MIB && grown.starts_with(&old),
            "{kind:?}"
        );
        assert!(grown[old.len()..].iter().all(|byte| *byte == 0), "{kind:?}");
        assert_eq!(
            system.stored_attribute("work", "private", "size").unwrap(),
            (8 * MIB).to_string()
        );
        let refused = system.run("qvm-volume extend work:private 4MiB");
        assert_eq!(refused.code, 1);
        assert!(
            refused.stderr.starts_with(
                "Error: Refusing to shrink volume work:private from 8388608 to 4194304 bytes.\n"
            ),
            "{refused:?}"
        );
        system.ok("qvm-volume resize --force work:private 4MiB");
        assert!(system.bytes("appvms/work/private.img") == old, "{kind:?}");
        for (line, words) in [
            ("work:private 1.5G", "Error: Invalid size: 1.5G."),
            ("work:private -1", "Error: Invalid size: -1."),
            (
                "work:kernel 1G",
                "Error: work:kernel: it is read-only and cannot be resized",
            ),
        ] {
            assert_eq!(
                system.refuses(1, &format!("qvm-volume resize {line}")),
                words
            );
        }
        system.refuses(1, "qvm-volume resize work:root 20GiB");
        // A volatile volume is created anew, with the size in the store.
        system.ok("qvm-volume resize work:volatile 20GiB");
        assert_eq!(
            system.stored_attribute("work", "volatile", "size").unwrap(),
            (20480 * MIB).to_string()
        );
    }
}

#[test]
fn a_volume_gets_the_committed_data_of_another_qubes() {
    for (kind, system) in System::everywhere() {
        let (data, old) = (random_bytes(3 * MIB, 1), random_bytes(MIB, 2));
        import(&system, "tpl:private", &data);
        import(&system, "work:private", &old);
        let no = system.run_with_input("qvm-volume clone tpl:private work:private", b"n\n");
        assert_eq!((no.code, &*no.stderr), (0, "Clone cancelled.\n"));
        assert!(no.stdout.ends_with("Are you sure? [y/N] "), "{no:?}");
        assert!(system.bytes("appvms/work/private.img") == old, "{kind:?}");
        let yes = system.run_with_input("qvm-volume clone tpl:private work:private", b"y\n");
        assert_eq!((yes.code, &*yes.stderr), (0, ""), "{kind:?}");
        assert!(system.bytes("appvms/work/private.img") == data, "{kind:?}");
        assert!(
            system.bytes("vm-templates/tpl/private.img") == data,
            "{kind:?}: the source is as it was"
        );
        // A write to one is not seen in the other.
        let image = fs::File::options()
            .write(true)
            .open(system.image("appvms/work/private.img"))
            .unwrap();
        image.write_all_at(b"changed", 0).unwrap();
        assert!(
            system.bytes("vm-templates/tpl/private.img") == data,
            "{kind:?}"
        );
        let same = system.refuses(1, "qvm-volume clone -f work:private work:private");
        assert_eq!(same, "Error: work:private: it is the one to clone from");
    }
}

#[test]
fn a_cleared_volume_is_empty_and_keeps_its_size() {
    for (kind, system) in System::everywhere() {
        let data = random_bytes(3 * MIB, 1);
        import(&system, "work:private", &data);
        let nobody = system.refuses(1, "qvm-volume clear work:private");
        assert!(
            nobody.contains("nobody answered, and --force was not given"),
            "{nobody}"
        );
        let no = system.run_with_input("qvm-volume clear work:private", b"\n");
        assert_eq!((no.code, &*no.stderr), (0, "Clear cancelled.\n"));
        system.ok("qvm-volume clear --force work:private");
        assert!(
            system.bytes("appvms/work/private.img") == vec![0; data.len()],
            "{kind:?}"
        );
        assert_eq!(
            system.disk_usage("appvms/work/private.img"),
            0,
            "{kind:?}: a hole"
        );
        system.ok("qvm-volume revert work:private");
        assert!(
            system.bytes("appvms/work/private.img") == data,
            "{kind:?}: it is kept as a revision"
        );
    }
}
