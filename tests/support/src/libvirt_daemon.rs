//! Starts libvirt's daemon for tests that run as root on a machine without a service manager.

use qubes::exec::Program;

use crate::paths::repository;

/// Makes libvirt answer at the URI that the tests use, and returns that URI. A running daemon is
/// shared; a daemon that this starts keeps running, as a service would.
pub fn uri() -> Result<&'static str, String> {
    let is_root = nix::unistd::geteuid().is_root();
    if is_root {
        let script = repository("demo/libvirt.sh");
        Program::new("bash")
            .arg(script)
            .output()
            .map_err(|e| e.to_string())?;
    }
    Ok(if is_root {
        "qemu:///system"
    } else {
        "qemu:///session"
    })
}
