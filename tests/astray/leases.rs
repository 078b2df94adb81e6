//! Commands do not wait until the kernel breaks a lease on a file (45 s).

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use qubes_test_support::{TestSystem, skip};

const HOLD: &str = "
import fcntl, signal, sys
signal.signal(signal.SIGIO, lambda *_: None)
held = open(sys.argv[1], 'r+')
fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print('held', flush=True)
sys.stdin.read()
";

/// A process that has a lease on a file and does not release it.
struct Lease(Child);

impl Lease {
    fn take(file: &Path) -> Option<Lease> {
        let mut command = Command::new("python3");
        command
            .args(["-c", HOLD])
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut holder = command.spawn().ok()?;
        let mut line = String::new();
        BufReader::new(holder.stdout.take()?)
            .read_line(&mut line)
            .unwrap();
        let lease = Lease(holder);
        (line == "held\n").then_some(lease)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        self.0.wait().unwrap();
    }
}

/// Runs a command while another process has a lease on a file; the command must not wait for it.
/// Returns `None` where leases are not supported.
fn run_with_lease(
    system: &TestSystem,
    file: &str,
    line: &str,
) -> Option<qubes_test_support::ToolOutput> {
    assert!(system.path(file).is_file(), "{file}");
    let lease = Lease::take(&system.path(file));
    if lease.is_none() {
        skip("leases need Python and a file system that has them");
    }
    let _lease = lease?;
    let begun = Instant::now();
    let ran = system.run(line);
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{line} with a lease on {file}: {:?}",
        begun.elapsed()
    );
    Some(ran)
}

#[test]
fn a_lease_on_a_cache_or_holder_file_is_ignored() {
    let system = TestSystem::small();
    system.ok("qvm-prefs work memory 401");
    system.ok("qvm-ls");
    let files = [
        "unbroken",
        "sound",
        "lock/database.holder",
        "lock/database.queue",
    ]
    .map(|file| format!("run/qubes/{file}"));
    for file in files.iter().filter(|file| system.path(file).exists()) {
        for line in [
            "qvm-ls",
            "qvm-prefs work memory 402",
            "qvm-prefs work memory 403",
        ] {
            if !system.path(file).exists() {
                continue;
            }
            let Some(ran) = run_with_lease(&system, file, line) else {
                return;
            };
            assert_eq!(
                (ran.code, ran.stderr.as_str()),
                (0, ""),
                "{line} with a lease on {file}"
            );
        }
    }
}

#[test]
fn a_lease_on_a_record_or_the_store_is_reported_in_one_line() {
    let system = TestSystem::small();
    let record = "run/qubes/vm/work";
    std::fs::create_dir_all(system.path("run/qubes/vm")).unwrap();
    std::fs::write(system.path(record), "{}").unwrap();
    for (file, line) in [
        (record, "qvm-remove --force work"),
        ("var/lib/qubes/qubes.xml", "qvm-ls"),
        ("var/lib/qubes/qubes.xml", "qvm-prefs work memory 402"),
    ] {
        let Some(ran) = run_with_lease(&system, file, line) else {
            return;
        };
        assert_eq!(
            (ran.code, ran.complaints().count()),
            (1, 1),
            "{line} with a lease on {file}: {ran:?}"
        );
        assert!(
            ran.stderr.contains(file) && ran.stderr.contains("lease"),
            "{line} with a lease on {file}: {ran:?}"
        );
        assert!(
            !ran.stderr.contains("remove that file"),
            "{line} with a lease on {file}: {ran:?}"
        );
    }
}
