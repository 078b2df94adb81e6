//! Images with two names: hard links, and symbolic links in the place of an image. A write through
//! one name is read through the other, and a removal reports what it leaves of them.

use std::fs;
use std::os::unix::fs::symlink;

use crate::system::System;

const DATA: &[u8] = b"what nobody wants to lose";
const WORK: &str = "appvms/work/private.img";
const VAULT: &str = "appvms/vault/private.img";

fn keep_data(system: &System, image: &str) {
    let at = system.image(image);
    fs::create_dir_all(at.parent().unwrap()).unwrap();
    fs::write(at, DATA).unwrap();
}

/// Creates a system in which `vault`'s private image is a second name of `work`'s.
fn system_with_second_name(how: fn(&System)) -> System {
    let system = System::new();
    system.ok("qvm-create -l red vault");
    keep_data(&system, WORK);
    fs::remove_file(system.image(VAULT)).unwrap();
    how(&system);
    system
}

fn by_link(system: &System) {
    symlink("../work/private.img", system.image(VAULT)).unwrap();
}

fn by_second_name(system: &System) {
    fs::hard_link(system.image(WORK), system.image(VAULT)).unwrap();
}

#[test]
fn nothing_is_written_to_another_volumes_image_by_a_second_name() {
    for how in [by_link, by_second_name] {
        let system = system_with_second_name(how);
        let checked = system.run("qubes-db check --json").stdout;
        assert!(checked.contains("volume-shared"), "{checked}");
        for line in [
            "qvm-volume resize vault:private 5GiB",
            "qvm-volume clear --force vault:private",
        ] {
            let ran = system.run(line);
            assert!(
                ran.code == 1 && ran.stderr.contains("work:private"),
                "{line}: {ran:?}"
            );
        }
        assert_eq!(system.bytes(WORK), DATA);
        // The qube's own name is removed, and nothing else.
        assert_eq!(system.run("qvm-remove -f vault").code, 0);
        assert_eq!(system.bytes(WORK), DATA);
    }
}

#[test]
fn volumes_of_one_qube_over_one_image_are_reported_and_kept() {
    for (volume, dirty) in [("root", false), ("volatile", true)] {
        let system = System::new();
        keep_data(&system, WORK);
        if dirty {
            keep_data(&system, "appvms/work/private-dirty.img");
        }
        let own = format!("vid=\"appvms/work/{volume}\"");
        let store = system.store();
        assert!(store.contains(&own), "{store}");
        fs::write(
            system.image("qubes.xml"),
            store.replace(&own, "vid=\"appvms/work/private\""),
        )
        .unwrap();
        let recovered = system.run("qubes-recover");
        assert_eq!(system.bytes(WORK), DATA, "{volume}: {recovered:?}");
    }
}

#[test]
fn two_names_of_one_volume_hold_its_data() {
    for second in ["private-precache.img", "private.img.1@2026-01-01T00:00:00Z"] {
        let system = System::new();
        keep_data(&system, "appvms/new/private.img");
        fs::hard_link(
            system.image("appvms/new/private.img"),
            system.image("appvms/new").join(second),
        )
        .unwrap();
        let refused = system.refuses(1, "qvm-create -l red new");
        assert!(refused.contains("holds data"), "{second}: {refused}");
    }
}

#[test]
fn a_creation_may_replace_a_name_of_data_that_have_another_name() {
    let system = System::new();
    keep_data(&system, "appvms/new/private.img");
    fs::hard_link(
        system.image("appvms/new/private.img"),
        system.image("elsewhere"),
    )
    .unwrap();
    system.ok("qvm-create -l red new");
}

#[test]
fn data_behind_a_link_are_reported_when_the_link_is_removed() {
    let system = System::new();
    let data = system.file("data", DATA);
    fs::create_dir(system.image("appvms/new")).unwrap();
    symlink(&data, system.image("appvms/new/private.img")).unwrap();
    let refused = system.refuses(1, "qvm-create -l red new");
    assert!(refused.contains("holds data"), "{refused}");
    fs::remove_file(system.image(WORK)).unwrap();
    symlink(&data, system.image(WORK)).unwrap();
    let removed = system.run("qvm-remove -f work");
    assert!(
        removed.code == 0
            && removed
                .stderr
                .contains(&format!("{} stays", data.display())),
        "{removed:?}"
    );
    assert_eq!(fs::read(&data).unwrap(), DATA);
}

#[test]
fn a_pool_named_like_the_pool_of_kernels_keeps_its_images() {
    let system = System::new();
    keep_data(&system, WORK);
    let kernels = "<pool name=\"varlibqubes\" dir_path=\"/var/lib/qubes/vm-kernels\" \
        driver=\"linux-kernel\"/></pools>";
    let store = system.store().replace("</pools>", kernels);
    fs::write(system.image("qubes.xml"), store).unwrap();
    let listed = system.run("qubes-recover --list-orphans");
    assert!(!listed.stdout.contains("work/private"), "{listed:?}");
    system.run("qubes-recover --remove-orphans --yes");
    assert_eq!(system.bytes(WORK), DATA);
}

#[test]
fn a_qube_whose_volume_id_names_no_image_can_be_removed() {
    for vid in ["appvms/work/private/", "../work/private", ""] {
        let system = System::new();
        let store = system
            .store()
            .replace("vid=\"appvms/work/private\"", &format!("vid=\"{vid}\""));
        fs::write(system.image("qubes.xml"), store).unwrap();
        assert_eq!(system.run("qubes-recover").code, 0, "{vid}");
        let removed = system.run("qvm-remove -f work");
        assert_eq!(removed.code, 0, "{vid}: {removed:?}");
    }
}

#[test]
fn a_creation_that_fails_to_discard_gives_up_no_data() {
    let system = System::new();
    keep_data(&system, "appvms/new/private.img");
    // Only files can be discarded.
    fs::create_dir(system.image("appvms/new/private-dirty.img")).unwrap();
    assert_eq!(
        system.run("qvm-create -l red --discard-existing new").code,
        1
    );
    fs::remove_dir(system.image("appvms/new/private-dirty.img")).unwrap();
    keep_data(&system, "appvms/new/private.img");
    system.refuses(1, "qvm-create -l red new");
    assert_eq!(system.bytes("appvms/new/private.img"), DATA);
}
