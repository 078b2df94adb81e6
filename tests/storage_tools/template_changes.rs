//! qvm-template-commit, qvm-revert-template-changes and qvm-trim-template: R3's commands in today's
//! meaning.

use std::fs;
use std::os::unix::fs::FileExt;

use qubes_test_support::FileSystem;

use crate::system::{MIB, System, random_bytes};

fn import_root(system: &System, bytes: &[u8]) {
    let file = system.file("data", bytes);
    system.ok(format!("qvm-volume import tpl:root {}", file.display()));
}

#[test]
fn a_commit_finishes_what_a_crash_left_and_names_missing_images() {
    let Some(system) = System::on(FileSystem::Btrfs) else {
        return;
    };
    import_root(&system, &random_bytes(MIB, 1));
    system.ok("qvm-template-commit tpl");
    let image = system.image("vm-templates/tpl/root.img");
    let dirty = system.image("vm-templates/tpl/root-dirty.img");
    fs::copy(&image, &dirty).unwrap();
    fs::File::options()
        .write(true)
        .open(&dirty)
        .unwrap()
        .write_all_at(b"after the crash", 0)
        .unwrap();
    system.ok("qvm-template-commit --offline-mode tpl");
    assert!(
        system
            .bytes("vm-templates/tpl/root.img")
            .starts_with(b"after the crash")
    );
    assert!(!dirty.exists());

    assert_eq!(
        system.refuses(1, "qvm-template-commit work"),
        "qvm-template-commit: error: work is not a template, but of class AppVM"
    );
    fs::rename(&image, system.image("elsewhere")).unwrap();
    let missing = system.refuses(1, "qvm-template-commit tpl");
    assert!(
        missing.contains("image /var/lib/qubes/vm-templates/tpl/root.img is missing"),
        "{missing}"
    );
}

#[test]
fn a_revert_restores_the_data_before_the_last_change() {
    let Some(system) = System::on(FileSystem::Btrfs) else {
        return;
    };
    let (old, new) = (random_bytes(MIB, 1), random_bytes(2 * MIB, 2));
    import_root(&system, &old);
    import_root(&system, &new);
    let nobody = system.refuses(1, "qvm-revert-template-changes tpl");
    assert!(nobody.contains("nothing was reverted"), "{nobody}");
    let no = system.run_with_input("qvm-revert-template-changes tpl", b"n\n");
    assert_eq!((no.code, &*no.stderr), (0, ""), "as R3 has it");
    assert!(
        no.stdout.ends_with("Do you want to proceed? [y/N] "),
        "{no:?}"
    );
    assert!(system.bytes("vm-templates/tpl/root.img") == new);
    let yes = system.run_with_input("qvm-revert-template-changes tpl", b"y\n");
    assert_eq!(yes.code, 0, "{yes:?}");
    assert!(system.bytes("vm-templates/tpl/root.img") == old);
    assert_eq!(
        system.stored_attribute("tpl", "root", "size").unwrap(),
        MIB.to_string()
    );
    system.ok("qvm-revert-template-changes --force tpl");
    assert!(
        system.bytes("vm-templates/tpl/root.img") == new,
        "what was reverted became the revision"
    );
    system.refuses(1, "qvm-revert-template-changes --force work");
    system.ok("qvm-volume config tpl:root revisions_to_keep 0");
    import_root(&system, &old);
    assert_eq!(
        system.refuses(1, "qvm-revert-template-changes --force tpl"),
        "qvm-revert-template-changes: error: No snapshots available"
    );
}

#[test]
fn a_trim_turns_zeros_into_holes_and_changes_no_byte() {
    for kind in [FileSystem::Btrfs, FileSystem::Xfs] {
        let Some(system) = System::on(kind) else {
            continue;
        };
        let mut data = random_bytes(16 * MIB, 1);
        import_root(&system, &data);
        // As a guest that fills its free blocks with zeros.
        let zeros = vec![0; 12 * MIB as usize];
        let image = fs::File::options()
            .write(true)
            .open(system.image("vm-templates/tpl/root.img"))
            .unwrap();
        image.write_all_at(&zeros, 2 * MIB).unwrap();
        image.sync_all().unwrap();
        data[2 * MIB as usize..14 * MIB as usize].copy_from_slice(&zeros);
        assert!(
            system.disk_usage("vm-templates/tpl/root.img") >= 16 * MIB,
            "{kind:?}"
        );
        let trimmed = system.run("qvm-trim-template -q tpl");
        assert_eq!(
            (trimmed.code, &*trimmed.stdout, &*trimmed.stderr),
            (
                0,
                "tpl: 12 MiB of zeros in its root volume are holes now\n",
                ""
            ),
            "{kind:?}"
        );
        assert!(
            system.bytes("vm-templates/tpl/root.img") == data,
            "{kind:?}"
        );
        assert!(
            system.disk_usage("vm-templates/tpl/root.img") <= 5 * MIB,
            "{kind:?}"
        );
        assert_eq!(
            system.ok("qvm-trim-template -q tpl"),
            "tpl: no part of its root volume is nothing but zeros\n",
            "{kind:?}"
        );
    }
}
