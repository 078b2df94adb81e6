//! Qubes that start at boot: property autostart, the units, and their order.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use qubes::hypervisor::Hypervisor;
use qubes_test_support::scratch::Scratch;
use qubes_test_support::skip;
use qubes_test_support::wait::wait_until;

use crate::systems::{create, hypervisor, kill_monitor, system, wait_for_greetings};

fn link(scratch: &Scratch, qube: &str) -> PathBuf {
    scratch
        .path("/etc/systemd/system/multi-user.target.wants")
        .join(format!("qubes-vm@{qube}.service"))
}

/// Installs the units below the root, like a package.
fn install_units(scratch: &Scratch) {
    let make = Command::new("make")
        .args([
            "--silent",
            "--directory",
            env!("CARGO_MANIFEST_DIR"),
            "install-data",
            "PREFIX=/usr",
        ])
        .arg(format!("DESTDIR={}", scratch.root().display()))
        .env_remove("MAKEFLAGS")
        .status();
    assert!(make.unwrap().success());
}

/// Returns the command of a unit for an instance, as words.
fn command_of(scratch: &Scratch, unit: &str, key: &str, instance: &str) -> Vec<String> {
    let text = fs::read_to_string(scratch.path("/usr/lib/systemd/system").join(unit)).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .unwrap();
    line.split(' ')
        .map(|word| word.replace("%i", instance))
        .collect()
}

/// Does what systemd does for the unit.
fn run_unit(scratch: &Scratch, unit: &str, key: &str, instance: &str) {
    let words = command_of(scratch, unit, key, instance);
    let tool = words[0].strip_prefix("/usr/bin/").unwrap();
    scratch.ok(
        tool,
        &words[1..].iter().map(String::as_str).collect::<Vec<_>>(),
    );
}

#[test]
fn autostart_is_a_link_that_follows_the_property_also_offline() {
    let scratch = Scratch::with_template();
    create(&scratch, "work", "");
    install_units(&scratch);
    for offline in [&["--offline-mode"][..], &[]] {
        let set = |value: &str| {
            scratch.ok(
                "qvm-prefs",
                &[offline, &["work", "autostart", value]].concat(),
            )
        };
        set("True");
        let target = fs::read_link(link(&scratch, "work")).unwrap();
        assert_eq!(
            target,
            Path::new("/usr/lib/systemd/system/qubes-vm@.service")
        );
        assert!(
            scratch.path(target.to_str().unwrap()).is_file(),
            "what it leads to is installed"
        );
        set("True");
        set("False");
        assert!(fs::symlink_metadata(link(&scratch, "work")).is_err());
    }
    scratch.ok("qvm-prefs", &["work", "autostart", "True"]);
    scratch.ok("qvm-prefs", &["-D", "work", "autostart"]);
    assert!(fs::symlink_metadata(link(&scratch, "work")).is_err());
    scratch.ok("qvm-prefs", &["work", "autostart", "True"]);
    scratch.ok("qvm-remove", &["--offline-mode", "--force", "work"]);
    assert!(
        fs::symlink_metadata(link(&scratch, "work")).is_err(),
        "no link to a removed qube is left"
    );
}

#[test]
fn the_units_are_valid_and_recovery_comes_first() {
    let scratch = Scratch::empty();
    install_units(&scratch);
    let units = scratch.path("/usr/lib/systemd/system");
    for unit in ["qubes-recover.service", "qubes-shutdown.service"] {
        assert!(
            units.join("multi-user.target.wants").join(unit).exists(),
            "{unit} is for every boot"
        );
    }
    let qube = fs::read_to_string(units.join("qubes-vm@.service")).unwrap();
    let after = qube
        .lines()
        .find_map(|line| line.strip_prefix("After="))
        .unwrap();
    assert!(
        after.split(' ').any(|unit| unit == "qubes-recover.service"),
        "{after}"
    );
    let Ok(version) = Command::new("systemd-analyze").arg("--version").output() else {
        return skip::skip("systemd-analyze is not installed");
    };
    assert!(version.status.success());
    // systemd-analyze needs the programs, and the targets that every unit is ordered by.
    for target in ["sysinit.target", "basic.target", "shutdown.target"] {
        fs::write(units.join(target), "[Unit]\nDescription=there\n").unwrap();
    }
    for tool in ["qubes-recover", "qvm-start", "qvm-shutdown"] {
        fs::create_dir_all(scratch.path("/usr/bin")).unwrap();
        fs::copy("/bin/true", scratch.path("/usr/bin").join(tool)).unwrap();
    }
    for unit in [
        "qubes-vm@work.service",
        "qubes-recover.service",
        "qubes-shutdown.service",
    ] {
        let mut verify = Command::new("systemd-analyze");
        verify
            .arg(format!("--root={}", scratch.root().display()))
            .args(["--man=no", "verify", unit]);
        let verified = verify.output().unwrap();
        let words = String::from_utf8_lossy(&verified.stderr);
        let ours: Vec<&str> = words
            .lines()
            .filter(|line| line.contains("qubes-"))
            .collect();
        assert!(ours.is_empty(), "{unit}: {words}");
    }
}

#[test]
fn recovery_runs_before_qubes_start_at_boot_and_all_stop_at_shutdown() {
    let Some(scratch) = system() else { return };
    create(&scratch, "work", "");
    scratch.ok("qvm-prefs", &["work", "autostart", "True"]);
    install_units(&scratch);
    scratch.ok("qvm-start", &["work"]);
    // Power loss.
    kill_monitor(&scratch, "work");
    hypervisor().destroy(scratch.uuid("work")).unwrap();
    fs::remove_dir_all(scratch.path("/run/qubes")).unwrap();

    run_unit(&scratch, "qubes-recover.service", "ExecStart", "");
    assert!(
        scratch
            .images("appvms/work")
            .iter()
            .all(|image| !image.contains("dirty"))
    );
    run_unit(&scratch, "qubes-vm@.service", "ExecStart", "work");
    run_unit(&scratch, "qubes-vm@.service", "ExecStart", "work");
    assert_eq!(scratch.state("work"), "Running");
    wait_for_greetings(&scratch, "work", 1);
    run_unit(&scratch, "qubes-shutdown.service", "ExecStop", "");
    assert_eq!(scratch.state("work"), "Halted");
    wait_until("the stop is finished", || !scratch.record("work").exists());
}
