//! Qubes that start at boot: property autostart, the units, and their order.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use qubes_test_support::{TestSystem, skip, wait_until};

use crate::systems::{create, hypervisor, kill_monitor, system, wait_for_greetings};

fn link(system: &TestSystem, qube: &str) -> PathBuf {
    system
        .path("/etc/systemd/system/multi-user.target.wants")
        .join(format!("qubes-vm@{qube}.service"))
}

/// Installs the units below the root, like a package.
fn install_units(system: &TestSystem) {
    let make = Command::new("make")
        .args([
            "--silent",
            "--directory",
            env!("CARGO_MANIFEST_DIR"),
            "install-data",
            "PREFIX=/usr",
        ])
        .arg(format!("DESTDIR={}", system.root().display()))
        .env_remove("MAKEFLAGS")
        .status();
    assert!(make.unwrap().success());
}

/// Returns the command of a unit for an instance, as words.
fn command_of(system: &TestSystem, unit: &str, key: &str, instance: &str) -> Vec<String> {
    let text = fs::read_to_string(system.path("/usr/lib/systemd/system").join(unit)).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .unwrap();
    line.split(' ')
        .map(|word| word.replace("%i", instance))
        .collect()
}

/// Does what systemd does for the unit.
fn run_unit(system: &TestSystem, unit: &str, key: &str, instance: &str) {
    let words = command_of(system, unit, key, instance);
    let tool = words[0].strip_prefix("/usr/bin/").unwrap();
    system.succeeds((
        tool,
        &words[1..].iter().map(String::as_str).collect::<Vec<_>>(),
    ));
}

#[test]
fn autostart_is_a_link_that_follows_the_property_also_offline() {
    let system = TestSystem::empty().online().with_template();
    create(&system, "work", "");
    install_units(&system);
    for offline in [&["--offline-mode"][..], &[]] {
        let set = |value: &str| {
            system.succeeds((
                "qvm-prefs",
                &[offline, &["work", "autostart", value]].concat(),
            ))
        };
        set("True");
        let target = fs::read_link(link(&system, "work")).unwrap();
        assert_eq!(
            target,
            Path::new("/usr/lib/systemd/system/qubes-vm@.service")
        );
        assert!(
            system.path(target.to_str().unwrap()).is_file(),
            "what it leads to is installed"
        );
        set("True");
        set("False");
        assert!(fs::symlink_metadata(link(&system, "work")).is_err());
    }
    system.succeeds("qvm-prefs work autostart True");
    system.succeeds("qvm-prefs -D work autostart");
    assert!(fs::symlink_metadata(link(&system, "work")).is_err());
    system.succeeds("qvm-prefs work autostart True");
    system.succeeds("qvm-remove --offline-mode --force work");
    assert!(
        fs::symlink_metadata(link(&system, "work")).is_err(),
        "no link to a removed qube is left"
    );
}

#[test]
fn the_units_are_valid_and_recovery_comes_first() {
    let system = TestSystem::empty().online();
    install_units(&system);
    let units = system.path("/usr/lib/systemd/system");
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
        return skip("systemd-analyze is not installed");
    };
    assert!(version.status.success());
    // systemd-analyze needs the programs, and the targets that every unit is ordered by.
    for target in ["sysinit.target", "basic.target", "shutdown.target"] {
        fs::write(units.join(target), "[Unit]\nDescription=there\n").unwrap();
    }
    for tool in ["qubes-recover", "qvm-start", "qvm-shutdown"] {
        fs::create_dir_all(system.path("/usr/bin")).unwrap();
        fs::copy("/bin/true", system.path("/usr/bin").join(tool)).unwrap();
    }
    for unit in [
        "qubes-vm@work.service",
        "qubes-recover.service",
        "qubes-shutdown.service",
    ] {
        let mut verify = Command::new("systemd-analyze");
        verify
            .arg(format!("--root={}", system.root().display()))
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
    let Some(system) = system() else { return };
    create(&system, "work", "");
    system.succeeds("qvm-prefs work autostart True");
    install_units(&system);
    system.succeeds("qvm-start work");
    // Power loss.
    kill_monitor(&system, "work");
    hypervisor().destroy(system.uuid("work")).unwrap();
    fs::remove_dir_all(system.path("/run/qubes")).unwrap();

    run_unit(&system, "qubes-recover.service", "ExecStart", "");
    assert!(!system.has_dirty_image("work"));
    run_unit(&system, "qubes-vm@.service", "ExecStart", "work");
    run_unit(&system, "qubes-vm@.service", "ExecStart", "work");
    assert_eq!(system.state("work"), "Running");
    wait_for_greetings(&system, "work", 1);
    run_unit(&system, "qubes-shutdown.service", "ExecStop", "");
    assert_eq!(system.state("work"), "Halted");
    wait_until("the stop is finished", || !system.record("work").exists());
}
