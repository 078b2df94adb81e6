//! Qubes on a real Xen: scripts that run in the dom0 of an emulated machine (`run`, `lab/`) with
//! real logical volumes. Each prints a line for every check; this file has the names of all of
//! them.

use std::panic::catch_unwind;

mod attached;
mod machine;

use machine::{Scenario, run};

/// The checks of the function `life` of the prelude, which every qube goes through.
const LIFE: [&str; 14] = [
    "started",
    "has the number that Xen gave it",
    "runs as MODE",
    "writes to its private volume",
    "reads its template's data",
    "shut down",
    "halted",
    "Xen has nothing of it",
    "no loop device is left",
    "started again",
    "what it wrote was kept",
    "it writes again",
    "killed",
    "halted after the kill",
];

fn life_checks<'q>(qube: &'q str, mode: &'q str) -> impl Iterator<Item = String> + 'q {
    LIFE.iter()
        .map(move |check| format!("{qube}: {}", check.replace("MODE", mode)))
}

fn named(checks: &[&str]) -> Vec<String> {
    checks.iter().map(|check| check.to_string()).collect()
}

#[test]
fn qubes_run_on_images_that_share_blocks() {
    let mut checks = named(&[
        "a system",
        "a template from an image",
        "pv: created",
        "pvh: created",
        "two start at once",
        "pv: its third start",
        "names, numbers, memory and states as Xen lists them",
        "without the daemon a start says so",
        "with the daemon everything is as it was",
        "pvh: shut down by the new daemon",
        "pvh: halted by the new daemon",
        "the next command reconciles a vanished qube",
        "nothing that was synced is lost",
        "pvh: started to crash",
        "pvh: halted by its crash",
        "pvh: its crash leaves no loop device",
        "pvh: started after its crash",
        "pvh: what it had synced is kept",
        "pv: removed",
        "pvh: removed",
        "no domain is left",
        "no orphan is left",
    ]);
    checks.extend(life_checks("pv", "PV"));
    checks.extend(life_checks("pvh", "PVH"));
    checks.extend(checks_inside("attached"));
    run(&Scenario {
        script: "reflink",
        seconds: 3000,
        checks,
    });
}

#[test]
fn qubes_run_on_mapped_devices() {
    let mut checks = named(&[
        "a system",
        "a template in the thin pool",
        "work: created",
        "work: started",
        "work: runs as PV",
        "work: writes to its private volume",
        "work: reads its template's data",
        "work: shut down",
        "one stop, one revision, no running copy",
        "qvm-ls calls lvs once",
        "qvm-ls prints the usage of volumes",
        "work: cloned",
        "a clone is a snapshot",
        "copy: started",
        "copy: runs as PVH",
        "copy: has the data of its original",
        "copy: reads its template's data",
        "copy: its disk grows while it runs",
        "copy: the guest sees it",
        "copy: recovered after its crash",
        "copy: halted",
        "copy: no running copy and no mapping",
        "copy: nothing that was synced is lost",
        "copy: reverted",
        "copy: started after the revert",
        "copy: has the data of the revision",
        "copy: killed",
        "copy: removed",
        "work: removed",
        "nothing is left of them",
        "a template of driver file",
        "layered: created",
        "layered: started",
        "layered: the devices have upstream's names",
        "layered: writes to its private volume",
        "layered: reads its template's data",
        "layered: shut down",
        "layered: no device is left",
        "layered: the files of driver file",
        "layered: started over one layer",
        "layered: one layer",
        "layered: runs as PVH",
        "layered: what it wrote was kept",
        "layered: reads the root through one layer",
        "its template does not start beside it",
        "layered: recovered after its crash",
        "layered: no device is left after its crash",
        "layered: removed",
        "flat: removed",
        "debian: removed",
        "nothing of them is left",
        "no orphan is left",
    ]);
    for qube in ["copy", "layered"] {
        let hides = [
            "its volatile volume begins empty",
            "it writes to its volatile volume",
            "that is in the mapping",
            "and not on the disk",
        ];
        checks.extend(hides.map(|check| format!("{qube}: {check}")));
    }
    run(&Scenario {
        script: "mapped",
        seconds: 3000,
        checks,
    });
}

/// Returns the checks of a subject that this program makes inside the lab.
fn inside(subject: &str) -> &'static [(&'static str, fn())] {
    match subject {
        "attached" => &attached::CHECKS,
        other => panic!("there are no checks of {other}"),
    }
}

fn checks_inside(subject: &str) -> impl Iterator<Item = String> {
    inside(subject)
        .iter()
        .map(move |(name, _)| format!("{subject}: {name}"))
}

/// Makes the checks of a subject when a script in the lab runs it. Does nothing elsewhere.
#[test]
fn inside_the_lab() {
    let Ok(subject) = std::env::var("QUBES_INSIDE_LAB") else {
        return;
    };
    println!();
    for (name, check) in inside(&subject) {
        let passed = if catch_unwind(check).is_ok() {
            "ok"
        } else {
            "not ok"
        };
        println!("{passed} {subject}: {name}");
    }
}
