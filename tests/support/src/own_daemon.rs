//! Runs a libvirt daemon for one test in its own namespaces. The machine's daemon is not affected,
//! so the test may kill its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use qubes::hypervisor::Hypervisor;

use crate::skip;
use crate::wait::wait_until;

const URI: &str = "qemu:///system";
/// The variable that is set inside the namespaces.
const INSIDE: &str = "QUBES_TEST_INSIDE";

/// The script that sets up the namespaces. Everything that libvirt's daemons write is on tmpfs.
/// Their cache of QEMU's capabilities is copied, because filling it takes seconds. The shell keeps
/// running to adopt orphaned processes.
const SETUP_SCRIPT: &str = r#"
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

/// Runs the named test of this program in its own namespaces. Returns true inside them, and false
/// outside, when the test was run there or was skipped.
pub fn run_in_namespaces(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    if !nix::unistd::geteuid().is_root() {
        skip::skip("a separate daemon needs namespaces, and those need root");
        return false;
    }
    if find_daemon().is_none() {
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
        .args(["sh", "-c", SETUP_SCRIPT, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads", "1"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let printed = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout)
    );
    assert!(
        output.status.success() && printed.contains("1 passed"),
        "{printed}"
    );
    false
}

/// Returns the path of the daemon that drives QEMU: libvirtd, or virtqemud on a machine with one
/// daemon for each driver.
fn find_daemon() -> Option<PathBuf> {
    let find = |name: &str| {
        let places = ["/usr/sbin", "/usr/bin", "/sbin"].iter();
        places
            .map(|d| Path::new(d).join(name))
            .find(|p| p.is_file())
    };
    find("libvirtd").or_else(|| find("virtqemud"))
}

/// Returns a connection to the daemon, opened at the first use.
pub fn hypervisor() -> Hypervisor {
    Hypervisor::new(URI)
}

/// A daemon of this test, killed when it is dropped.
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

    /// Starts virtlogd, which writes the console logs, and waits until it listens.
    pub fn start_virtlogd() -> Daemon {
        let logs = Daemon::spawn(&find_daemon().unwrap().with_file_name("virtlogd"));
        wait_until("virtlogd listens", || {
            Path::new("/run/libvirt/virtlogd-sock").exists()
        });
        logs
    }

    /// Starts the daemon that drives QEMU and waits until it answers.
    pub fn start_libvirt() -> Daemon {
        let started = Daemon::spawn(&find_daemon().unwrap());
        wait_until("libvirt answers", || hypervisor().states().is_ok());
        started
    }

    /// Kills the daemon, as a crash would.
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

/// Returns the processes of this namespace whose command line contains all `words`.
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
