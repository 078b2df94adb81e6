//! A hypervisor that does not answer blocks only the command that queries it.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Stdio};

use qubes_test_support::TestSystem;
use qubes_test_support::tool_output::wait_for;

/// Starts `qvm-prefs` on a system whose libvirt is this socket.
fn start_prefs(system: &TestSystem, words: &[&str]) -> Child {
    let socket = system.path("libvirt");
    let uri = format!("qemu+unix:///session?socket={}", socket.display());
    let mut command = system.command(("qvm-prefs", words));
    command
        .env("QUBES_LIBVIRT_URI", uri)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn property(system: &TestSystem, qube: &str, property: &str) -> String {
    let ran = wait_for(start_prefs(system, &[qube, property]));
    ran.stdout.trim().to_string()
}

/// Returns whether another process can take the lock of the store.
fn is_unlocked(store: &Path) -> bool {
    use nix::fcntl::{FcntlArg, fcntl};
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(store)
        .unwrap();
    let whole = nix::libc::flock {
        l_type: nix::libc::F_WRLCK as i16,
        l_whence: 0,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_OFD_SETLK(&whole)).is_ok()
}

#[test]
fn a_command_that_waits_for_the_hypervisor_does_not_lock_the_store() {
    let system = TestSystem::small().online();
    let libvirt = UnixListener::bind(system.path("libvirt")).unwrap();
    // The rule for netvm depends on the power state of the qube.
    let mut waiting = start_prefs(&system, &["work", "netvm", "sys-net"]);
    let (connection, _) = libvirt.accept().unwrap();
    assert!(
        is_unlocked(&system.store_file()),
        "the hypervisor is queried under the lock of the store"
    );
    // Other readers and writers are not blocked.
    let written = wait_for(start_prefs(&system, &["vault", "memory", "555"]));
    assert_eq!(written.code, 0, "{written:?}");
    assert_eq!(property(&system, "vault", "memory"), "555");
    assert!(
        waiting.try_wait().unwrap().is_none(),
        "the command did not wait for the hypervisor"
    );

    drop((connection, libvirt));
    // Without a record of a start, an unreachable hypervisor means that the qube is halted. Whether
    // the command succeeds or not, the change of the other writer is kept.
    waiting.wait().unwrap();
    assert_eq!(property(&system, "vault", "memory"), "555");
}
