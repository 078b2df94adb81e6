//! A daemon of libvirt's for one test alone, in namespaces of its own: the machine's is not
//! touched, and this one may be killed. For each test program to include by itself.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use qubes::hypervisor::{Hypervisor, LazyHypervisor};

use crate::scratch::wait_until;
use crate::skip;

const URI: &str = "qemu:///system";
/// Set where the namespaces are ours.
const INSIDE: &str = "QUBES_TEST_INSIDE";

/// Everything that libvirt's daemons write lies on tmpfs; what they learnt of QEMU is copied, it
/// takes seconds to learn. The shell stays, as the process that every orphan falls to.
const SEPARATE: &str = r#"
set -e
mount -t tmpfs none /run
cache=$(mktemp -d)
[ ! -d /var/cache/libvirt ] || cp -a /var/cache/libvirt/. "$cache"
for directory in /var/cache/libvirt /var/lib/libvirt /var/log/libvirt /etc/libvirt/qemu; do
    mkdir -p "$directory"
    mount -t tmpfs -o mode=755 none "$directory"
done
cp -a "$cache/." /var/cache/libvirt
rm -r "$cache"
set +e
"$@"
exit $?
"#;

/// Runs the named test of this program in namespaces of its own and returns true there. False
/// elsewhere: it was run, or could not be.
pub fn run_in_namespaces(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    if !nix::unistd::geteuid().is_root() {
        skip::skip("a daemon of our own needs namespaces, and those need root");
        return false;
    }
    if daemon().is_none() {
        skip::skip("neither libvirtd nor virtqemud is installed");
        return false;
    }
    let output = Command::new("unshare")
        .args([
            "--mount",
            "--pid",
            "--net",
            "--ipc",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "--propagation",
            "private",
        ])
        .args(["sh", "-c", SEPARATE, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads", "1"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout)
    );
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
    false
}

/// The daemon that drives QEMU: the one big one, or that of a machine with a daemon for each
/// driver.
fn daemon() -> Option<PathBuf> {
    let found = |name: &str| {
        let places = ["/usr/sbin", "/usr/bin", "/sbin"].iter();
        places
            .map(|d| Path::new(d).join(name))
            .find(|p| p.is_file())
    };
    found("libvirtd").or_else(|| found("virtqemud"))
}

pub fn hypervisor() -> LazyHypervisor {
    LazyHypervisor::new(URI)
}

/// A daemon of our own, killed when dropped.
pub struct Daemon(Child);

impl Daemon {
    fn spawn(program: &Path) -> Daemon {
        let log = std::fs::File::create("/run/daemon.log").unwrap();
        let child = Command::new(program)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Daemon(child)
    }

    /// The daemon that writes consoles.
    pub fn start_virtlogd() -> Daemon {
        let logs = Daemon::spawn(&daemon().unwrap().with_file_name("virtlogd"));
        wait_until("virtlogd listens", || {
            Path::new("/run/libvirt/virtlogd-sock").exists()
        });
        logs
    }

    pub fn start_libvirt() -> Daemon {
        let started = Daemon::spawn(&daemon().unwrap());
        wait_until("libvirt answers", || hypervisor().states().is_ok());
        started
    }

    /// As if it crashed.
    pub fn crash(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// The processes of this namespace whose command line contains all `words`.
pub fn processes(words: &[&str]) -> Vec<i32> {
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if words.iter().all(|word| line.contains(word)) {
            pids.push(pid);
        }
    }
    pids
}
