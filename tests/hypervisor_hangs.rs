//! A hypervisor that is there and does not answer keeps nobody waiting but who asks it something.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const QVM_PREFS: &str = env!("CARGO_BIN_EXE_qvm-prefs");

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

/// Whether the database's lock is free, in the eyes of whoever else takes it.
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
fn who_asks_a_hypervisor_that_hangs_does_not_hold_the_database() {
    let system = System::new();
    let libvirt = UnixListener::bind(system.socket()).unwrap();
    // Whether a netvm may change depends on what the qube is doing.
    let mut asking = system.qvm_prefs(&["work", "netvm", "sys-net"]);
    let (question, _) = libvirt.accept().unwrap();
    assert!(
        is_unlocked(&system.dir.path().join("var/lib/qubes/qubes.xml")),
        "asked under the database's lock"
    );
    // Readers and writers of anything else go their way.
    let written = system
        .qvm_prefs(&["vault", "memory", "555"])
        .wait_with_output()
        .unwrap();
    assert!(written.status.success(), "{written:?}");
    assert_eq!(system.property("vault", "memory"), "555");
    assert!(asking.try_wait().unwrap().is_none(), "it was not waiting");

    drop((question, libvirt));
    // A hypervisor that cannot be asked is none where nothing was started; either way what others
    // wrote is there.
    asking.wait().unwrap();
    assert_eq!(system.property("vault", "memory"), "555");
}
