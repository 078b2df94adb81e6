//! Systems for these tests, and what they do with qubes.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use qubes::hypervisor::Hypervisor;
use qubes_test_support::{TestSystem, libvirt_daemon, skip, tiny_guest, wait_until};

/// Creates a system whose template `tpl` boots the tiny guest; `None` without libvirt.
pub fn system() -> Option<TestSystem> {
    system_booting(&tiny_guest::KERNEL)
}

/// Returns whether libvirt can be used; else prints why the test is skipped.
pub fn has_libvirt() -> bool {
    libvirt_daemon::uri()
        .inspect_err(|reason| skip(format_args!("no libvirt: {reason}")))
        .is_ok()
}

/// Creates a system whose template `tpl` boots nothing and so costs no processor time; `None`
/// without libvirt.
pub fn system_with_empty_guests() -> Option<TestSystem> {
    has_libvirt().then(|| TestSystem::empty().online().with_template())
}

/// Creates a system whose template `tpl` boots this kernel; `None` without libvirt.
pub fn system_booting(kernel: &[u8]) -> Option<TestSystem> {
    let system = system_with_empty_guests()?;
    fs::write(system.path("/var/lib/qubes/vm-kernels/1.0/vmlinuz"), kernel).unwrap();
    for (property, value) in [("virt_mode", "pvh"), ("kernel", "1.0")] {
        system.succeeds(["qvm-prefs", "tpl", property, value]);
    }
    Some(system)
}

/// Runs `work` in several threads at once, each with the cases that are its own: most of the time
/// is spent waiting for libvirt.
pub fn in_shares(shares: usize, work: impl Fn(&dyn Fn(usize) -> bool) + Sync) {
    std::thread::scope(|scope| {
        for share in 0..shares {
            let work = &work;
            scope.spawn(move || work(&|case| case % shares == share));
        }
    });
}

/// Creates a red AppVM with this netvm, which may be empty.
pub fn create(system: &TestSystem, name: &str, netvm: &str) {
    system.succeeds([
        "qvm-create",
        "--label",
        "red",
        "--property",
        &format!("netvm={netvm}"),
        name,
    ]);
}

/// Creates a red AppVM that provides network.
pub fn create_netvm(system: &TestSystem, name: &str, netvm: &str) {
    create(system, name, netvm);
    system.succeeds(["qvm-prefs", name, "provides_network", "True"]);
}

pub fn hypervisor() -> Hypervisor {
    Hypervisor::new(libvirt_daemon::uri().unwrap())
}

/// Returns the first bytes of an image.
pub fn beginning(image: &Path, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    fs::File::open(image)
        .unwrap()
        .read_exact_at(&mut bytes, 0)
        .unwrap();
    bytes
}

/// Waits until the guest has printed its greeting `times` times since its console log was created.
pub fn wait_for_greetings(system: &TestSystem, qube: &str, times: usize) {
    let console = system
        .path("/run/qubes/console")
        .join(format!("{qube}.log"));
    wait_until(&format!("{qube} says its greeting"), || {
        fs::read_to_string(&console)
            .is_ok_and(|text| text.matches(tiny_guest::GREETING).count() >= times)
    });
}

/// Returns the pids of the monitors of a qube.
pub fn monitors(system: &TestSystem, qube: &str) -> Vec<i32> {
    let root = system.root().to_string_lossy().into_owned();
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|n| n.parse::<i32>().ok())
        else {
            continue;
        };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<_> = line
            .split(|b| *b == 0)
            .map(String::from_utf8_lossy)
            .collect();
        let is_monitor = words.first().is_some_and(|w| w.ends_with("qubes-monitor"));
        if is_monitor
            && words.iter().any(|w| w == qube)
            && words.iter().any(|w| w.starts_with(&root))
        {
            pids.push(pid);
        }
    }
    pids
}

/// Waits until a qube has exactly one monitor, and returns its pid.
pub fn wait_for_monitor(system: &TestSystem, qube: &str) -> i32 {
    wait_until("there is one monitor", || monitors(system, qube).len() == 1);
    monitors(system, qube)[0]
}

pub fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

/// Kills the monitor of a qube, once there is exactly one.
pub fn kill_monitor(system: &TestSystem, qube: &str) {
    signal(wait_for_monitor(system, qube), Signal::SIGKILL);
    wait_until("it is dead", || monitors(system, qube).is_empty());
}

/// Creates a system whose template boots the small Linux of the demonstration, with the qube
/// `work`.
pub fn system_with_linux() -> Option<TestSystem> {
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/guest");
    let Ok(version) = fs::read_to_string(guest.join("kernel-version")) else {
        skip("target/guest does not exist; `make guest` builds it");
        return None;
    };
    if !has_libvirt() {
        return None;
    }
    let version = version.trim();
    let system = TestSystem::empty().online();
    system.succeeds("qubes-create");
    let kernels = system.path("/var/lib/qubes/vm-kernels");
    fs::create_dir_all(&kernels).unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .arg(guest.join("vm-kernels").join(version))
        .arg(&kernels)
        .status();
    assert!(copied.unwrap().success());
    system.succeeds(["qubes-prefs", "default_kernel", version]);
    let root = guest.join("root.img").to_string_lossy().into_owned();
    system.succeeds([
        "qvm-create",
        "--class",
        "TemplateVM",
        "--label",
        "black",
        "--root-copy-from",
        &root,
        "tiny",
    ]);
    // Use one processor: under emulation a second one may see a change of the kernel's code too
    // late, and then stops (int3).
    system.succeeds("qvm-prefs tiny vcpus 1");
    system.succeeds("qubes-prefs default_template tiny");
    system.succeeds("qvm-create --label red --property netvm= --property memory=160 work");
    Some(system)
}

/// Waits until the Linux of `work` prints the words.
pub fn wait_for_words(system: &TestSystem, words: &str) {
    let log = system.path("/run/qubes/console/work.log");
    let deadline = Instant::now() + Duration::from_secs(300);
    loop {
        let output = fs::read_to_string(&log).unwrap_or_default();
        if output.contains(words) {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "the guest does not print {words}: {output}"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}
