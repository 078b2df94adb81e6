//! Qubes on a real Xen: scripts that run in the dom0 of an emulated machine (`run`, `lab/`), which has real logical
//! volumes, too. Each prints a line for every check; all of them are named here.

use std::panic::catch_unwind;

#[path = "../support/skip.rs"]
mod skip;

mod attached;
mod lab_machine;
mod lvm_thin;
mod machine;

use machine::{Scenario, run};

/// What every qube is put through: `life` of the prelude.
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

fn life_of<'q>(qube: &'q str, mode: &'q str) -> impl Iterator<Item = String> + 'q {
    LIFE.iter().map(move |check| format!("{qube}: {}", check.replace("MODE", mode)))
}

fn named(checks: &[&str]) -> Vec<String> {
    checks.iter().map(|check| check.to_string()).collect()
}

#[test]
fn qubes_live_on_images_that_share_blocks() {
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
        "the next command settles what vanished",
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
    checks.extend(life_of("pv", "PV"));
    checks.extend(life_of("pvh", "PVH"));
    checks.extend(made_inside("attached"));
    run(&Scenario { script: "reflink", seconds: 1800, checks });
}

#[test]
fn qubes_live_on_logical_volumes() {
    let mut checks = named(&[
        "a system",
        "a template in the thin pool",
        "work: created",
        "two stops, two revisions",
        "no running copy is left",
        "qvm-ls asks lvs once",
        "qvm-ls tells what volumes take",
        "work: cloned",
        "a clone is a snapshot",
        "copy: removed",
        "work: removed",
        "debian: removed",
        "nothing is left of it",
        "no orphan is left",
    ]);
    checks.extend(life_of("work", "PV"));
    run(&Scenario { script: "lvm_thin", seconds: 1500, checks });
}

/// The checks of one subject that this program makes inside the lab.
fn inside(subject: &str) -> &'static [(&'static str, fn())] {
    match subject {
        "attached" => &attached::CHECKS,
        "lvm_thin" => &lvm_thin::CHECKS,
        other => panic!("there are no checks of {other}"),
    }
}

fn made_inside(subject: &str) -> impl Iterator<Item = String> {
    inside(subject).iter().map(move |(name, _)| format!("{subject}: {name}"))
}

/// A script in the lab has this program make the checks of a subject; elsewhere there is nothing to make them on.
#[test]
fn inside_the_lab() {
    let Ok(subject) = std::env::var("QUBES_INSIDE_LAB") else { return };
    println!();
    for (name, check) in inside(&subject) {
        let passed = if catch_unwind(check).is_ok() { "ok" } else { "not ok" };
        println!("{passed} {subject}: {name}");
    }
}
