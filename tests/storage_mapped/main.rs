//! What needs a device mapper: driver `file` with dm-snapshot, driver `lvm_thin`, volumes encrypted
//! by dm-crypt, and failing disks. Test machines often have a kernel without one, so all of this
//! runs in emulated machines (`tests/xen/bare`). Two tests boot one each and run this same program
//! there; in it, the other tests do their work. Elsewhere those do nothing.

mod encrypted;
mod layers;
mod logical;
mod machine;
mod place;
mod turns;

#[test]
fn files_and_mappings_in_a_machine_with_a_device_mapper() {
    machine::run(&machine::Part {
        name: "files",
        script: "in_the_lab",
        has_test: |test| !test.starts_with("logical::"),
    });
}

#[test]
fn logical_volumes_in_a_machine_with_a_device_mapper() {
    machine::run(&machine::Part {
        name: "logical",
        script: "with_volumes",
        has_test: |test| test.starts_with("logical::"),
    });
}
