//! Which files `qvm-template-postprocess` removes once a template is in the store: those of the
//! package, and no image, whatever path leads to it.

use std::fs;
use std::os::unix::fs::symlink;

use qubes_test_support::tree::list_names;

use crate::packages::{
    NAME, SMALL, check_image, image, installed, make_image, post_install, unpack_with,
};
use crate::place::{Installer, Where};

const OWN: &str = "/var/lib/qubes/vm-templates/fedora-41-xfce";

/// Runs a command line that must succeed. Returns what it printed, without `warning` lines about
/// lists.
fn succeeds(installer: &Installer, line: &str) -> Vec<String> {
    let done = installer.run(line);
    assert_eq!(done.code, 0, "{line}: {done:?}");
    done.stderr
        .lines()
        .filter(|line| !line.contains("-appmenus.list does not exist"))
        .map(String::from)
        .collect()
}

#[test]
fn an_image_in_place_stays_whatever_path_names_its_directory() {
    // The directory on the system is a link to another disk.
    let Some(installer) = Installer::new(Where::Chroot) else {
        return;
    };
    for directory in ["/home/qubes", "/var/lib", "/run"] {
        fs::create_dir_all(installer.path(directory)).unwrap();
    }
    symlink("../../home/qubes", installer.path("/var/lib/qubes")).unwrap();
    installer.ok("qubes-create --offline-mode");
    installer.install_kernel("6.6.77-1.fc37");
    let own = installer.path(&OWN.replace("/var/lib", "/home"));
    for path in [OWN.to_owned(), OWN.replace("/var/lib", "/home")] {
        fs::create_dir_all(&own).unwrap();
        make_image(&own.join("root.img"), b"first", SMALL);
        assert_eq!(
            succeeds(&installer, &post_install(&installer, "--skip-start", &path)),
            [""; 0]
        );
        let there = fs::read(own.join("root.img")).unwrap_or_default();
        assert!(
            there.starts_with(b"first") && own.join("private.img").exists(),
            "{path}"
        );
        installer.ok(&format!(
            "qvm-template-postprocess --really pre-remove {NAME} {path}"
        ));
        assert!(!own.join("root.img").exists());
    }

    // A bind mount.
    let Some(installer) = installed(Where::BelowRoot) else {
        return;
    };
    make_parent(&installer, OWN);
    make_image(&image(&installer), b"first", SMALL);
    let (disk, other) = (installer.path("/var/lib/qubes"), installer.path("/other"));
    fs::create_dir(&other).unwrap();
    let mount = format!(
        r#"mount --bind {} {} && exec "$@""#,
        disk.display(),
        other.display()
    );
    let bound = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        &mount,
        "sh",
    ];
    let path = format!("/other/vm-templates/{NAME}");
    let done = installer.run_through(&bound, &post_install(&installer, "--skip-start", &path));
    assert_eq!(done.code, 0, "{done:?}");
    check_image(&installer, b"first", SMALL);
    assert!(image(&installer).with_file_name("private.img").exists());
}

fn make_parent(installer: &Installer, directory: &str) {
    fs::create_dir_all(installer.path(directory)).unwrap();
}

#[test]
fn an_image_in_another_pools_directory_stays() {
    let Some(installer) = installed(Where::BelowRoot) else {
        return;
    };
    make_parent(&installer, "/data");
    installer.ok("qvm-pool add p2 file-reflink -o dir_path=/data -o setup_check=no");
    let directory = format!("/data/vm-templates/{NAME}");
    make_parent(&installer, &directory);
    let image = installer.path(&directory).join("root.img");
    make_image(&image, b"first", SMALL);
    let line = post_install(&installer, "--skip-start --pool p2", &directory);
    assert_eq!(succeeds(&installer, &line), [""; 0]);
    assert!(fs::read(&image).unwrap().starts_with(b"first"));
    assert!(image.with_file_name("private.img").exists());
    installer.check_system();
}

#[test]
fn the_directory_of_another_template_is_unchanged() {
    let Some(installer) = installed(Where::BelowRoot) else {
        return;
    };
    make_parent(&installer, OWN);
    make_image(&image(&installer), b"first", SMALL);
    succeeds(&installer, &post_install(&installer, "--skip-start", OWN));
    let own = installer.path(OWN);
    fs::write(own.join("whitelisted-appmenus.list"), "firefox.desktop\n").unwrap();
    let names = || list_names(&own);
    let before = names();
    let line = format!(
        "qvm-template-postprocess --really --skip-start post-install new {}",
        own.display()
    );
    let said = succeeds(&installer, &line);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].starts_with(&format!("{} stays as it is: ", own.display()))
            && said[0].contains(&format!(" is an image of volume {NAME}:")),
        "{said:?}"
    );
    assert_eq!(names(), before);
    check_image(&installer, b"first", SMALL);
    let new = installer.path("/var/lib/qubes/vm-templates/new/root.img");
    assert!(fs::read(new).unwrap().starts_with(b"first"));

    // The template's image was moved away and replaced by a link.
    make_parent(&installer, "/disk");
    let disk = installer.path("/disk/root.img");
    fs::rename(image(&installer), &disk).unwrap();
    symlink(&disk, image(&installer)).unwrap();
    let line = "qvm-template-postprocess --really --skip-start post-install other";
    let said = succeeds(&installer, &format!("{line} {}", installer.named("/disk")));
    let stays = format!(
        "{} stays as it is: root.img in it is an image of volume {NAME}:root",
        installer.named("/disk")
    );
    assert_eq!(said, [stays]);
    assert!(fs::read(disk).unwrap().starts_with(b"first"));
}

#[test]
fn foreign_files_stay_and_are_reported() {
    let Some(installer) = installed(Where::BelowRoot) else {
        return;
    };
    let directory = "/var/tmp/unpacked";
    unpack_with(&installer, directory, b"first", SMALL);
    let directory = installer.path(directory);
    for empty in ["apps", "apps.icons", "apps.templates", "apps.tempicons"] {
        fs::create_dir(directory.join(empty)).unwrap();
    }
    fs::write(directory.join("clean-volatile.img.tar"), "not read").unwrap();
    let line = post_install(&installer, "--skip-start", "/var/tmp/unpacked");
    fs::write(directory.join("apps/own.desktop"), "somebody's").unwrap();
    fs::write(directory.join("thesis.txt"), "somebody's").unwrap();
    let stays = format!(
        "{} stays: it contains apps, thesis.txt, which the package did not install",
        directory.display()
    );
    assert_eq!(succeeds(&installer, &line), [stays]);
    assert_eq!(list_names(&directory), ["apps", "thesis.txt"]);

    // Once these files are gone, nothing of the directory is left.
    fs::remove_file(directory.join("apps/own.desktop")).unwrap();
    fs::remove_file(directory.join("thesis.txt")).unwrap();
    unpack_with(&installer, "/var/tmp/unpacked", b"second", SMALL);
    assert_eq!(succeeds(&installer, &line), [""; 0]);
    assert!(!directory.exists());
    check_image(&installer, b"second", SMALL);
}

#[test]
fn a_possible_image_of_an_unknown_volume_stays() {
    let Some(installer) = installed(Where::BelowRoot) else {
        return;
    };
    installer.ok("qvm-create --offline-mode -C StandaloneVM -l red lost");
    let store = installer.path("/var/lib/qubes/qubes.xml");
    let text = fs::read_to_string(&store).unwrap();
    let told = text.replace(
        "name=\"root\" pool=\"varlibqubes\" vid=\"appvms/lost/root\"",
        "name=\"root\" pool=\"gone\" vid=\"appvms/lost/root\"",
    );
    assert_ne!(text, told);
    fs::write(&store, told).unwrap();
    unpack_with(&installer, "/var/tmp/unpacked", b"first", SMALL);
    let image = installer.path("/var/tmp/unpacked/root.img");
    fs::remove_file(image.with_file_name("root.img.tar")).unwrap();
    make_image(&image, b"first", SMALL);
    let said = succeeds(
        &installer,
        &post_install(&installer, "--skip-start", "/var/tmp/unpacked"),
    );
    let stays = format!("{} stays: volume lost:root", image.display());
    assert!(
        said.iter()
            .any(|line| line.starts_with(&stays) && line.ends_with("and it may be its image")),
        "{said:?}"
    );
    assert!(image.exists() && !image.with_file_name("template.conf").exists());
}
