//! Hosts without libvirt, and with a libvirt that does not answer. Each test runs itself again in a
//! child process.

use std::fs;
use std::process::Command;

use qubes::hypervisor::{Hypervisor, HypervisorError};
use uuid::Uuid;

/// The environment variable that marks the child.
const CHILD: &str = "QUBES_TEST_CHILD";

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Runs the named test of this program again, as a child, and returns what it wrote to standard
/// error.
fn in_child(test: &str, variable: &str, value: &std::path::Path) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .env(variable, value)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && stdout.contains("1 passed"),
        "{stderr}{stdout}"
    );
    stderr
}

#[test]
fn without_the_library_every_call_is_a_one_line_error() {
    if !is_child() {
        // The loader searches this directory first and finds a file that is not a library.
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("libvirt.so.0"), "").unwrap();
        in_child(
            "absent::without_the_library_every_call_is_a_one_line_error",
            "LD_LIBRARY_PATH",
            place.path(),
        );
        return;
    }
    let hypervisor = Hypervisor::new("qemu:///system");
    let uuid = Uuid::new_v4();
    for error in [
        hypervisor.states().unwrap_err(),
        hypervisor.state(uuid).unwrap_err(),
        hypervisor.create_paused(uuid, "<domain/>").unwrap_err(),
        hypervisor.resume(uuid).unwrap_err(),
        hypervisor.shutdown(uuid).unwrap_err(),
        hypervisor.destroy(uuid).unwrap_err(),
        hypervisor.undefine(uuid).unwrap_err(),
        hypervisor.wait_until_inactive(uuid, None).unwrap_err(),
    ] {
        assert!(matches!(error, HypervisorError::NoLibrary(_)), "{error}");
        let text = error.to_string();
        assert!(
            text.starts_with("libvirt is not installed (") && text.contains("libvirt.so.0"),
            "{text}"
        );
        assert!(!text.contains('\n'), "{text}");
    }
    // A call without loading the library first is an error, not a crash.
    assert!(virt::connect::Connect::open(Some("qemu:///system")).is_err());
    // Offline mode does not search for the library.
    let offline = Hypervisor::offline("qemu:///system");
    assert!(matches!(offline.states(), Err(HypervisorError::Offline(_))));
}

#[test]
fn a_missing_daemon_is_a_one_line_error_and_libvirt_prints_nothing() {
    if !is_child() {
        let place = tempfile::tempdir().unwrap();
        let test = "absent::a_missing_daemon_is_a_one_line_error_and_libvirt_prints_nothing";
        let stderr = in_child(test, "QUBES_TEST_PLACE", place.path());
        assert_eq!(stderr, "");
        return;
    }
    let place = std::path::PathBuf::from(std::env::var_os("QUBES_TEST_PLACE").unwrap());
    let uri = format!("qemu+unix:///system?socket={}/sock", place.display());
    let hypervisor = Hypervisor::new(&uri);
    let uuid = Uuid::new_v4();
    for error in [
        hypervisor.states().unwrap_err(),
        hypervisor.state(uuid).unwrap_err(),
        hypervisor.create_paused(uuid, "<domain/>").unwrap_err(),
        hypervisor.destroy(uuid).unwrap_err(),
        hypervisor.wait_until_inactive(uuid, None).unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("cannot reach the hypervisor at {uri}: ")),
            "{text}"
        );
        assert!(
            text.ends_with("No such file or directory; is libvirtd running?")
                && !text.contains('\n'),
            "{text}"
        );
    }
    // A URI that no driver supports, and one with a NUL character.
    let text = Hypervisor::new("nosuch:///system")
        .states()
        .unwrap_err()
        .to_string();
    assert!(
        text.starts_with("cannot reach the hypervisor at nosuch:///system: "),
        "{text}"
    );
    let text = Hypervisor::new("qemu\0")
        .state(uuid)
        .unwrap_err()
        .to_string();
    assert!(text.ends_with("the URI contains a NUL character"), "{text}");
}

#[test]
fn the_library_is_opened_by_the_first_call_and_not_before() {
    if !is_child() {
        let place = tempfile::tempdir().unwrap();
        in_child(
            "absent::the_library_is_opened_by_the_first_call_and_not_before",
            "HOME",
            place.path(),
        );
        return;
    }
    let is_open = || {
        fs::read_to_string("/proc/self/maps")
            .unwrap()
            .contains("libvirt.so")
    };
    let hypervisor = Hypervisor::new("test:///default");
    assert!(Hypervisor::offline("test:///default").states().is_err());
    assert!(!is_open());
    assert_eq!(hypervisor.states().unwrap().len(), 1);
    assert!(is_open());
}
