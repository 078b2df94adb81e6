//! Checks the committed bindings against the generator's output for libvirt's headers.

use qubes_test_support::skip;
use std::process::Command;

#[test]
fn the_committed_bindings_match_the_headers() {
    let generator = concat!(env!("CARGO_MANIFEST_DIR"), "/generate");
    if !std::path::Path::new("/usr/include/libvirt/libvirt.h").exists() {
        return skip("libvirt's headers are not installed (libvirt-dev, libvirt-devel)");
    }
    let output = Command::new("python3")
        .arg(generator)
        .arg("--check")
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    match output.status.code() {
        Some(0) => {}
        // The headers are older than the bindings and lack some functions.
        Some(2) => skip(stdout.trim_end()),
        _ => panic!("{stdout}{}", String::from_utf8_lossy(&output.stderr)),
    }
}
