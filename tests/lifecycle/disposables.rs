//! Disposables: based on a template of their own, and removed once when they stop.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::Stdio;

use qubes_test_support::{TestSystem, ToolOutput, tiny_guest, wait_until};

use crate::systems::{
    beginning, create, hypervisor, in_shares, kill_monitor, monitors, system, wait_for_greetings,
};
use crate::traced_tools::{CHANGES, calls_of, distinct_kill_points, run_killed_at};

/// Creates a system with the disposable template `dvm`, whose private volume begins with [`SIGN`].
fn system_with_disposables() -> Option<TestSystem> {
    let system = system()?;
    create(&system, "dvm", "");
    system.succeeds("qvm-prefs dvm template_for_dispvms True");
    system.succeeds("qubes-prefs default_dispvm dvm");
    let private = fs::OpenOptions::new()
        .write(true)
        .open(system.path("/var/lib/qubes/appvms/dvm/private.img"));
    private.unwrap().write_all_at(SIGN, 0).unwrap();
    Some(system)
}

const SIGN: &[u8] = b"of the template for disposables";

/// Creates an unnamed disposable and returns its name.
fn new_disposable(system: &TestSystem) -> String {
    system.succeeds("qvm-create --disp").trim().to_string()
}

/// Checks that nothing of a qube is left.
fn assert_gone(system: &TestSystem, name: &str, uuid: uuid::Uuid) {
    assert_eq!(
        system.run(["qvm-check", name]).code,
        1,
        "{name} is in the store"
    );
    assert!(
        !system.store().contains(&format!(">{name}<")),
        "{name} is in qubes.xml"
    );
    assert!(
        !system.images("appvms").contains(&name.to_string()),
        "{:?}",
        system.images(&format!("appvms/{name}"))
    );
    assert!(!system.record(name).exists(), "its record is there");
    assert_eq!(
        hypervisor().state(uuid).unwrap(),
        None,
        "the hypervisor knows it"
    );
    assert_eq!(system.succeeds("qubes-recover --list-orphans"), "");
}

#[test]
fn a_disposable_has_the_files_of_its_template_and_is_removed_when_it_stops() {
    let Some(system) = system_with_disposables() else {
        return;
    };
    system.succeeds("qvm-prefs dvm vcpus 1");
    fs::write(
        system.path("/var/lib/qubes/appvms/dvm/firewall.xml"),
        "<firewall version=\"2\"/>",
    )
    .unwrap();
    let name = new_disposable(&system);
    let uuid = system.uuid(&name);
    let prefs = |property: &str| {
        system
            .succeeds(["qvm-prefs", &name, property])
            .trim()
            .to_string()
    };
    assert_eq!(name, format!("disp{}", prefs("dispid")));
    let expected = [
        ("template", "dvm"),
        ("auto_cleanup", "True"),
        ("label", "red"),
        ("vcpus", "1"),
        ("netvm", ""),
    ];
    for (property, value) in expected {
        assert_eq!(prefs(property), value, "{property}");
    }
    let own = format!("/var/lib/qubes/appvms/{name}");
    assert_eq!(
        fs::read_to_string(system.path(&format!("{own}/firewall.xml"))).unwrap(),
        "<firewall version=\"2\"/>"
    );
    assert_eq!(system.run("qvm-remove --force dvm").code, 1, "it is in use");

    system.succeeds(["qvm-start", &name]);
    wait_for_greetings(&system, &name, 1);
    assert_eq!(
        beginning(
            &system.path(&format!("{own}/private-dirty.img")),
            SIGN.len()
        ),
        SIGN,
        "a snapshot of its template's private volume"
    );
    let volatile = fs::metadata(system.path(&format!("{own}/volatile-dirty.img"))).unwrap();
    assert_eq!(volatile.size(), 12 << 30);
    assert!(system.path(&format!("{own}/root-dirty.img")).exists());
    let changed = fs::OpenOptions::new()
        .write(true)
        .open(system.path(&format!("{own}/private-dirty.img")))
        .unwrap();
    changed.write_all_at(b"a secret", 0).unwrap();

    system.succeeds(["qvm-shutdown", "--wait", &name]);
    assert_gone(&system, &name, uuid);
    assert_eq!(
        beginning(
            &system.path("/var/lib/qubes/appvms/dvm/private.img"),
            SIGN.len()
        ),
        SIGN,
        "the template's own is as it was"
    );
    wait_until("its monitor has left", || {
        monitors(&system, &name).is_empty()
    });

    // A named one stays, and starts anew each time.
    system.succeeds("qvm-create --class DispVM --label red kept");
    system.succeeds("qvm-start kept");
    system.succeeds("qvm-kill kept");
    assert_eq!(system.state("kept"), "Halted");
    assert!(
        system
            .images("appvms/kept")
            .iter()
            .all(|image| !image.contains("private")),
        "{:?}",
        system.images("appvms/kept")
    );
}

#[test]
fn a_stopped_disposable_is_removed_once_by_whichever_process_comes_first() {
    let Some(system) = system_with_disposables() else {
        return;
    };
    // Only the monitor.
    let name = new_disposable(&system);
    let uuid = system.uuid(&name);
    system.succeeds(["qvm-start", &name]);
    hypervisor().destroy(uuid).unwrap();
    wait_until("the monitor removed it", || !system.record(&name).exists());
    assert_gone(&system, &name, uuid);

    // The monitor was killed: the next command removes it.
    let name = new_disposable(&system);
    let uuid = system.uuid(&name);
    system.succeeds(["qvm-start", &name]);
    kill_monitor(&system, &name);
    hypervisor().destroy(uuid).unwrap();
    assert!(system.record(&name).exists());
    system.succeeds("qubes-recover");
    assert_gone(&system, &name, uuid);

    // All at once, including the monitor.
    let name = new_disposable(&system);
    let uuid = system.uuid(&name);
    system.succeeds(["qvm-start", &name]);
    let spawn = |tool, arguments: &[&str]| {
        system
            .command((tool, arguments))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let both = [
        spawn("qvm-kill", &[&name]),
        spawn("qvm-kill", &[&name]),
        spawn("qubes-recover", &[]),
    ];
    for ran in both.map(|child| ToolOutput::new(child.wait_with_output().unwrap())) {
        // A command that comes too late reports that; none fails otherwise.
        assert!(
            ran.code == 0 || ran.stderr.contains(&format!("no such domain: '{name}'")),
            "{ran:?}"
        );
    }
    wait_until("the monitor has left", || {
        monitors(&system, &name).is_empty()
    });
    assert_gone(&system, &name, uuid);
}

#[test]
fn a_disposable_whose_start_fails_is_removed_and_a_named_one_stays() {
    let Some(system) = system_with_disposables() else {
        return;
    };
    let name = new_disposable(&system);
    let uuid = system.uuid(&name);
    system.succeeds("qvm-create --class DispVM --label red kept");
    fs::write(
        system.path("/var/lib/qubes/vm-kernels/1.0/vmlinuz"),
        "no kernel",
    )
    .unwrap();
    let ran = system.run(["qvm-start", &name, "kept"]);
    assert_eq!((ran.code, ran.stderr.lines().count()), (1, 2), "{ran:?}");
    assert_gone(&system, &name, uuid);
    assert_eq!(system.state("kept"), "Halted");

    // Offline it is unknown whether the qube is running.
    let name = new_disposable(&system);
    system.fails(1, ["qvm-start", "--offline-mode", &name]);
    assert_eq!(system.run(["qvm-check", &name]).code, 0);
    fs::write(
        system.path("/var/lib/qubes/vm-kernels/1.0/vmlinuz"),
        tiny_guest::KERNEL,
    )
    .unwrap();
    let uuid = system.uuid(&name);
    system.succeeds(["qvm-start", &name]);

    // Power loss: RUN is lost. Recovery at boot removes the disposable, and one that was never
    // started.
    let never_started = new_disposable(&system);
    kill_monitor(&system, &name);
    hypervisor().destroy(uuid).unwrap();
    fs::remove_dir_all(system.path("/run/qubes")).unwrap();
    let uuid_of_other = system.uuid(&never_started);
    system.succeeds("qubes-recover --at-boot");
    assert_gone(&system, &name, uuid);
    assert_gone(&system, &never_started, uuid_of_other);
    assert_eq!(system.state("kept"), "Halted");
}

#[test]
fn the_next_command_finishes_a_removal_that_was_killed_at_any_change_of_the_disk() {
    in_shares(3, kill_removals);
}

fn kill_removals(is_mine: &dyn Fn(usize) -> bool) {
    let Some(system) = system_with_disposables() else {
        return;
    };
    // One of its volumes is in another pool.
    let elsewhere = system.path("/var/lib/elsewhere");
    fs::create_dir_all(&elsewhere).unwrap();
    system.succeeds(
        "qvm-pool add elsewhere file-reflink -o dir_path=/var/lib/elsewhere -o setup_check=no",
    );
    let stopped = || {
        let name = system
            .succeeds("qvm-create --disp --pool volatile=elsewhere")
            .trim()
            .to_string();
        let uuid = system.uuid(&name);
        system.succeeds(["qvm-start", &name]);
        kill_monitor(&system, &name);
        hypervisor().destroy(uuid).unwrap();
        (name, uuid)
    };
    stopped();
    let calls = calls_of(&system, "qubes-recover", &[], CHANGES);
    assert!(distinct_kill_points(&calls).len() >= 8, "{calls:#?}");
    for (_, call) in distinct_kill_points(&calls)
        .into_iter()
        .enumerate()
        .filter(|(case, _)| is_mine(*case))
    {
        let (name, uuid) = stopped();
        run_killed_at(&system, "qubes-recover", &[], call);
        system.succeeds("qubes-recover");
        assert_gone(&system, &name, uuid);
        assert!(
            !elsewhere.join("appvms").join(&name).exists(),
            "{}",
            call.line
        );
    }
}

#[test]
fn qvm_create_default_dvm_creates_what_installers_expect() {
    let system = TestSystem::empty().online().with_template();
    let line = system.fails(1, "qvm-create --disp");
    assert!(line.contains("default_dispvm"), "{line}");
    system.succeeds("qvm-create-default-dvm --default-template --default-script");
    for (property, value) in [
        ("template", "tpl"),
        ("label", "gray"),
        ("template_for_dispvms", "True"),
    ] {
        assert_eq!(
            system.succeeds(["qvm-prefs", "tpl-dvm", property]).trim(),
            value
        );
    }
    assert_eq!(
        system.succeeds("qubes-prefs default_dispvm").trim(),
        "tpl-dvm"
    );
    let store = system.store();
    system.succeeds("qvm-create-default-dvm --used-template");
    assert_eq!(system.store(), store, "it is there already");
    let name = new_disposable(&system);
    assert_eq!(
        system.succeeds(["qvm-prefs", &name, "template"]).trim(),
        "tpl-dvm"
    );
    system.succeeds(["qvm-remove", "--force", &name]);
    for (arguments, code, words) in [
        (&["--default-template", "tpl"][..], 2, "one of TEMPLATE"),
        (&["nope"], 2, "no such domain: 'nope'"),
        (&["tpl", "/some/script"], 2, "no script is run"),
        (&["tpl-dvm"], 1, "not TemplateVM"),
    ] {
        let line = system.fails(code, ("qvm-create-default-dvm", arguments));
        assert!(line.contains(words), "{line}");
    }
}
