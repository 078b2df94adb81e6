//! Installers: they fill a directory or a chroot with a system, with hardly any service running and
//! no libvirt on the machine. Their command lines are run unchanged.

use std::fs;
use std::path::PathBuf;

mod earlier_words;
mod package_files;
mod packages;
mod place;
mod sequences;

use place::{Installer, Where};

/// Installs a whole system as a current installer does.
fn install(installer: &Installer) {
    installer.ok("qubes-create --offline-mode");
    installer.install_kernel("6.6.77-1.fc37");
    fs::write(installer.path("/root.img"), vec![7; 100_000]).unwrap();
    let image = installer.named("/root.img");
    installer.ok(&format!(
        "qubes-prefs --offline-mode default-kernel 6.6.77-1.fc37
         qvm-create --offline-mode --class TemplateVM --label black --root-copy-from {image} \
         debian-12
         qubes-prefs --offline-mode default-template debian-12
         qvm-create --offline-mode --label red --prop provides_network=True --prop netvm= sys-net
         qvm-create --offline-mode --label green --prop provides_network=True --prop \
         netvm=sys-net sys-firewall
         qubes-prefs --offline-mode default-netvm sys-firewall
         qubes-prefs --offline-mode updatevm sys-firewall
         qubes-prefs --offline-mode clockvm sys-net
         qvm-create --offline-mode --label blue work
         qvm-create --offline-mode --label yellow personal
         qvm-create --offline-mode --label black --prop netvm= vault
         qvm-create --offline-mode --label red --prop template_for_dispvms=True default-dvm
         qubes-prefs --offline-mode default-dispvm default-dvm
         qvm-prefs --offline-mode sys-net autostart True
         qvm-prefs --offline-mode sys-firewall autostart True
         qvm-prefs --offline-mode sys-firewall netvm sys-net"
    ));
}

/// Checks the system that [`install`] made.
fn check_installed(installer: &Installer) {
    installer.ok(
        "qvm-check --offline-mode -q -- debian-12 sys-net sys-firewall work personal \
        vault default-dvm",
    );
    assert_eq!(
        installer
            .run("qvm-check --offline-mode --running work")
            .code,
        1
    );
    assert_eq!(
        installer
            .ok("qvm-ls --offline-mode --raw-data --fields name,state,class,label,template,netvm"),
        "debian-12|Halted|TemplateVM|black|-|-\n\
         default-dvm|Halted|AppVM|red|debian-12|sys-firewall\n\
         dom0|Running|AdminVM|black|-|-\n\
         personal|Halted|AppVM|yellow|debian-12|sys-firewall\n\
         sys-firewall|Halted|AppVM|green|debian-12|sys-net\n\
         sys-net|Halted|AppVM|red|debian-12|-\n\
         vault|Halted|AppVM|black|debian-12|-\n\
         work|Halted|AppVM|blue|debian-12|sys-firewall\n"
    );
    for (property, value) in [
        ("default_netvm", "sys-firewall"),
        ("updatevm", "sys-firewall"),
        ("clockvm", "sys-net"),
    ] {
        assert_eq!(
            installer.ok(&format!("qubes-prefs --offline-mode {property}")),
            format!("{value}\n")
        );
    }
    assert_eq!(installer.prefs("work", "kernel"), "6.6.77-1.fc37");
    assert_eq!(installer.prefs("work", "default_dispvm"), "default-dvm");
    assert_eq!(installer.prefs("sys-net", "provides_network"), "True");
    assert_eq!(installer.prefs("sys-net", "autostart"), "True");
    for (qube, linked) in [("sys-net", true), ("sys-firewall", true), ("work", false)] {
        let link = format!("/etc/systemd/system/multi-user.target.wants/qubes-vm@{qube}.service");
        let target = fs::read_link(installer.path(&link)).ok();
        assert_eq!(
            target,
            linked.then(|| PathBuf::from("/usr/lib/systemd/system/qubes-vm@.service")),
            "{qube}"
        );
    }
    let root = fs::read(installer.path("/var/lib/qubes/vm-templates/debian-12/root.img")).unwrap();
    assert!(root.starts_with(&[7; 100_000]));
    installer.check_system();
}

#[test]
fn an_installer_fills_a_directory_without_libvirt() {
    let Some(installer) = Installer::new(Where::BelowRoot) else {
        return;
    };
    install(&installer);
    check_installed(&installer);
    installer.check_that_nothing_starts();

    // The path of the root is stored nowhere: the system boots with it as /.
    let text = fs::read_to_string(installer.path("/var/lib/qubes/qubes.xml")).unwrap();
    assert!(!text.contains(&installer.root().display().to_string()));

    // Without --offline-mode the same commands work. Only states are not available, which one line
    // says.
    installer.ok(
        "qvm-create --label gray forgetful\nqvm-prefs forgetful memory 300\nqvm-prefs \
        forgetful netvm ''",
    );
    let listed = installer.run("qvm-ls --raw-data --fields name,state forgetful");
    assert_eq!((listed.code, listed.stdout.as_str()), (0, "forgetful|NA\n"));
    assert!(
        listed
            .stderr
            .starts_with("qvm-ls: power states are not available: libvirt is not installed"),
        "{listed:?}"
    );
    assert_eq!(listed.stderr.lines().count(), 1);
}

#[test]
fn an_installer_works_in_a_chroot_without_libvirt_and_proc() {
    let Some(installer) = Installer::new(Where::Chroot) else {
        return;
    };
    install(&installer);
    check_installed(&installer);
    installer.check_that_nothing_starts();
    installer.ok(
        "qubes-recover --offline-mode\nqvm-shutdown --offline-mode --wait work\nqvm-kill \
        --offline-mode work",
    );
}
