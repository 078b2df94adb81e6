//! An ordinary user, whose libvirt starts by itself and may go away at any time. As root, the test runs itself again as
//! user nobody, with a home of its own: so its daemon is its own too.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use qubes::hypervisor::{Hypervisor, HypervisorError, LibvirtHypervisor, Outcome};
use qubes::model::PowerState;

use crate::fixture::{Domain, LONG};

const URI: &str = "qemu:///session";
const NOBODY: u32 = 65534;
/// The child's home.
const HOME: &str = "QUBES_TEST_HOME";

#[test]
fn a_users_guest_outlives_the_users_daemon_and_a_lost_connection_is_no_stop() {
    let Some(home) = std::env::var_os(HOME).map(PathBuf::from) else {
        return run_as_ordinary_user(
            "session::a_users_guest_outlives_the_users_daemon_and_a_lost_connection_is_no_stop",
        );
    };
    let domain = Domain::at(URI);
    assert_eq!(domain.description.owner, None, "the user's own QEMU needs no other user");
    domain.start();
    assert_eq!(domain.hypervisor.states().unwrap()[&domain.uuid()].state, PowerState::Running);

    let uuid = domain.uuid();
    let waiting = std::thread::spawn(move || LibvirtHypervisor::new(URI).wait_until_inactive(uuid, Some(LONG)));
    // The daemon ends, again and again, until the wait has noticed, wherever it is by then.
    while !waiting.is_finished() {
        end_daemon(&home, "libvirtd");
        std::thread::sleep(Duration::from_millis(100));
    }
    let error = waiting.join().unwrap().unwrap_err();
    assert!(matches!(error, HypervisorError::Unreachable { .. }), "{error}");

    // Our own connection is gone too: that is an error once, then a new daemon answers, and the guest still runs.
    let deadline = Instant::now() + LONG;
    while !matches!(domain.hypervisor.state(uuid), Ok(Some(live)) if live.state == PowerState::Running) {
        assert!(Instant::now() < deadline, "{:?}", domain.hypervisor.state(uuid));
        std::thread::sleep(Duration::from_millis(50));
    }
    while !domain.hypervisor.states().is_ok_and(|states| states.contains_key(&uuid)) {
        assert!(Instant::now() < deadline, "{:?}", domain.hypervisor.states());
    }
    assert_eq!(domain.hypervisor.shutdown(uuid), Ok(Outcome::Done));
    assert_eq!(domain.hypervisor.wait_until_inactive(uuid, Some(LONG)), Ok(true));
    drop(domain);
    end_daemon(&home, "libvirtd");
    end_daemon(&home, "virtlogd");
}

/// Asks the user's daemon to end, if it runs.
fn end_daemon(home: &Path, name: &str) {
    let file = home.join("run/libvirt").join(name).with_extension("pid");
    if let Some(pid) = fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()) {
        // It may have ended meanwhile.
        let _gone = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
}

/// Runs the named test of this program as user nobody (as ourselves, when we are not root) in a new home.
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
        command.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"), "--clear-groups".to_string()]);
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
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && stdout.contains("1 passed"), "{stderr}{stdout}");
    assert_eq!(stderr, "", "libvirt prints nothing");
}
