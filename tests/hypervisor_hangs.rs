//! A hypervisor that does not answer blocks only the command that queries it.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const QVM_PREFS: &str = env!("CARGO_BIN_EXE_qvm-prefs");

/// A system in a scratch directory with a socket in place of libvirt.
struct System {
    dir: tempfile::TempDir,
}

impl System {
    fn new() -> System {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("var/lib/qubes");
        fs::create_dir_all(&store).unwrap();
        fs::copy(
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/r4/small.xml"),
            store.join("qubes.xml"),
        )
        .unwrap();
        System { dir }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("libvirt")
    }

    /// Starts `qvm-prefs` on this system, whose libvirt listens at the socket.
    fn qvm_prefs(&self, words: &[&str]) -> Child {
        Command::new(QVM_PREFS)
            .args(words)
            .env("QUBES_ROOT", self.dir.path())
            .env(
                "QUBES_LIBVIRT_URI",
                format!("qemu+unix:///session?socket={}", self.socket().display()),
            )
            .env("RUST_BACKTRACE", "0")
            .env_remove("QUBES_OFFLINE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn property(&self, qube: &str, property: &str) -> String {
        let output = self
            .qvm_prefs(&[qube, property])
            .wait_with_output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_string()
    }
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
    let system = System::new();
    let libvirt = UnixListener::bind(system.socket()).unwrap();
    // The rule for netvm depends on the power state of the qube.
    let mut waiting = system.qvm_prefs(&["work", "netvm", "sys-net"]);
    let (connection, _) = libvirt.accept().unwrap();
    assert!(
        is_unlocked(&system.dir.path().join("var/lib/qubes/qubes.xml")),
        "the hypervisor is queried under the lock of the store"
    );
    // Other readers and writers are not blocked.
    let written = system
        .qvm_prefs(&["vault", "memory", "555"])
        .wait_with_output()
        .unwrap();
    assert!(written.status.success(), "{written:?}");
    assert_eq!(system.property("vault", "memory"), "555");
    assert!(
        waiting.try_wait().unwrap().is_none(),
        "the command did not wait for the hypervisor"
    );

    drop((connection, libvirt));
    // Without a record of a start, an unreachable hypervisor means that the qube is halted. Whether
    // the command succeeds or not, the change of the other writer is kept.
    waiting.wait().unwrap();
    assert_eq!(system.property("vault", "memory"), "555");
}
