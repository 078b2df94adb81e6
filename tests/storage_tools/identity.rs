//! An image has an identity on disk: no command destroys or overwrites one that a volume of the
//! store uses, whatever texts lead to it.

use std::fs;
use std::os::unix::fs::symlink;

use crate::system::System;

/// The path of `work`'s private image.
const WORK: &str = "appvms/work/private.img";
const DATA: &[u8] = b"what nobody wants to lose";

/// Creates a system in which `work` and a second qube `vault` have data.
fn system() -> System {
    let system = System::new();
    system.ok("qvm-create -l red vault");
    keep_data(&system, "work");
    keep_data(&system, "vault");
    system
}

fn keep_data(system: &System, qube: &str) {
    let data = system.file("data", DATA);
    system.ok(format!(
        "qvm-volume import --no-resize {qube}:private {}",
        data.display()
    ));
    assert!(has_data(system, &format!("appvms/{qube}/private.img")));
}

fn has_data(system: &System, image: &str) -> bool {
    system.image(image).exists() && system.begins_with(image, DATA)
}

/// Changes the text of the store as an editor does.
fn edit(system: &System, from: &str, to: &str) {
    let store = system.store();
    assert!(store.contains(from), "{from} is not in {store}");
    fs::write(system.image("qubes.xml"), store.replace(from, to)).unwrap();
}

/// Adds a second pool over the directory of the first to the text of the store.
fn add_pool_by_hand(system: &System, attributes: &str) {
    edit(
        system,
        "</pools>",
        &format!("<pool name=\"p2\" driver=\"file-reflink\" {attributes}/></pools>"),
    );
}

/// Changes the place of `vault`'s private image in the text of the store.
fn move_vault(system: &System, to: &str) {
    let store = system.store();
    let vid = "vid=\"appvms/vault/private\"";
    let at = store.find(vid).expect("vault's private volume");
    let start = store[..at].rfind("<volume").unwrap();
    let end = at + store[at..].find("/>").unwrap();
    let pool = to.contains("pool=").then(|| {
        let tag = &store[start..end];
        let from = tag.find("pool=\"").unwrap();
        let length = 6 + tag[from + 6..].find('"').unwrap() + 1;
        tag[from..from + length].to_owned()
    });
    let mut tag = store[start..end].replace(vid, to);
    if let Some(pool) = pool {
        tag = tag.replacen(&pool, "", 1);
    }
    let new = format!("{}{tag}{}", &store[..start], &store[end..]);
    fs::write(system.image("qubes.xml"), new).unwrap();
}

fn remove_all_orphans(system: &System) -> qubes_test_support::ToolOutput {
    system.run("qubes-recover --remove-orphans --yes")
}

#[test]
fn volumes_of_a_second_pool_over_one_directory_are_not_orphans() {
    let system = system();
    symlink("qubes", system.path("/var/lib/link")).unwrap();
    for directory in [
        "/var/lib/qubes",
        "/var/lib/link",
        "/var/lib/./qubes/../qubes",
        "/var/lib",
    ] {
        let before = system.store();
        add_pool_by_hand(&system, &format!("dir_path=\"{directory}\""));
        assert_eq!(system.ok("qubes-recover --list-orphans"), "", "{directory}");
        let removed = remove_all_orphans(&system);
        assert_eq!((removed.code, &*removed.stderr), (0, ""), "{directory}");
        assert!(
            has_data(&system, WORK) && system.image("vm-templates/tpl/root.img").exists(),
            "{directory}"
        );
        fs::write(system.image("qubes.xml"), before).unwrap();
    }
}

#[test]
fn a_volume_without_a_stored_place_keeps_its_image() {
    let vid = " vid=\"appvms/vault/private\"";
    for (from, to) in [
        (vid, ""),
        (vid, " vid=\"\""),
        (
            "name=\"private\" pool=\"varlibqubes\" vid=\"appvms/vault/private\"",
            "name=\"private\"",
        ),
    ] {
        let system = system();
        edit(&system, from, to);
        assert_eq!(
            system.run("qubes-recover --list-orphans").stdout,
            "",
            "{to}"
        );
        remove_all_orphans(&system);
        assert!(has_data(&system, "appvms/vault/private.img"), "{to}");
    }
    // Without all of these attributes.
    let system = system();
    let store = system.store();
    let start = store.find("vid=\"appvms/vault/root\"").unwrap();
    let start = store[..start].rfind("<volume-config").unwrap();
    let end = start + store[start..].find("</volume-config>").unwrap() + "</volume-config>".len();
    fs::write(
        system.image("qubes.xml"),
        format!("{}<volume-config/>{}", &store[..start], &store[end..]),
    )
    .unwrap();
    assert_eq!(system.ok("qubes-recover --list-orphans"), "");
    remove_all_orphans(&system);
    assert!(has_data(&system, "appvms/vault/private.img"));
}

#[test]
fn a_domain_that_cannot_be_loaded_keeps_its_images() {
    let name = "<property name=\"name\">vault</property>";
    for (what, to) in [
        ("empty", "<property name=\"name\"></property>"),
        ("none", ""),
        (
            "second of the name",
            "<property name=\"name\">work</property>",
        ),
        (
            "two names",
            "<property name=\"name\">vault</property><property name=\"name\">other</property>",
        ),
        ("unusable", "<property name=\"name\">va/ult</property>"),
    ] {
        let system = system();
        edit(&system, name, to);
        assert_eq!(
            system.run("qubes-recover --list-orphans").stdout,
            "",
            "{what}"
        );
        remove_all_orphans(&system);
        assert!(has_data(&system, "appvms/vault/private.img"), "{what}");
    }
}

#[test]
fn a_domain_inside_an_unknown_element_keeps_its_images() {
    let system = system();
    let store = system.store();
    let at = store
        .find("<property name=\"name\">vault</property>")
        .unwrap();
    let start = store[..at].rfind("<domain").unwrap();
    let end = at + store[at..].find("</domain>").unwrap() + "</domain>".len();
    let grouped = format!(
        "{}<group>{}</group>{}",
        &store[..start],
        &store[start..end],
        &store[end..]
    );
    fs::write(system.image("qubes.xml"), grouped).unwrap();
    assert_eq!(system.ok("qubes-recover --list-orphans"), "");
    remove_all_orphans(&system);
    assert!(has_data(&system, "appvms/vault/private.img"));
    // The creation of a qube of that name, or the removal of another one, does not touch them
    // either.
    let refused = system.refuses(1, "qvm-create -l red vault");
    assert!(
        refused.contains("has the image of volume vault:"),
        "{refused}"
    );
}

#[test]
fn orphans_stay_while_a_volume_is_unknown() {
    let system = system();
    fs::create_dir(system.image("appvms/lost")).unwrap();
    fs::write(system.image("appvms/lost/private.img"), DATA).unwrap();
    let sound = system.store();
    for (what, from, to, reason) in [
        (
            "a missing pool",
            "vid=\"appvms/vault/private\"",
            "vid=\"appvms/lost/x\"",
            "",
        ),
        (
            "",
            "name=\"varlibqubes\"",
            "name=\"renamed\"",
            "is in pool 'varlibqubes', which does not exist",
        ),
        (
            "no name and no vid",
            "<property name=\"name\">vault</property>",
            "",
            "has no vid, and its domain has no name to make one from",
        ),
    ] {
        edit(&system, from, to);
        if what.starts_with("no name") {
            edit(&system, "vid=\"appvms/vault/private\"", "");
        }
        if !reason.is_empty() {
            let refused = remove_all_orphans(&system);
            assert_eq!(refused.code, 1, "{what}: {refused:?}");
            assert!(
                refused.stderr.contains(reason),
                "{what}: {}",
                refused.stderr
            );
            assert!(has_data(&system, "appvms/lost/private.img"), "{what}");
            assert!(has_data(&system, WORK), "{what}");
        }
        fs::write(system.image("qubes.xml"), &sound).unwrap();
    }
    let removed = remove_all_orphans(&system);
    assert_eq!((removed.code, &*removed.stderr), (0, ""));
    assert!(!system.image("appvms/lost/private.img").exists());
    assert!(has_data(&system, WORK));
}

#[test]
fn each_orphan_is_confirmed() {
    let system = system();
    for lost in ["lost", "found"] {
        fs::create_dir(system.image("appvms").join(lost)).unwrap();
        fs::write(system.image("appvms").join(lost).join("private.img"), DATA).unwrap();
    }
    let none = system.run("qubes-recover --remove-orphans");
    assert_eq!(none.code, 0, "{none:?}");
    assert!(
        has_data(&system, "appvms/lost/private.img"),
        "the end of the input is a no"
    );
    let second = system.run_with_input("qubes-recover --remove-orphans", b"n\ny\n");
    assert_eq!(second.code, 0, "{second:?}");
    assert!(
        second
            .stdout
            .contains("Remove varlibqubes:appvms/found/private ("),
        "{}",
        second.stdout
    );
    assert!(has_data(&system, "appvms/found/private.img"));
    assert!(!system.image("appvms/lost").exists());
    assert_eq!(system.run("qubes-recover --remove-orphans --json").code, 2);
}

#[test]
fn a_qube_renamed_by_hand_keeps_its_image_when_its_old_name_is_created_again() {
    for create in [
        "qvm-create -l red work",
        "qvm-create -l red work --discard-existing",
        "qvm-create -l red work --adopt-existing",
        "qvm-create -l red -P p2 work",
        "qvm-create -l red -p private=p2 work",
        "qvm-clone vault work",
        "qvm-clone --discard-existing -P p2 vault work",
        "qvm-create -l red -C StandaloneVM work",
        "qvm-add-appvm work tpl",
    ] {
        let system = system();
        add_pool_by_hand(&system, "dir_path=\"/var/lib/qubes/\" setup_check=\"no\"");
        edit(
            &system,
            "<property name=\"name\">work</property>",
            "<property name=\"name\">renamed</property>",
        );
        let refused = system.refuses(1, create);
        assert!(
            refused.contains("has the image of volume renamed:"),
            "{create}: {refused}"
        );
        assert!(has_data(&system, WORK), "{create}");
    }
    let system = system();
    edit(
        &system,
        "<property name=\"name\">work</property>",
        "<property name=\"name\">renamed</property>",
    );
    assert_eq!(system.run("qvm-create -l red --dry-run work").code, 1);
}

#[test]
fn a_removal_keeps_images_of_other_volumes() {
    for (what, pool, vault) in [
        (
            "by another pool",
            "dir_path=\"/var/lib/qubes\"",
            "pool=\"p2\" vid=\"appvms/work/private\"",
        ),
        (
            "by a pool inside",
            "dir_path=\"/var/lib/qubes/appvms\"",
            "pool=\"p2\" vid=\"work/private\"",
        ),
        (
            "by the same pool",
            "dir_path=\"/elsewhere\"",
            "vid=\"appvms/work/../work/private\"",
        ),
        (
            "by the pool above",
            "dir_path=\"/var\"",
            "pool=\"p2\" vid=\"lib/qubes/appvms/work/private\"",
        ),
    ] {
        let system = system();
        add_pool_by_hand(&system, pool);
        move_vault(&system, vault);
        let removed = system.run("qvm-remove -f vault");
        assert!(has_data(&system, WORK), "{what}: {removed:?}");
        assert_eq!(system.run("qvm-check work").code, 0, "{what}");
        assert!(system.stored_attribute("work", "private", "vid").is_some());
    }
}

#[test]
fn a_removal_keeps_the_image_of_a_volume_without_a_vid() {
    let system = system();
    edit(&system, " vid=\"appvms/work/private\"", "");
    move_vault(&system, "vid=\"appvms/work/private\"");
    let removed = system.run("qvm-remove -f vault");
    assert_eq!(removed.code, 0, "{removed:?}");
    assert!(
        removed
            .stderr
            .contains("private.img stays: it belongs to volume work:private"),
        "{removed:?}"
    );
    assert!(has_data(&system, WORK));
    assert_ne!(system.run("qvm-check vault").code, 0);
}

#[test]
fn a_removal_keeps_an_image_that_is_anothers_uncommitted_one() {
    let system = system();
    move_vault(&system, "vid=\"appvms/work/private-dirty\"");
    fs::write(system.image("appvms/work/private-dirty.img"), DATA).unwrap();
    let removed = system.run("qvm-remove -f vault");
    assert!(
        has_data(&system, "appvms/work/private-dirty.img"),
        "{removed:?}"
    );
    assert!(
        removed
            .stderr
            .contains("private-dirty.img stays: it belongs to volume work:private"),
        "{removed:?}"
    );
    assert!(has_data(&system, WORK));
}

#[test]
fn no_data_are_imported_into_another_volumes_image() {
    let system = system();
    add_pool_by_hand(&system, "dir_path=\"/var/lib/qubes\" setup_check=\"no\"");
    move_vault(&system, "pool=\"p2\" vid=\"appvms/work/private\"");
    let data = system.file("other", b"other data");
    for line in [
        format!("qvm-volume import vault:private {}", data.display()),
        "qvm-volume clear --force vault:private".to_owned(),
        "qvm-volume revert vault:private".to_owned(),
        "qvm-volume resize vault:private 3GiB".to_owned(),
    ] {
        let refused = system.refuses(1, &line);
        let words = "vault:private: volume vault:private has the image of volume work:private";
        assert!(refused.contains(words), "{line}: {refused}");
    }
    // Reading is allowed.
    system.ok("qvm-volume info vault:private");
    assert!(has_data(&system, WORK));
}

#[test]
fn an_image_outside_the_places_of_pools_stays() {
    let system = system();
    fs::create_dir(system.path("/etc")).ok();
    fs::write(system.path("/etc/private.img"), DATA).unwrap();
    add_pool_by_hand(&system, "dir_path=\"/etc\"");
    move_vault(&system, "pool=\"p2\" vid=\"private\"");
    let removed = system.run("qvm-remove -f vault");
    assert_eq!(removed.code, 0, "{removed:?}");
    assert!(
        removed
            .stderr
            .contains("volume id 'private' of pool p2 is not of the form"),
        "{removed:?}"
    );
    assert_eq!(fs::read(system.path("/etc/private.img")).unwrap(), DATA);
}

/// A copy of qubes.xml elsewhere, for experiments.
#[test]
fn another_store_over_the_same_pool_removes_nothing_of_the_systems() {
    let system = system();
    let copy = system.file("copy.xml", system.store().as_bytes());
    let with_copy = |program: &str, rest: &str| {
        let ran = system.run(format!("{program} --qubesxml {} {rest}", copy.display()));
        assert_eq!(ran.code, 0, "{program}: {ran:?}");
        ran
    };
    let removed = with_copy("qvm-remove", "-f work");
    assert!(
        removed
            .stderr
            .contains("private.img stays: it belongs to volume work:private of "),
        "{removed:?}"
    );
    assert!(has_data(&system, WORK));
    with_copy("qubes-recover", "--remove-orphans --yes");
    assert!(has_data(&system, WORK) && has_data(&system, "appvms/vault/private.img"));
    let created = system.run(format!(
        "qvm-create --qubesxml {} -l red --discard-existing work",
        copy.display()
    ));
    assert_eq!(created.code, 1, "{created:?}");
    assert!(has_data(&system, WORK));
}

/// Changes the place of one of `vault`'s unsaved volumes to that of `work`'s private one.
fn share_work_image(volume: &str) -> System {
    let system = system();
    edit(
        &system,
        &format!("vid=\"appvms/vault/{volume}\""),
        "vid=\"appvms/work/private\"",
    );
    system
}

#[test]
fn an_image_named_by_an_unsaved_volume_stays() {
    for volume in ["root", "volatile"] {
        for line in [
            "qubes-recover --at-boot",
            "qubes-recover",
            "qvm-volume revert vault:private",
            "qvm-remove -f vault",
        ] {
            let system = share_work_image(volume);
            // After a crash of the machine, this image has what `work`'s guest has synced.
            let dirty = "appvms/work/private-dirty.img";
            fs::copy(system.image(WORK), system.image(dirty)).unwrap();
            let ran = system.run(line);
            assert!(
                has_data(&system, WORK) || has_data(&system, dirty),
                "{volume}, {line}: {ran:?}"
            );
        }
    }
}
