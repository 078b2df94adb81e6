//! The committed bindings are what the generator makes of libvirt's headers.

use std::process::Command;

#[test]
fn the_bindings_are_what_the_generator_writes() {
    let generator = concat!(env!("CARGO_MANIFEST_DIR"), "/generate");
    if !std::path::Path::new("/usr/include/libvirt/libvirt.h").exists() {
        eprintln!("skipped: libvirt's headers are not installed (libvirt-dev, libvirt-devel)");
        return;
    }
    let output = Command::new("python3").arg(generator).arg("--check").output().unwrap();
    let words = String::from_utf8_lossy(&output.stdout);
    match output.status.code() {
        Some(0) => {}
        Some(2) => eprintln!("skipped: {words}"),
        _ => panic!("{words}{}", String::from_utf8_lossy(&output.stderr)),
    }
}
