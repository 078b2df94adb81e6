//! Runs programs in the machine of `tests/xen`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::paths::target;

/// Returns why the lab cannot run here; `None` if it can.
pub fn missing() -> Option<String> {
    let found = |program: &str| {
        qubes::exec::find_program(program, &std::env::var_os("PATH").unwrap_or_default()).is_some()
    };
    if !found("qemu-system-x86_64") {
        return Some("the lab needs qemu-system-x86_64, which is not installed".to_string());
    }
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    if !release.lines().any(|line| line == "ID=debian") {
        return Some(
            "the lab is made of Debian's packages, and this system has other ones".to_string(),
        );
    }
    if !nix::unistd::geteuid().is_root() {
        return Some("making the lab's root file system needs root".to_string());
    }
    None
}

/// Returns the directory of the lab's image.
pub fn directory() -> PathBuf {
    std::env::var_os("QUBES_XEN_LAB").map_or_else(|| target().join("xen"), PathBuf::from)
}

/// Copies a program without its debug information, as every page counts in an emulator.
pub fn stripped(program: &Path, to: &Path) -> PathBuf {
    let done = Command::new("strip")
        .arg("-o")
        .arg(to)
        .arg(program)
        .status()
        .unwrap();
    assert!(done.success(), "strip {}", program.display());
    to.to_path_buf()
}
