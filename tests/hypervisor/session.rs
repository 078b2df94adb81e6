//! The libvirt of an ordinary user, which starts on demand and may end at any time. As root, the
//! test runs itself again as user nobody with its own home, and so with its own daemon.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use qubes::hypervisor::{Hypervisor, HypervisorError, Outcome};
use qubes::model::PowerState;
use uuid::Uuid;

use crate::fixture::{Domain, LONG};

const URI: &str = "qemu:///session";
const NOBODY: u32 = 65534;
/// The environment variable with the child's home.
const HOME: &str = "QUBES_TEST_HOME";

#[test]
fn a_guest_outlives_the_users_daemon_and_a_lost_connection_is_not_a_stop() {
    let Some(home) = std::env::var_os(HOME).map(PathBuf::from) else {
        return run_as_ordinary_user(
            "session::a_guest_outlives_the_users_daemon_and_a_lost_connection_is_not_a_stop",
        );
    };
    let domain = Domain::at(URI);
    assert_eq!(
        domain.description.owner, None,
        "the user's own QEMU needs no other user"
    );
    domain.start();
    assert_eq!(
        domain.hypervisor.states().unwrap()[&domain.uuid()].state,
        PowerState::Running
    );

    let uuid = domain.uuid();
    // The daemon may end while the wait still connects. That is another error than the lost
    // connection, so try several times.
    let lost = (0..10).any(|_| {
        wait_until_running(&domain);
        let error = end_daemon_during_wait(&home, uuid).unwrap_err();
        assert!(
            matches!(error, HypervisorError::Unreachable { .. }),
            "{error}"
        );
        error.to_string().ends_with("the connection was lost")
    });
    assert!(lost);

    // The test's own connection is lost too. That is an error once; then a new daemon answers, and
    // the guest still runs.
    wait_until_running(&domain);
    let deadline = Instant::now() + LONG;
    while !domain
        .hypervisor
        .states()
        .is_ok_and(|states| states.contains_key(&uuid))
    {
        assert!(
            Instant::now() < deadline,
            "{:?}",
            domain.hypervisor.states()
        );
    }
    assert_eq!(domain.hypervisor.shutdown(uuid), Ok(Outcome::Done));
    assert_eq!(
        domain.hypervisor.wait_until_inactive(uuid, Some(LONG)),
        Ok(true)
    );
    drop(domain);
    end_daemon(&home, "libvirtd");
    end_daemon(&home, "virtlogd");
}

/// Waits until libvirt reports the guest as running. The first call after a lost connection is an
/// error.
fn wait_until_running(domain: &Domain) {
    let deadline = Instant::now() + LONG;
    let is_running = || {
        let status = domain.hypervisor.state(domain.uuid()).ok().flatten();
        status.is_some_and(|status| status.state == PowerState::Running)
    };
    while !is_running() {
        assert!(
            Instant::now() < deadline,
            "{:?}",
            domain.hypervisor.state(domain.uuid())
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Starts a wait, ends the daemon once the wait has connected, and returns the result of the wait.
fn end_daemon_during_wait(home: &Path, uuid: Uuid) -> Result<bool, HypervisorError> {
    let before = count_daemon_clients(home);
    let waiting =
        std::thread::spawn(move || Hypervisor::new(URI).wait_until_inactive(uuid, Some(LONG)));
    while count_daemon_clients(home) <= before && !waiting.is_finished() {
        std::thread::sleep(Duration::from_millis(1));
    }
    // Usually long enough for the wait to register its callbacks; otherwise the caller tries again.
    std::thread::sleep(Duration::from_millis(100));
    end_daemon(home, "libvirtd");
    waiting.join().unwrap()
}

/// Counts the connections of the user's daemon: lines of its socket in the state "connected" (3).
fn count_daemon_clients(home: &Path) -> usize {
    let socket = home.join("run/libvirt/libvirt-sock").display().to_string();
    let sockets = fs::read_to_string("/proc/net/unix").unwrap();
    sockets
        .lines()
        .filter(|l| l.ends_with(&socket) && l.split_whitespace().nth(5) == Some("03"))
        .count()
}

/// Terminates the user's daemon, if it runs.
fn end_daemon(home: &Path, name: &str) {
    let file = home.join("run/libvirt").join(name).with_extension("pid");
    if let Some(pid) = fs::read_to_string(file)
        .ok()
        .and_then(|text| text.trim().parse().ok())
    {
        // The daemon may have ended meanwhile.
        let _gone = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
}

/// Runs the named test of this program with a new home: as user nobody if this is root, else as the
/// same user.
fn run_as_ordinary_user(test: &str) {
    let home = tempfile::tempdir().unwrap();
    let is_root = nix::unistd::geteuid().is_root();
    let give = |path: &Path| {
        if is_root {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    };
    let program = home.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    for directory in ["", "run", "tmp"] {
        let path = home.path().join(directory);
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        give(&path);
    }
    give(&program);
    let mut command = Command::new(if is_root { "setpriv" } else { "env" });
    if is_root {
        command.args([
            format!("--reuid={NOBODY}"),
            format!("--regid={NOBODY}"),
            "--clear-groups".to_string(),
        ]);
    }
    let output = command
        .arg(&program)
        .args(["--exact", test, "--nocapture"])
        .current_dir(home.path())
        .env(HOME, home.path())
        .env("HOME", home.path())
        .env("TMPDIR", home.path().join("tmp"))
        .env("XDG_RUNTIME_DIR", home.path().join("run"))
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("XDG_CACHE_HOME")
        .output()
        .unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success() && stdout.contains("1 passed"),
        "{stderr}{stdout}"
    );
    assert_eq!(stderr, "", "libvirt prints nothing");
}
