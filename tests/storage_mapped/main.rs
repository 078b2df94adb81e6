//! What needs the kernel's device mapper: driver file over dm-snapshot, driver lvm_thin, volumes
//! encrypted by dm-crypt, and disks that fail. Not every kernel has one (those of test machines
//! often lack it), so all of this runs in emulated machines of our own (`tests/xen/bare`): two
//! tests boot one each and run this same program there, where the others do their work; elsewhere
//! those have nothing to do.

mod encrypted;
#[path = "../xen/lab_machine.rs"]
mod lab_machine;
mod layers;
mod logical;
mod machine;
mod place;
#[path = "../support/skip.rs"]
mod skip;
mod turns;

#[test]
fn files_and_mappings_in_a_machine_with_a_device_mapper() {
    machine::run(&machine::Part {
        name: "files",
        script: "in_the_lab",
        of: |test| !test.starts_with("logical::"),
    });
}

#[test]
fn logical_volumes_in_a_machine_with_a_device_mapper() {
    machine::run(&machine::Part {
        name: "logical",
        script: "with_volumes",
        of: |test| test.starts_with("logical::"),
    });
}
