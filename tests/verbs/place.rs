//! Systems whose qubes boot something.

use qubes::hypervisor::LazyHypervisor;

use crate::scratch::{Scratch, until};
use crate::{libvirt_daemon, skip, tiny_guest};

/// A system whose template `tpl` boots the tiny guest, or none where libvirt cannot be had.
pub fn system() -> Option<Scratch> {
    system_booting(&tiny_guest::KERNEL)
}

/// The same with another kernel.
pub fn system_booting(kernel: &[u8]) -> Option<Scratch> {
    if let Err(reason) = libvirt_daemon::uri() {
        skip::skip(format_args!("no libvirt: {reason}"));
        return None;
    }
    let scratch = Scratch::with_template();
    std::fs::write(scratch.path("/var/lib/qubes/vm-kernels/1.0/vmlinuz"), kernel).unwrap();
    for (property, value) in [("virt_mode", "pvh"), ("kernel", "1.0")] {
        scratch.ok("qvm-prefs", &["tpl", property, value]);
    }
    Some(scratch)
}

/// Creates a red AppVM with this netvm, which may be empty.
pub fn create(scratch: &Scratch, name: &str, netvm: &str) {
    scratch.ok("qvm-create", &["--label", "red", "--property", &format!("netvm={netvm}"), name]);
}

/// The same that others may have as their netvm.
pub fn create_netvm(scratch: &Scratch, name: &str, netvm: &str) {
    create(scratch, name, netvm);
    scratch.ok("qvm-prefs", &[name, "provides_network", "True"]);
}

pub fn hypervisor() -> LazyHypervisor {
    LazyHypervisor::new(libvirt_daemon::uri().unwrap())
}

/// Waits until the guest has said its greeting `times` times since the console was made.
pub fn wait_for_greetings(scratch: &Scratch, qube: &str, times: usize) {
    let console = scratch.path("/run/qubes/console").join(format!("{qube}.log"));
    until(&format!("{qube} says its greeting"), || {
        std::fs::read_to_string(&console).is_ok_and(|text| text.matches(tiny_guest::GREETING).count() >= times)
    });
}

/// The pids of the monitors of a qube.
pub fn monitors(scratch: &Scratch, qube: &str) -> Vec<i32> {
    let root = scratch.root().to_string_lossy().into_owned();
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<i32>().ok()) else { continue };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<_> = line.split(|b| *b == 0).map(String::from_utf8_lossy).collect();
        let is_monitor = words.first().is_some_and(|w| w.ends_with("qubes-monitor"));
        if is_monitor && words.iter().any(|w| w == qube) && words.iter().any(|w| w.starts_with(&root)) {
            pids.push(pid);
        }
    }
    pids
}

/// Kills the one monitor of a qube, once it is there.
pub fn kill_monitor(scratch: &Scratch, qube: &str) {
    until("there is one monitor", || monitors(scratch, qube).len() == 1);
    let pid = nix::unistd::Pid::from_raw(monitors(scratch, qube)[0]);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    until("it is dead", || monitors(scratch, qube).is_empty());
}
