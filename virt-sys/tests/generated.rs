//! The committed bindings are what the generator makes of libvirt's headers.

use std::process::Command;

#[path = "../../tests/support/skip.rs"]
mod skip;

#[test]
fn the_bindings_are_what_the_generator_writes() {
    let generator = concat!(env!("CARGO_MANIFEST_DIR"), "/generate");
    if !std::path::Path::new("/usr/include/libvirt/libvirt.h").exists() {
        return skip::skip("libvirt's headers are not installed (libvirt-dev, libvirt-devel)");
    }
    let output = Command::new("python3")
        .arg(generator)
        .arg("--check")
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stdout);
    match output.status.code() {
        Some(0) => {}
        // Older than the bindings: some functions are not there yet.
        Some(2) => skip::skip(words.trim_end()),
        _ => panic!("{words}{}", String::from_utf8_lossy(&output.stderr)),
    }
}
