//! Template packages of R4: `qvm-template-postprocess` imports their contents, also offline and in
//! a chroot.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::Path;
use std::process::Command;

use qubes_test_support::tree;

use crate::place::{Installer, Where};

pub const NAME: &str = "fedora-41-xfce";
const SIZE: u64 = 768 << 20;
/// The size of a small image, for tests that repeat an import often.
pub const SMALL: u64 = 2 << 20;

/// Creates a root image with data between holes.
pub fn make_image(path: &Path, mark: &[u8], size: u64) {
    let image = File::create(path).unwrap();
    image.set_len(size).unwrap();
    for at in marks(size) {
        image.write_all_at(mark, at).unwrap();
    }
}

/// Returns the offsets of the data in an image of this size.
fn marks(size: u64) -> [u64; 4] {
    [0, 1 << 20, size / 3 * 2, size - 512]
}

/// Unpacks a whole package, with its image in a sparse tar.
pub fn unpack(installer: &Installer, directory: &str) {
    unpack_with(installer, directory, b"first", SIZE);
}

pub fn unpack_with(installer: &Installer, directory: &str, mark: &[u8], size: u64) {
    let directory = installer.path(directory);
    fs::create_dir_all(&directory).unwrap();
    make_image(&directory.join("root.img"), mark, size);
    let mut pack = Command::new("tar");
    pack.args(["--sparse", "-cf", "root.img.tar", "root.img"])
        .current_dir(&directory);
    assert!(pack.status().unwrap().success());
    fs::remove_file(directory.join("root.img")).unwrap();
    fs::write(
        directory.join("vm-whitelisted-appmenus.list"),
        "firefox.desktop\n",
    )
    .unwrap();
    fs::write(
        directory.join("whitelisted-appmenus.list"),
        "firefox.desktop\norg.gnome.Nautilus.desktop\n",
    )
    .unwrap();
    fs::write(
        directory.join("netvm-whitelisted-appmenus.list"),
        "nm-applet.desktop\n",
    )
    .unwrap();
    fs::write(
        directory.join("template.conf"),
        "gui=1\nqrexec=1\nvirt-mode=pvh\nnet.fake-ip=192.168.100.100\n",
    )
    .unwrap();
}

/// Creates a system that has only a kernel.
pub fn installed(place: Where) -> Option<Installer> {
    let installer = Installer::new(place)?;
    installer.ok("qubes-create --offline-mode");
    installer.install_kernel("6.6.77-1.fc37");
    Some(installer)
}

pub fn post_install(installer: &Installer, options: &str, directory: &str) -> String {
    let directory = installer.named(directory);
    format!("qvm-template-postprocess --really {options} post-install {NAME} {directory}")
}

pub fn image(installer: &Installer) -> std::path::PathBuf {
    installer
        .path("/var/lib/qubes/vm-templates")
        .join(NAME)
        .join("root.img")
}

pub fn check_image(installer: &Installer, mark: &[u8], size: u64) {
    let path = image(installer);
    let file = File::open(&path).unwrap();
    assert_eq!(file.metadata().unwrap().len(), size);
    for at in marks(size) {
        let mut there = vec![0; mark.len()];
        file.read_exact_at(&mut there, at).unwrap();
        assert_eq!(there, mark, "at {at}");
    }
    assert!(
        file.metadata().unwrap().blocks() * 512 < 8 << 20,
        "holes stay holes"
    );
    assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o660);
}

#[test]
fn a_package_is_installed_and_removed() {
    for place in [Where::BelowRoot, Where::Chroot, Where::ChrootWithProc] {
        let Some(installer) = installed(place) else {
            return;
        };
        unpack(&installer, "/var/tmp/unpacked");
        let done = installer.run(&post_install(&installer, "", "/var/tmp/unpacked"));
        let note = format!(
            "{NAME}: it was not started: its service qubes.PostInstall runs when it is next \
             started by hand\n"
        );
        assert_eq!(
            (done.code, &*done.stdout, &*done.stderr),
            (0, "", &*note),
            "{place:?}"
        );
        assert!(!installer.path("/var/tmp/unpacked").exists());
        check_image(&installer, b"first", SIZE);
        let features = installer.ok(&format!("qvm-features {NAME}"));
        assert_eq!(
            features.split_whitespace().collect::<Vec<_>>().join(" "),
            "default-menu-items firefox.desktop menu-items firefox.desktop \
             org.gnome.Nautilus.desktop \
             netvm-menu-items nm-applet.desktop gui 1 qrexec 1 net.fake-ip 192.168.100.100"
        );
        for (property, value) in [
            ("klass", "TemplateVM"),
            ("label", "black"),
            ("installed_by_rpm", "True"),
        ] {
            assert_eq!(installer.prefs(NAME, property), value);
        }
        assert_eq!(installer.prefs(NAME, "virt_mode"), "pvh");
        let listed = installer.ok(&format!(
            "qvm-ls --offline-mode --raw-data -O name,root-curr,root-max {NAME}"
        ));
        assert!(
            listed.starts_with(&format!("{NAME}|")) && listed.contains("|768"),
            "{listed}"
        );
        installer.ok(&format!("qvm-create --offline-mode -t {NAME} -l red work"));

        let refused = installer.run(&format!("qvm-remove -f {NAME}"));
        assert_eq!(refused.code, 1);
        let pre_remove = format!("qvm-template-postprocess --really pre-remove {NAME} /anywhere");
        let refused = installer.run(&pre_remove);
        assert_eq!((refused.code, &*refused.stdout), (1, ""));
        assert!(
            refused.stderr.contains(" - template for work\n"),
            "{refused:?}"
        );
        installer.ok("qvm-remove -f work");
        let by_hand = installer.fails(&format!("qvm-remove -f {NAME}"));
        assert!(by_hand.contains("package"), "{by_hand}");
        installer.ok(&pre_remove);
        assert_eq!(installer.ok("qvm-ls --offline-mode --raw-list"), "dom0\n");
        assert!(!image(&installer).parent().unwrap().exists());
        assert_eq!(installer.run(&pre_remove).code, 2);
    }
}

#[test]
fn a_package_that_is_installed_again_replaces_root_and_clears_private() {
    let Some(installer) = installed(Where::Chroot) else {
        return;
    };
    unpack(&installer, "/var/tmp/unpacked");
    installer.ok(&post_install(
        &installer,
        "--skip-start",
        "/var/tmp/unpacked",
    ));
    let private = image(&installer).with_file_name("private.img");
    File::options()
        .write(true)
        .open(&private)
        .unwrap()
        .write_all_at(b"secret", 0)
        .unwrap();
    let uuid = installer.prefs(NAME, "uuid");

    // In pieces, as in old packages.
    unpack_with(&installer, "/var/tmp/again", b"second", SIZE);
    let archive = installer.path("/var/tmp/again/root.img.tar");
    let bytes = fs::read(&archive).unwrap();
    for (number, piece) in bytes.chunks(bytes.len() / 2 + 1).enumerate() {
        fs::write(
            archive.with_file_name(format!("root.img.part.{number:02}")),
            piece,
        )
        .unwrap();
    }
    fs::remove_file(&archive).unwrap();
    installer.ok(&post_install(
        &installer,
        "--skip-start --keep-source",
        "/var/tmp/again",
    ));
    check_image(&installer, b"second", SIZE);
    assert_eq!(installer.prefs(NAME, "uuid"), uuid);
    let mut start = [1; 6];
    File::open(&private)
        .unwrap()
        .read_exact_at(&mut start, 0)
        .unwrap();
    assert_eq!(start, [0; 6], "private is cleared");
    assert_eq!(fs::metadata(&private).unwrap().len(), 2 << 30);
    assert!(
        archive.with_file_name("root.img.part.00").exists(),
        "--keep-source"
    );

    // A qube of another class is not replaced.
    installer.ok(&format!(
        "qubes-prefs default-template {NAME}\nqvm-create --offline-mode -l red work"
    ));
    let line = installer
        .fails("qvm-template-postprocess --really --skip-start post-install work /var/tmp/again");
    assert!(line.contains("work is a qube of class AppVM"), "{line}");
    installer.check_system();
}

#[test]
fn in_the_templates_own_directory_the_image_stays_and_the_rest_goes() {
    let Some(installer) = installed(Where::Chroot) else {
        return;
    };
    let own = format!("/var/lib/qubes/vm-templates/{NAME}");
    unpack(&installer, &own);
    installer.ok(&post_install(&installer, "--skip-start", &own));
    check_image(&installer, b"first", SIZE);
    assert!(
        !installer.path(&own).join("root.img.tar").exists(),
        "imported, and not needed any more"
    );
    assert!(
        installer
            .path(&own)
            .join("whitelisted-appmenus.list")
            .exists()
    );

    // The image is where the pool keeps it, and is adopted.
    installer.ok(&format!(
        "qvm-template-postprocess --really pre-remove {NAME} {own}"
    ));
    unpack(&installer, &own);
    fs::remove_file(installer.path(&own).join("root.img.tar")).unwrap();
    make_image(&image(&installer), b"in place", SIZE);
    let inode = fs::metadata(image(&installer)).unwrap().ino();
    installer.ok(&post_install(&installer, "--skip-start", &own));
    check_image(&installer, b"in place", SIZE);
    assert_eq!(
        fs::metadata(image(&installer)).unwrap().ino(),
        inode,
        "not copied"
    );
    installer.check_system();
}

#[test]
fn only_harmless_settings_of_a_package_are_applied() {
    let Some(installer) = installed(Where::Chroot) else {
        return;
    };
    unpack(&installer, "/var/tmp/unpacked");
    let conf = "gui=1\nservice.evil=1\ninstalled_by_rpm=False\nvirt-mode=pv\nkernel=../../etc\nnet.fake-ip=1.2.3.4;reboot\n";
    fs::write(
        installer.path("/var/tmp/unpacked/template.conf"),
        format!("{conf}\x1b[2J=1\nselinux=enforcing\n"),
    )
    .unwrap();
    fs::write(
        installer.path("/var/tmp/unpacked/whitelisted-appmenus.list"),
        "ok.desktop\n\x1b]0;x\x07.desktop\n",
    )
    .unwrap();
    let done = installer.run(&post_install(
        &installer,
        "--skip-start",
        "/var/tmp/unpacked",
    ));
    assert_eq!((done.code, done.stderr.lines().count()), (0, 8), "{done:?}");
    assert!(!done.stderr.contains(['\x1b', '\x07']), "{done:?}");
    assert_eq!(
        installer.ok(&format!("qvm-features {NAME} menu-items")),
        "ok.desktop\n"
    );
    for feature in ["service.evil", "net.fake-ip", "selinux"] {
        assert_eq!(
            installer
                .run(&format!("qvm-features {NAME} {feature}"))
                .code,
            1,
            "{feature}"
        );
    }
    assert_eq!(installer.prefs(NAME, "virt_mode"), "pvh");

    // A link leads nowhere, and an odd name creates no directory elsewhere.
    unpack_with(&installer, "/var/tmp/other", b"first", SMALL);
    for name in [
        "../../../etc/x",
        "a/b",
        "-dm",
        "none",
        "x y",
        &"x".repeat(40),
    ] {
        let line = format!(
            "qvm-template-postprocess --really --skip-start post-install -- '{name}' /var/tmp/other"
        );
        let before = tree::tree(installer.root(), &[]);
        let refused = installer.run(&line);
        assert_eq!(refused.code, 1, "{name}: {refused:?}");
        tree::assert_same(&before, &tree::tree(installer.root(), &[]), name);
    }
    fs::remove_file(installer.path("/var/tmp/other/root.img.tar")).unwrap();
    symlink("/etc/passwd", installer.path("/var/tmp/other/root.img")).unwrap();
    let refused =
        installer.fails("qvm-template-postprocess --really post-install other /var/tmp/other");
    assert!(refused.contains("root.img"), "{refused}");
    assert_eq!(installer.run("qvm-check -q other").code, 1);
    let line = installer.run("qvm-template-postprocess post-install other /var/tmp/other");
    assert_eq!(line.code, 2, "without --really");
}

#[test]
fn an_import_that_fails_leaves_no_template_and_the_package_whole() {
    let Some(installer) = installed(Where::Chroot) else {
        return;
    };
    unpack_with(&installer, "/var/tmp/unpacked", b"first", SMALL);
    let archive = installer.path("/var/tmp/unpacked/root.img.tar");
    let whole = fs::read(&archive).unwrap();
    fs::write(&archive, &whole[..whole.len() * 2 / 3]).unwrap();
    let package = tree::tree(&installer.path("/var/tmp"), &[]);
    installer.fails(&post_install(
        &installer,
        "--skip-start",
        "/var/tmp/unpacked",
    ));
    assert_eq!(installer.ok("qvm-ls --offline-mode --raw-list"), "dom0\n");
    assert!(
        !image(&installer).parent().unwrap().exists(),
        "no volume is left"
    );
    tree::assert_same(
        &package,
        &tree::tree(&installer.path("/var/tmp"), &[]),
        "the package",
    );
    fs::write(&archive, &whole).unwrap();
    installer.ok(&post_install(
        &installer,
        "--skip-start",
        "/var/tmp/unpacked",
    ));
    check_image(&installer, b"first", SMALL);
}

#[test]
fn a_failed_save_leaves_no_volumes_behind() {
    let Some(installer) = installed(Where::Chroot) else {
        return;
    };
    unpack_with(&installer, "/var/tmp/unpacked", b"first", SMALL);
    let copies = installer.path("/var/lib/qubes/backup");
    // There is no space for the copy that precedes the first change of a day.
    let _not_there_yet = fs::remove_dir_all(&copies);
    fs::write(&copies, "in the way").unwrap();
    let before = tree::tree(&installer.path("/var"), &[]);
    installer.fails(&post_install(
        &installer,
        "--skip-start",
        "/var/tmp/unpacked",
    ));
    tree::assert_same(
        &before,
        &tree::tree(&installer.path("/var"), &[]),
        "a failed import",
    );
    fs::remove_file(&copies).unwrap();
    installer.ok(&post_install(
        &installer,
        "--skip-start",
        "/var/tmp/unpacked",
    ));
    check_image(&installer, b"first", SMALL);
}

#[test]
fn holes_of_posix_archives_stay_holes() {
    let Some(installer) = installed(Where::Chroot) else {
        return;
    };
    unpack_with(&installer, "/var/tmp/unpacked", b"first", SMALL);
    let directory = installer.path("/var/tmp/unpacked");
    make_image(&directory.join("root.img"), b"first", SMALL);
    let mut pack = Command::new("tar");
    pack.args([
        "--format=posix",
        "--sparse",
        "-cf",
        "root.img.tar",
        "root.img",
    ])
    .current_dir(&directory);
    assert!(pack.status().unwrap().success());
    fs::remove_file(directory.join("root.img")).unwrap();
    installer.ok(&post_install(
        &installer,
        "--skip-start",
        "/var/tmp/unpacked",
    ));
    check_image(&installer, b"first", SMALL);
}

#[test]
fn a_directory_with_foreign_files_is_not_removed() {
    let Some(installer) = installed(Where::BelowRoot) else {
        return;
    };
    unpack_with(&installer, "/var/lib", b"first", SMALL);
    installer.ok(&post_install(&installer, "--skip-start", "/var/lib"));
    assert!(!installer.path("/var/lib/root.img.tar").exists());
    check_image(&installer, b"first", SMALL);
    make_image(&installer.path("/var/lib/root.img"), b"second", SMALL);
    installer.ok(&post_install(&installer, "--skip-start", "/var/lib"));
    assert!(!installer.path("/var/lib/root.img").exists());
    check_image(&installer, b"second", SMALL);
    installer.check_system();
}

#[test]
fn an_import_that_is_killed_anywhere_can_be_repeated() {
    let mut saved = false;
    for number in 1.. {
        let Some(installer) = installed(Where::Chroot) else {
            return;
        };
        unpack_with(&installer, "/var/tmp/unpacked", b"first", SMALL);
        let line = post_install(
            &installer,
            "--skip-start --keep-source",
            "/var/tmp/unpacked",
        );
        let inject = format!("inject=fsync:signal=KILL:when={number}");
        let log = installer.path("trace").display().to_string();
        let strace = [
            "strace",
            "-f",
            "-qq",
            "-o",
            &log,
            "-e",
            "trace=fsync",
            "-e",
            &inject,
        ];
        if installer.run_through(&strace, &line).code == 0 {
            assert!(
                saved && number > 6,
                "it ended before it was killed {number} times"
            );
            return;
        }
        let there = installer
            .ok("qvm-ls --offline-mode --raw-list")
            .contains(NAME);
        if there {
            saved = true;
            check_image(&installer, b"first", SMALL);
        }
        installer.ok(&line);
        check_image(&installer, b"first", SMALL);
        installer.ok(&format!("qvm-check -q {NAME}"));
    }
}
