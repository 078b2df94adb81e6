//! Driver file over the kernel's dm-snapshot, and volumes encrypted by its dm-crypt. Not every kernel has a device mapper
//! (those of test machines often lack it), so all of this runs in an emulated machine of our own (`tests/xen/bare`): one test
//! boots it and runs this same program there, where the others do their work; elsewhere they have nothing to do.

mod encrypted;
#[path = "../xen/lab_machine.rs"]
mod lab_machine;
mod layers;
mod place;
#[path = "../support/skip.rs"]
mod skip;
mod turns;

use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn everything_here_works_in_a_machine_with_a_device_mapper() {
    if place::is_the_machine() {
        return;
    }
    if let Some(reason) = lab_machine::missing() {
        return skip::skip(reason);
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let programs = tempfile::tempdir().unwrap();
    let program = lab_machine::stripped(&std::env::current_exe().unwrap(), &programs.path().join("storage_mapped"));
    let lab = lab_machine::directory();
    let ran = Command::new(here.join("tests/xen/bare"))
        .arg("900")
        .arg(here.join("tests/storage_mapped/in_the_lab"))
        .arg(program)
        .env("QUBES_XEN_LAB", &lab)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = std::fs::read_to_string(lab.join("bare/results/output")).unwrap_or_default();
    assert!(ran.status.success(), "{said}\n{}", String::from_utf8_lossy(&ran.stderr));
    // A program that ran none of its tests succeeds, too.
    let passed = said.lines().filter(|line| line.starts_with("test ") && line.ends_with("... ok")).count();
    assert!(passed > 12, "{said}");
}
