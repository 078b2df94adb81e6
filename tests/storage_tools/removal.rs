//! qvm-remove deletes only what Qubes made, also if a link is in the place of a qube's directory,
//! and also on a full disk.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use crate::system::{MIB, System, random_bytes};

/// Moves a directory of the pool to another path below the root and leaves a link, as R2 and R3
/// told users to do.
fn move_away(system: &System, directory: &str) -> PathBuf {
    let drive = system.path("/drive");
    fs::create_dir_all(&drive).unwrap();
    let moved = drive.join(directory.rsplit('/').next().unwrap());
    fs::rename(system.image(directory), &moved).unwrap();
    let inside = format!("/drive/{}", moved.file_name().unwrap().to_str().unwrap());
    // A relative link means the same inside the system and outside.
    symlink(format!("../../../..{inside}"), system.image(directory)).unwrap();
    moved
}

fn exists(system: &System, directory: &str) -> bool {
    fs::symlink_metadata(system.image(directory)).is_ok()
}

fn edit_store(system: &System, from: &str, to: &str) {
    let store = system.store();
    assert!(store.contains(from), "{from}: {store}");
    fs::write(system.image("qubes.xml"), store.replace(from, to)).unwrap();
}

#[test]
fn a_link_to_a_directory_is_removed_with_the_directory() {
    let system = System::new();
    system.ok("qvm-create -l red two");
    system.ok("qvm-create -C TemplateVM -l black other");
    let moved =
        ["appvms/work", "vm-templates/other"].map(|directory| move_away(&system, directory));
    assert!(moved[0].join("private.img").exists());
    system.ok("qvm-remove -f work two other");
    for directory in ["appvms/work", "appvms/two", "vm-templates/other"] {
        assert!(!exists(&system, directory), "{directory}");
    }
    assert!(moved.iter().all(|directory| !directory.exists()));

    // A link that leads nowhere, because the drive is missing, is removed, too. A new qube of the
    // name can be created.
    system.ok("qvm-create -l red two");
    fs::remove_dir_all(move_away(&system, "appvms/two")).unwrap();
    system.ok("qvm-remove -f two");
    assert!(!exists(&system, "appvms/two"));
    system.ok("qvm-create -l red two");
    assert!(system.image("appvms/two/private.img").is_file());
}

#[test]
fn foreign_files_stay_and_one_warning_names_them() {
    let system = System::new();
    system.ok("qvm-create -l red two");
    fs::write(system.image("appvms/work/thesis.odt"), "mine").unwrap();
    fs::write(system.image("appvms/work/firewall.xml"), "<x/>").unwrap();
    fs::write(system.image("appvms/work/firewall.xml~aB3dE6gH.new"), "<x").unwrap();
    fs::write(system.image("appvms/work/firewall.xml~"), "an editor's").unwrap();
    fs::create_dir(system.image("appvms/work/photos")).unwrap();
    let ran = system.run("qvm-remove -f work two");
    assert_eq!((ran.code, ran.stderr.lines().count()), (0, 1), "{ran:?}");
    for named in [
        "work: ",
        "appvms/work stays",
        "thesis.odt",
        "photos",
        "firewall.xml~,",
    ] {
        assert!(ran.stderr.contains(named), "{named}: {ran:?}");
    }
    assert_eq!(
        system.names("appvms/work"),
        ["firewall.xml~", "photos", "thesis.odt"]
    );
    assert!(!exists(&system, "appvms/two"));

    // Data behind a link are not lost, and the link does not stay because of them.
    system.ok("qvm-create -l red two");
    let moved = move_away(&system, "appvms/two");
    fs::write(moved.join("thesis.odt"), "mine").unwrap();
    let ran = system.run("qvm-remove -f two");
    assert_eq!((ran.code, ran.stderr.lines().count()), (0, 1), "{ran:?}");
    assert!(
        ran.stderr
            .contains("/drive/two stays: it contains thesis.odt"),
        "{ran:?}"
    );
    assert!(!exists(&system, "appvms/two") && moved.join("thesis.odt").exists());
}

#[test]
fn images_of_other_volumes_in_the_directory_stay() {
    let system = System::new();
    system.ok("qvm-create -l red vault");
    // A qube whose image was moved there by hand, and a pool in that directory.
    fs::rename(
        system.image("appvms/vault/private.img"),
        system.image("appvms/work/b.img"),
    )
    .unwrap();
    edit_store(
        &system,
        "vid=\"appvms/vault/private\"",
        "vid=\"appvms/work/b\"",
    );
    let inner = system.image("appvms/work/pool");
    for directory in ["appvms/inner", "vm-templates"] {
        fs::create_dir_all(inner.join(directory)).unwrap();
    }
    fs::write(inner.join("appvms/inner/private.img"), "data").unwrap();
    let ran = system.run("qvm-remove -f work");
    assert_eq!((ran.code, ran.stderr.lines().count()), (0, 1), "{ran:?}");
    assert!(ran.stderr.contains("it contains b.img, pool"), "{ran:?}");
    assert!(system.image("appvms/work/b.img").exists());
    assert!(inner.join("appvms/inner/private.img").exists());
    assert!(!system.image("appvms/work/private.img").exists());
}

#[test]
fn a_file_that_cannot_be_deleted_is_named_and_the_others_are_deleted() {
    let system = System::new();
    system.ok("qvm-create -l red two");
    // Not even root can unlink a directory.
    let stuck = system.image("appvms/work/private.img.1@2026-01-01T00:00:00Z");
    fs::create_dir(&stuck).unwrap();
    let ran = system.run("qvm-remove -f work two");
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{ran:?}");
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    assert!(
        ran.stderr
            .contains("work is removed, but not all of it could be deleted"),
        "{ran:?}"
    );
    assert!(
        ran.stderr.contains("private.img.1@2026-01-01T00:00:00Z"),
        "{ran:?}"
    );
    assert!(
        stuck.exists() && !system.image("appvms/work/private.img").exists(),
        "the rest is deleted"
    );
    assert_eq!(system.ok("qvm-ls --raw-list"), "dom0\ntpl\n");
}

/// Fills the file system to the last block.
fn fill(system: &System, name: &str) {
    let mut file = File::create(system.path("/").join(name)).unwrap();
    for piece in [MIB as usize, 4096] {
        let zeros = vec![1; piece];
        while file
            .write_all(&zeros)
            .and_then(|()| file.sync_data())
            .is_ok()
        {}
    }
    for number in 0..1000 {
        if fs::write(system.path("/").join(format!("{name}.{number}")), "small").is_err() {
            break;
        }
    }
}

#[test]
fn a_full_disk_does_not_prevent_removing_a_qube_or_its_revisions() {
    for (kind, system) in System::everywhere() {
        for qube in ["two", "three", "work"] {
            if qube != "work" {
                system.ok(format!("qvm-create -l red {qube}"));
            }
            for seed in 1..3 {
                let data = system.file("data", &random_bytes(6 * MIB, seed));
                system.ok(format!(
                    "qvm-volume import {qube}:private {}",
                    data.display()
                ));
                fs::remove_file(data).unwrap();
            }
        }
        fill(&system, "filler");
        let before = system.store();
        let refused = system.run("qvm-prefs work label blue");
        assert!(
            refused.code == 1 && refused.stderr.contains("No space left"),
            "{kind:?}: {refused:?}"
        );
        assert_eq!(system.store(), before);

        system.ok("qvm-volume config work:private revisions_to_keep 0");
        assert_eq!(
            system
                .stored_attribute("work", "private", "revisions_to_keep")
                .as_deref(),
            Some("0"),
            "{kind:?}"
        );
        fill(&system, "again");
        system.ok("qvm-volume clear -f two:private");
        assert!(
            system
                .bytes("appvms/two/private.img")
                .iter()
                .all(|byte| *byte == 0),
            "{kind:?}"
        );
        fill(&system, "once-more");
        system.ok("qvm-remove -f three");
        fill(&system, "at-last");
        system.ok("qvm-remove -f two work");
        assert_eq!(system.names("appvms"), [""; 0], "{kind:?}");
        assert_eq!(
            fs::read_dir(system.path("/run/qubes/vm"))
                .into_iter()
                .flatten()
                .count(),
            0,
            "{kind:?}: no record"
        );
    }
}

/// Makes what a removal leaves that was killed after it deleted the images on a full disk: a record
/// that says so.
fn cut_off(system: &System, qube: &str) {
    fs::remove_file(system.image(&format!("appvms/{qube}/private.img"))).unwrap();
    fs::create_dir_all(system.path("/run/qubes/vm")).unwrap();
    let nil = "00000000-0000-0000-0000-000000000000";
    let record = format!(
        r#"{{"start_id":"{nil}","domain":"{nil}","uri":"qemu:///system","user":0,"phase":"removing",
            "volumes":[{{"pool":"varlibqubes","vid":"appvms/{qube}/private"}}]}}"#
    );
    fs::write(system.path("/run/qubes/vm").join(qube), record).unwrap();
}

#[test]
fn a_removal_cut_off_on_a_full_disk_is_finished_by_the_next_command() {
    for next in [
        "qubes-recover",
        "qvm-remove -f work",
        "qvm-volume clear -f work:private",
    ] {
        let system = System::new();
        cut_off(&system, "work");
        let ran = system.run(next);
        assert!(ran.code == 0 || next.contains("clear"), "{next}: {ran:?}");
        assert_eq!(system.ok("qvm-ls --raw-list"), "dom0\ntpl\n", "{next}");
        assert!(
            !exists(&system, "appvms/work") && !system.path("/run/qubes/vm/work").exists(),
            "{next}"
        );
    }
    // Another qube refers to it by now: it stays, without its images, with a warning.
    let system = System::new();
    system.ok("qvm-prefs work provides_network True");
    system.ok("qvm-create -l red --prop netvm=work client");
    cut_off(&system, "work");
    let ran = system.run("qubes-recover");
    assert!(
        ran.code == 0
            && ran
                .stderr
                .contains("work: cannot finish a removal that was cut off"),
        "{ran:?}"
    );
    assert!(
        system.ok("qvm-ls --raw-list").contains("work")
            && !system.path("/run/qubes/vm/work").exists()
    );

    // Its volume belongs to another qube, too: the warning names the command that helps.
    let system = System::new();
    system.ok("qvm-create -l red other");
    cut_off(&system, "work");
    edit_store(&system, "appvms/other/private", "appvms/work/private");
    let ran = system.run("qubes-recover");
    assert!(
        ran.stderr.contains("run qubes-db repair first; the qube"),
        "{ran:?}"
    );
}

#[test]
fn recovery_fails_while_a_removal_leaves_files() {
    for next in [
        "qubes-recover",
        "qubes-recover --at-boot",
        "qvm-remove -f work",
    ] {
        let system = System::new();
        cut_off(&system, "work");
        let stuck = system.image("appvms/work/private.img.1@2026-01-01T00:00:00Z");
        fs::create_dir(&stuck).unwrap();
        let ran = system.run(next);
        assert_eq!(
            (ran.code, ran.stderr.lines().count()),
            (1, 1),
            "{next}: {ran:?}"
        );
        assert!(
            ran.stderr
                .contains("work is removed, but not all of it could be deleted"),
            "{next}: {ran:?}"
        );
        // The next recovery finishes the removal.
        fs::remove_dir(&stuck).unwrap();
        let again = system.run("qubes-recover --json");
        assert_eq!(again.code, 0, "{next}: {again:?}");
        assert!(
            again.stdout.contains(r#""error": null"#),
            "{next}: {again:?}"
        );
        assert!(
            !exists(&system, "appvms/work") && !system.path("/run/qubes/vm/work").exists(),
            "{next}"
        );
    }
}

#[test]
fn recovery_drops_data_of_dead_starts_in_unsaved_volumes() {
    let system = System::new();
    system.ok("qvm-prefs work template_for_dispvms True");
    system.ok("qvm-create -C DispVM -t work -l red named");
    system.ok("qvm-create -l red other");
    fs::create_dir_all(system.image("appvms/named")).unwrap();
    for at_boot in ["", " --at-boot"] {
        let dead = [
            "named/root",
            "named/private",
            "named/volatile",
            "work/root",
            "work/volatile",
            "other/volatile",
        ];
        for volume in dead {
            fs::write(
                system.image(&format!("appvms/{volume}-dirty.img")),
                "secret",
            )
            .unwrap();
        }
        // A start that was cut off left only a hard link to the template's image.
        fs::hard_link(
            system.image("vm-templates/tpl/root.img"),
            system.image("appvms/other/root.img"),
        )
        .unwrap();
        let ran = system.run(format!("qubes-recover{at_boot}"));
        assert_eq!((ran.code, ran.stderr.lines().count()), (0, 3), "{ran:?}");
        for volume in dead {
            assert!(
                !system.image(&format!("appvms/{volume}-dirty.img")).exists(),
                "{at_boot}: {volume}"
            );
        }
        assert!(!system.image("appvms/other/root.img").exists());
    }
    assert!(system.image("vm-templates/tpl/root.img").exists());
    assert_eq!(
        system.ok("qvm-ls --raw-list"),
        "dom0\nnamed\nother\ntpl\nwork\n"
    );
}
