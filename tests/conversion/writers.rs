//! Commands that write convert the store; commands that only read or are refused do not.

use std::fs;

use crate::old_system::OldSystem;

#[test]
fn the_first_write_converts_after_a_copy_and_says_so() {
    let system = OldSystem::with_images();
    system.succeeds("qvm-ls");
    assert!(
        system.is_old() && system.copy_names().is_empty(),
        "reading never converts"
    );

    let ran = system.run("qvm-prefs work memory 500");
    assert_eq!((ran.code, &*ran.stdout), (0, ""), "{ran:?}");
    let kept = system.copy_names();
    let copy = kept.iter().find(|name| name.starts_with("qubes-")).unwrap();
    let said = format!(
        "{}: was written by Qubes R3 or older and is converted to R4 (10 qubes, 4 firewall files); \
         it was kept as {}",
        system.store_file().display(),
        system.base().join("backup").join(copy).display()
    );
    assert_eq!(ran.stderr.lines().next().unwrap(), said);
    assert!(
        ran.stderr
            .contains("\nwin7: drive='cdrom:dom0:/win.iso' has no equivalent in R4; "),
        "{}",
        ran.stderr
    );
    assert_eq!(
        fs::read(system.base().join("backup").join(copy)).unwrap(),
        system.before
    );
    system.assert_sound("after the first write");
    assert_eq!(system.succeeds("qvm-prefs work memory"), "500\n");
    assert!(
        system.store().matches("<property name=\"uuid\">").count() == 9,
        "every qube has one"
    );

    let again = system.run("qvm-prefs work memory 600");
    assert_eq!(
        (again.code, &*again.stderr),
        (0, ""),
        "it is converted once"
    );
    assert_eq!(
        system.copy_names(),
        kept,
        "and this is not the first save of the day"
    );
}

#[test]
fn a_conversion_always_makes_a_copy() {
    let system = OldSystem::with_images();
    system.succeeds("qubes-db convert");
    let first = system
        .copy_names()
        .iter()
        .filter(|n| n.starts_with("qubes-"))
        .count();
    fs::write(system.store_file(), &system.before).unwrap();
    system.succeeds("qubes-db convert");
    let second = system
        .copy_names()
        .iter()
        .filter(|n| n.starts_with("qubes-"))
        .count();
    assert_eq!((first, second), (1, 2));
}

#[test]
fn a_refused_change_converts_nothing() {
    for command in [
        "qvm-prefs work memory lots",
        "qvm-prefs work netvm vault",
        "qvm-prefs nobody memory 500",
        "qvm-create --label red work",
        "qvm-create --label pink new",
        "qvm-remove --force fedora-23",
        "qvm-clone nobody new",
        "qubes-prefs default_netvm work",
    ] {
        let system = OldSystem::with_images();
        let ran = system.run(command);
        assert_ne!(ran.code, 0, "{command}: {ran:?}");
        assert!(
            system.is_old() && system.copy_names().is_empty(),
            "{command}: {ran:?}"
        );
        assert_eq!(
            system.read("appvms/work/firewall.xml"),
            crate::old_system::RESTRICTIVE_R3_RULES,
            "{command}"
        );
    }
}

#[test]
fn every_tool_that_writes_converts() {
    for command in [
        "qvm-prefs work memory 500",
        "qvm-prefs --default sys-firewall memory",
        "qubes-prefs default_netvm sys-net",
        "qvm-create --class StandaloneVM --label red new",
        "qvm-create --label red new",
        "qvm-remove --force work",
        "qvm-clone work new",
        "qvm-tags work add mine",
        "qvm-features work vm-config.x 1",
        "qvm-service --enable work cups",
        "qvm-notes --force work --set mine",
        "qubes-db convert",
    ] {
        let system = OldSystem::with_images();
        fs::create_dir_all(system.base().join("vm-kernels/4.1.13-6")).unwrap();
        for file in ["vmlinuz", "initramfs"] {
            fs::write(system.base().join("vm-kernels/4.1.13-6").join(file), "").unwrap();
        }
        let ran = system.run(command);
        assert_eq!(ran.code, 0, "{command}: {ran:?}");
        let messages = ran
            .stderr
            .lines()
            .filter(|l| l.contains("is converted to R4"))
            .count();
        assert_eq!(messages, 1, "{command}: {ran:?}");
        system.assert_sound(command);
    }
}

#[test]
fn image_tools_refuse_an_unconverted_store_in_one_line() {
    let system = OldSystem::with_images();
    let recovered = system.run("qubes-recover");
    assert_eq!(
        (recovered.code, recovered.stderr.lines().count()),
        (0, 1),
        "{recovered:?}"
    );
    assert!(
        recovered.stderr.contains("written by Qubes R3 or older"),
        "{recovered:?}"
    );
    let orphans = system.run("qubes-recover --list-orphans --remove-orphans");
    assert_eq!((orphans.code, &*orphans.stdout), (1, ""), "{orphans:?}");
    let mut online = system.online_command("qvm-start work");
    let started =
        qubes_test_support::tool_output::run(online.env("QUBES_LIBVIRT_URI", "test:///nowhere"));
    assert_ne!(started.code, 0);
    assert!(
        started.stderr.contains("qubes-db convert") && started.stderr.lines().count() == 1,
        "{started:?}"
    );
    assert!(system.is_old() && system.copy_names().is_empty());
}

#[test]
fn restore_brings_the_old_store_back() {
    let system = OldSystem::with_images();
    system.succeeds("qubes-db convert");
    let restored = system.run("qubes-db restore last");
    assert_eq!(restored.code, 0, "{restored:?}");
    assert!(system.is_old());
    assert_eq!(system.succeeds("qvm-prefs work memory"), "400\n");
    system.succeeds("qvm-prefs work memory 500");
    system.assert_sound("converted a second time");
}
