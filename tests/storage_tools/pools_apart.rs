//! Two pools never have an image in common: `qvm-pool add` refuses such a pool by whatever path,
//! and `qubes-db check` reports those that an editor made.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use qubes_test_support::skip;

use crate::system::System;

/// Returns why a pool in this directory is refused.
fn refused(system: &System, directory: &str) -> String {
    system.refuses(1, &format!("qvm-pool add p2 file -o dir_path={directory}"))
}

#[test]
fn a_pool_that_overlaps_another_is_refused() {
    let system = System::new();
    symlink("qubes", system.path("/var/lib/link")).unwrap();
    symlink("../lib/qubes/appvms", system.path("/var/lib/inside")).unwrap();
    for (directory, words) in [
        ("/var/lib/qubes", "is the directory of pool 'varlibqubes'"),
        ("/var/lib//qubes/", "is the directory of pool 'varlibqubes'"),
        ("/var/lib/link", "is the directory of pool 'varlibqubes'"),
        (
            "/var/lib/inside",
            "lies in the directory of pool 'varlibqubes'",
        ),
        (
            "/var/lib/qubes/appvms/work",
            "lies in the directory of pool 'varlibqubes'",
        ),
        (
            "/var/lib/qubes/vm-templates/new",
            "lies in the directory of pool 'varlibqubes'",
        ),
        (
            "/var/lib/link/appvms/not/there/yet",
            "lies in the directory of pool 'varlibqubes'",
        ),
        (
            "/var/lib/qubes/vm-kernels",
            "is the directory of pool 'linux-kernel'",
        ),
        (
            "/var/lib/qubes/vm-kernels/images",
            "lies in the directory of pool 'linux-kernel'",
        ),
        ("/var/lib/qubes/../qubes", "'..'"),
        ("/var/lib", "is a system directory"),
        ("/", "is a system directory"),
        ("/etc", "is a system directory"),
        ("/etc/qubes/pool", "is a system directory"),
    ] {
        let refused = refused(&system, directory);
        assert!(refused.contains(words), "{directory}: {refused}");
    }
    // In a directory above.
    fs::create_dir(system.path("/data")).unwrap();
    fs::create_dir(system.path("/data/appvms")).unwrap();
    system.ok("qvm-pool add deep file -o dir_path=/data/appvms/inner");
    let above = refused(&system, "/data");
    assert!(
        above.contains("contains the directory of pool 'deep'"),
        "{above}"
    );
    // In a subdirectory where a pool keeps no images, as with upstream.
    system.ok("qvm-pool add within file -o dir_path=/var/lib/qubes/newpool");
    // Names that only begin alike are different directories.
    system.ok("qvm-pool add beside file -o dir_path=/data/appvms/inner-2");
    system.ok("qvm-pool add other file -o dir_path=/var/lib/qubes-2");
}

#[test]
fn the_pool_of_kernels_overlaps_no_images() {
    let system = System::new();
    system.ok("qvm-pool add kernels linux-kernel -o dir_path=/var/lib/qubes/more-kernels");
    for directory in [
        "/var/lib/qubes/appvms",
        "/var/lib/qubes/vm-templates/tpl",
        "/var/lib/qubes",
    ] {
        system.refuses(
            1,
            &format!("qvm-pool add k2 linux-kernel -o dir_path={directory}"),
        );
    }
    system.refuses(
        1,
        "qvm-pool add images file -o dir_path=/var/lib/qubes/more-kernels/images",
    );
}

#[test]
fn a_bind_mount_of_a_pool_overlaps_it() {
    let system = System::new();
    for (source, point, below) in [
        ("/var/lib/qubes", "/bound", "appvms/work"),
        ("/var/lib/qubes/appvms", "/inside", "work"),
    ] {
        fs::create_dir(system.path(point)).unwrap();
        let mount = |program: &str, of: &[&std::path::Path]| {
            Command::new(program)
                .args(of)
                .status()
                .is_ok_and(|status| status.success())
        };
        let bound = Command::new("mount")
            .arg("--bind")
            .args([system.path(source), system.path(point)])
            .status();
        if !bound.is_ok_and(|status| status.success()) {
            return skip("bind mounts need root");
        }
        let refused = system.run(format!("qvm-pool add p2 file -o dir_path={point}"));
        let deeper = system.run(format!("qvm-pool add p2 file -o dir_path={point}/{below}"));
        // A store in which an editor added such a pool loses no image.
        let store = system.store();
        let pool =
            format!("<pool name=\"p2\" dir_path=\"{point}\" driver=\"file-reflink\"/></pools>");
        fs::write(system.image("qubes.xml"), store.replace("</pools>", &pool)).unwrap();
        let orphans = system.run("qubes-recover --remove-orphans --yes");
        let checked = system.run("qubes-db check");
        let is_there = system.image("appvms/work/private.img").exists();
        fs::write(system.image("qubes.xml"), store).unwrap();
        assert!(mount("umount", &[&system.path(point)]));
        assert!(
            refused.code == 1
                && refused
                    .stderr
                    .contains("the directory of pool 'varlibqubes'"),
            "{refused:?}"
        );
        assert!(deeper.code == 1, "{deeper:?}");
        assert!(orphans.code == 0 && is_there, "{orphans:?}");
        assert!(
            checked.stdout.contains("of pool 'varlibqubes'"),
            "{checked:?}"
        );
    }
}

#[test]
fn a_thin_pool_belongs_to_one_pool() {
    let system = System::new();
    let store = system.store();
    let pool =
        "<pool name=\"thin\" volume_group=\"vg\" thin_pool=\"tp\" driver=\"lvm_thin\"/></pools>";
    fs::write(system.image("qubes.xml"), store.replace("</pools>", pool)).unwrap();
    let refused = system.refuses(
        1,
        "qvm-pool add again lvm_thin -o volume_group=vg -o thin_pool=tp",
    );
    assert!(
        refused.contains("thin pool vg/tp is already pool 'thin'"),
        "{refused}"
    );
}

#[test]
fn a_pool_with_a_domain_that_cannot_be_loaded_is_not_removed() {
    let system = System::new();
    system.ok("qvm-pool add more file-reflink -o dir_path=/more -o setup_check=no");
    system.ok("qvm-create -l red -P more vault");
    let store = system.store();
    let nameless = store.replace("<property name=\"name\">vault</property>", "");
    fs::write(system.image("qubes.xml"), nameless).unwrap();
    let refused = system.refuses(1, "qvm-pool remove more");
    assert!(
        refused.contains("Storage pool is in use: 'more': the domain at line "),
        "{refused}"
    );
}

/// Returns the kinds of damage that `qubes-db check` finds.
fn kinds(system: &System) -> Vec<String> {
    let checked = system.run("qubes-db check --json").json();
    let all = checked.as_array().unwrap().iter();
    all.map(|found| found["kind"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn check_reports_images_of_two_volumes() {
    let system = System::new();
    system.ok("qvm-create -l red vault");
    assert!(kinds(&system).is_empty());
    let sound = system.store();
    let pool = |path: &str| {
        format!("<pool name=\"p2\" dir_path=\"{path}\" driver=\"file-reflink\"/></pools>")
    };
    let vid = "pool=\"varlibqubes\" vid=\"appvms/vault/private\"";
    for (path, to, expected) in [
        ("/elsewhere", vid, vec![]),
        ("/var/lib/qubes", vid, vec!["pool-overlap"]),
        ("/var/lib/qubes/appvms", vid, vec!["pool-overlap"]),
        (
            "/elsewhere",
            "pool=\"varlibqubes\" vid=\"appvms/work/private-dirty\"",
            vec!["volume-shared"],
        ),
        (
            "/elsewhere",
            "pool=\"varlibqubes\" vid=\"appvms/work/private\"",
            vec!["volume-shared"],
        ),
        (
            "/elsewhere",
            "pool=\"varlibqubes\" vid=\"appvms/x/../work/private\"",
            vec!["unsafe-path", "volume-shared"],
        ),
        (
            "/var/lib/qubes",
            "pool=\"p2\" vid=\"appvms/work/private\"",
            vec!["pool-overlap", "volume-shared"],
        ),
    ] {
        let store = sound.replace("</pools>", &pool(path)).replace(vid, to);
        fs::write(system.image("qubes.xml"), store).unwrap();
        let mut found = kinds(&system);
        found.sort();
        assert_eq!(found, expected, "{path} {to}");
    }
}

#[test]
fn check_reports_a_shared_image_beside_one_whose_qube_ends_the_same() {
    let system = System::new();
    for name in ["base", "load", "download", "copy"] {
        system.ok(format!("qvm-create -l red {name}"));
    }
    let own = |name: &str| format!("pool=\"varlibqubes\" vid=\"appvms/{name}/private\"");
    // The text shows that `load` has the image of `base`. Only the disk shows that `copy` has that
    // of `download`.
    let store = system.store().replace(&own("load"), &own("base"));
    let store = store.replace(
        &own("copy"),
        "pool=\"varlibqubes\" vid=\"appvms/download/private-dirty\"",
    );
    fs::write(system.image("qubes.xml"), store).unwrap();
    assert_eq!(kinds(&system), ["volume-shared", "volume-shared"]);
}

#[test]
fn an_absolute_link_below_the_root_is_followed_to_a_shared_image() {
    let system = System::new();
    system.ok("qvm-create -l red vault");
    let (elsewhere, own) = (system.path("elsewhere"), system.image("appvms/vault"));
    fs::create_dir(&elsewhere).unwrap();
    fs::rename(&own, elsewhere.join("vault")).unwrap();
    // As the system resolves it: its `/` is the root.
    symlink("/elsewhere/vault", &own).unwrap();
    let pool = "<pool name=\"p2\" dir_path=\"/elsewhere\" driver=\"file-reflink\"/></pools>";
    let vid = "pool=\"varlibqubes\" vid=\"appvms/work/private\"";
    let store = system
        .store()
        .replace("</pools>", pool)
        .replace(vid, "pool=\"p2\" vid=\"vault/private\"");
    fs::write(system.image("qubes.xml"), store).unwrap();
    assert_eq!(kinds(&system), ["volume-shared"]);
    let cleared = system.run("qvm-volume clear --force work:private");
    assert!(
        cleared.code == 1 && cleared.stderr.contains("vault:private"),
        "{cleared:?}"
    );
}

#[test]
fn a_pool_that_overlaps_another_through_links_is_refused() {
    for target in ["elsewhere", "/elsewhere"] {
        let system = System::new();
        fs::create_dir(system.path("elsewhere")).unwrap();
        fs::rename(system.image("appvms"), system.path("elsewhere/appvms")).unwrap();
        let to = if target.starts_with('/') {
            "/elsewhere/appvms"
        } else {
            "../../../elsewhere/appvms"
        };
        symlink(to, system.image("appvms")).unwrap();
        let ran =
            system.run("qvm-pool add p2 file-reflink -o dir_path=/elsewhere -o setup_check=no");
        assert!(
            ran.code == 1 && ran.stderr.contains("pool 'varlibqubes'"),
            "{to}: {ran:?}"
        );
    }
}
