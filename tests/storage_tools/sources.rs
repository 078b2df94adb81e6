//! Files whose data become a root volume: `qvm-create --root-move-from` removes the file
//! afterwards, but never an image of a volume, and no creation overwrites the file it reads.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;

use crate::system::{MIB, System};

const DATA: &[u8] = b"the data of a root volume";
const TEMPLATE: &str = "vm-templates/tpl/root.img";
const NEW: &str = "appvms/new/root.img";
const CREATE: &str = "qvm-create -l red -C StandaloneVM";

fn put(image: &Path) {
    fs::create_dir_all(image.parent().unwrap()).unwrap();
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(image)
        .unwrap();
    file.set_len(file.metadata().unwrap().len().max(MIB))
        .unwrap();
    file.write_all_at(DATA, 0).unwrap();
}

/// Creates a system whose template has data in its root image.
fn system() -> System {
    let system = System::new();
    put(&system.image(TEMPLATE));
    system
}

fn exists(system: &System, qube: &str) -> bool {
    system.run(format!("qvm-check -q {qube}")).code == 0
}

#[test]
fn a_moved_file_becomes_the_root_volume_and_is_removed() {
    let system = system();
    let file = system.path("/var/tmp/root.img");
    put(&file);
    system.ok(format!("{CREATE} --root-move-from {} new", file.display()));
    assert!(system.begins_with(NEW, DATA) && !file.exists());
    // Of a link, the link itself is removed.
    let link = system.path("/var/tmp/link");
    put(&file);
    symlink(&file, &link).unwrap();
    system.ok(format!(
        "{CREATE} --root-move-from {} other",
        link.display()
    ));
    assert!(system.begins_with("appvms/other/root.img", DATA) && file.exists());
    assert!(fs::symlink_metadata(&link).is_err());
}

#[test]
fn an_image_of_a_volume_is_not_moved() {
    let system = system();
    fs::create_dir_all(system.path("/var/tmp")).unwrap();
    symlink(
        system.image("vm-templates"),
        system.path("/var/tmp/templates"),
    )
    .unwrap();
    symlink(system.image(TEMPLATE), system.path("/var/tmp/link.img")).unwrap();
    for path in [
        "/var/lib/qubes/vm-templates/tpl/root.img",
        "/var/tmp/templates/tpl/root.img",
        "/var/tmp/link.img",
    ] {
        let path = system.path(path);
        for options in ["", "--dry-run", "-t tpl", "--discard-existing"] {
            let line = format!("{CREATE} {options} --root-move-from {} new", path.display());
            let refused = system.refuses(1, &line);
            assert!(
                refused.starts_with("app: Error creating VM: cannot move "),
                "{line}: {refused}"
            );
            let reason = "it is an image of volume tpl:root; qvm-create --root-copy-from copies it";
            assert!(refused.ends_with(reason), "{line}: {refused}");
            assert!(!exists(&system, "new") && fs::symlink_metadata(&path).is_ok());
        }
    }
    // The image is a symbolic or a hard link to the file.
    let elsewhere = system.path("/var/tmp/elsewhere.img");
    fs::rename(system.image(TEMPLATE), &elsewhere).unwrap();
    symlink(&elsewhere, system.image(TEMPLATE)).unwrap();
    for _ in 0..2 {
        let refused = system.refuses(
            1,
            &format!("{CREATE} --root-move-from {} new", elsewhere.display()),
        );
        assert!(
            refused.contains("it is an image of volume tpl:root"),
            "{refused}"
        );
        fs::remove_file(system.image(TEMPLATE)).unwrap();
        fs::hard_link(&elsewhere, system.image(TEMPLATE)).unwrap();
    }
    // Files that a driver keeps beside the image belong to the volume, too.
    put(&system.image("vm-templates/tpl/root-dirty.img"));
    let dirty = system.image("vm-templates/tpl/root-dirty.img");
    system.refuses(
        1,
        &format!("{CREATE} --root-move-from {} new", dirty.display()),
    );
    fs::remove_file(dirty).unwrap();
    // It can be copied.
    system.ok(format!(
        "{CREATE} --root-copy-from {} new",
        system.image(TEMPLATE).display()
    ));
    assert!(system.begins_with(NEW, DATA) && system.begins_with(TEMPLATE, DATA));
}

#[test]
fn a_file_in_the_place_of_the_new_images_is_refused() {
    let system = system();
    let lost = system.image(NEW);
    put(&lost);
    fs::create_dir_all(system.path("/var/tmp")).unwrap();
    symlink(&lost, system.path("/var/tmp/link.img")).unwrap();
    for path in [lost.clone(), system.path("/var/tmp/link.img")] {
        for option in ["--root-move-from", "--root-copy-from"] {
            for existing in [
                "",
                "--discard-existing",
                "--discard-existing -t tpl",
                "--dry-run --discard-existing",
            ] {
                let line = format!("{CREATE} {existing} {option} {} new", path.display());
                let refused = system.refuses(1, &line);
                assert!(
                    refused.contains("volume new:root will have its image there; move that file"),
                    "{refused}"
                );
                assert!(
                    !exists(&system, "new") && system.begins_with(NEW, DATA),
                    "{line}"
                );
            }
        }
    }
    system.ok(format!("{CREATE} --adopt-existing new"));
    assert!(system.begins_with(NEW, DATA));
}

#[test]
fn possible_images_and_non_files_are_not_moved() {
    let system = system();
    let file = system.path("/var/tmp/root.img");
    put(&file);
    let null = system.refuses(1, &format!("{CREATE} --root-move-from /dev/null new"));
    assert!(
        null.contains("cannot move /dev/null: it is not a regular file"),
        "{null}"
    );
    let sound = system.store();
    let volume = "name=\"private\" pool=\"varlibqubes\" vid=\"appvms/work/private\"";
    assert!(sound.contains(volume), "{sound}");
    let lost = volume.replace("varlibqubes", "lost");
    fs::write(system.image("qubes.xml"), sound.replace(volume, &lost)).unwrap();
    let refused = system.refuses(
        1,
        &format!("{CREATE} --root-move-from {} new", file.display()),
    );
    assert!(
        refused.contains("it may be an image of an unknown volume (volume work:private"),
        "{refused}"
    );
    assert!(file.exists());
    assert_eq!(
        system
            .run(format!("{CREATE} --root-copy-from {} new", file.display()))
            .code,
        0
    );
}
