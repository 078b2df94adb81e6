//! Pulls a disk in every phase of a start and a stop: from then on its device returns errors. After
//! it is back, the next command finds what a guest had synced, with every driver.

use std::collections::HashMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use qubes::exec::Program;
use qubes::storage::driver::*;
use qubes::storage::{Attachment, DmFile, LvmThin, PoolDirectory, Reflink, Volume};

use super::steps::Steps;
use super::{locks, lvm, pool, text, write};
use crate::place::{MIB, refusal};

const DISK: &str = "/dev/mapper/pulled";
const SECTORS: u64 = 300 * MIB / 512;
/// The script that pulls the disk; the LVM of `Steps` runs it too.
const PULL: &str = "dmsetup suspend --noflush --nolockfs pulled && \
    dmsetup load pulled --table '0 614400 error' && dmsetup resume pulled";
/// The system calls that change the state on the disk of a driver with files.
const CHANGES: &str = "rename,renameat,renameat2,unlink,unlinkat,fsync,fdatasync,ftruncate";

/// A disk of 300 MiB with a pool of one driver.
struct Place {
    kind: &'static str,
}

impl Place {
    fn new(kind: &'static str) -> Place {
        assert_eq!(SECTORS, 614_400);
        lvm(&[
            "lvcreate",
            "-qq",
            "-y",
            "-Wn",
            "-L",
            "300M",
            "-n",
            "disk",
            "qubes_dom0",
        ]);
        dmsetup(&[
            "create",
            "pulled",
            "--table",
            &format!("0 {SECTORS} linear /dev/qubes_dom0/disk 0"),
        ]);
        match kind {
            "thin" => {
                lvm(&["vgcreate", "-qq", "-y", "pulled", DISK]);
                lvm(&["lvcreate", "-qq", "-L", "200M", "-T", "pulled/pool"]);
            }
            _ => {
                let file_system = if kind == "copies" {
                    "mkfs.btrfs"
                } else {
                    "mkfs.ext4"
                };
                Program::new(file_system)
                    .args(["-q", DISK])
                    .output()
                    .unwrap();
                fs::create_dir_all(mounted()).unwrap();
                mount();
            }
        }
        let place = Place { kind };
        driver(kind).setup().unwrap();
        driver(kind).create(&private(kind)).unwrap();
        place
    }

    /// Simulates a restart of the machine with the disk present. No cached data reach the disk.
    fn reconnect(&self) {
        // Devices over others are removed first.
        for _ in 0..4 {
            for name in above(self.kind) {
                let _stands_below_another =
                    Program::new("dmsetup").args(["remove", &name]).output();
            }
        }
        assert_eq!(above(self.kind), [""; 0]);
        if self.kind != "thin" {
            let deadline = Instant::now() + Duration::from_secs(20);
            while let Err(error) = Program::new("umount").arg(mounted()).output() {
                assert!(Instant::now() < deadline, "{error}");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        dmsetup(&["suspend", "--noflush", "--nolockfs", "pulled"]);
        dmsetup(&[
            "load",
            "pulled",
            "--table",
            &format!("0 {SECTORS} linear /dev/qubes_dom0/disk 0"),
        ]);
        dmsetup(&["resume", "pulled"]);
        match self.kind {
            "thin" => drop(lvm(&["vgchange", "-qq", "-ay", "pulled"])),
            _ => mount(),
        }
    }

    /// Returns the command of another process that starts or stops the qube.
    fn other(&self, work: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([
            "--exact",
            "logical::pulled::disturbed",
            "--nocapture",
            "--test-threads=1",
        ]);
        command.env("QUBES_DISTURBED", format!("{work} {}", self.kind));
        command
    }

    /// Returns the changes at which the disk can be pulled during an operation.
    fn phases(&self, work: &str, prepare: &dyn Fn(&str)) -> Vec<Phase> {
        prepare("sign 0");
        let mut other = self.other(work);
        let phases = match self.kind {
            "thin" => {
                let steps = Steps::counted();
                assert!(
                    steps
                        .apply_to(&mut other)
                        .output()
                        .unwrap()
                        .status
                        .success()
                );
                (1..=steps.changes().len()).map(Phase::Lvm).collect()
            }
            _ => trace_changes(&other).into_iter().map(Phase::Call).collect(),
        };
        if work == "start" {
            driver(self.kind).stop(&private(self.kind)).unwrap();
        }
        phases
    }

    /// Runs an operation in another process and pulls the disk in a phase of it. Returns the change
    /// that begins the phase.
    fn pulled_before(&self, work: &str, phase: &Phase) -> String {
        let mut other = self.other(work);
        match phase {
            Phase::Lvm(number) => {
                let steps = Steps::with(&format!("if [ $n = {number} ]; then {PULL}; fi"));
                let _failed = steps.apply_to(&mut other).output().unwrap();
                steps.changes()[number - 1].clone()
            }
            Phase::Call(call) => {
                stopped_at(&other, call);
                call.line.clone()
            }
        }
    }
}

/// A change on the disk.
enum Phase {
    /// The change number N that LVM is to make.
    Lvm(usize),
    Call(Call),
}

impl Drop for Place {
    fn drop(&mut self) {
        let _gone = match self.kind {
            "thin" => Program::new("/usr/sbin/lvm")
                .args(["vgremove", "-qq", "-ff", "-y", "pulled"])
                .output(),
            _ => Program::new("umount").arg(mounted()).output(),
        };
        let _gone = Program::new("dmsetup").args(["remove", "pulled"]).output();
        let _gone = Program::new("/usr/sbin/lvm")
            .args(["lvremove", "-qq", "-f", "qubes_dom0/disk"])
            .output();
    }
}

fn mounted() -> PathBuf {
    "/tmp/pulled".into()
}

fn mount() {
    Program::new("mount")
        .arg(DISK)
        .arg(mounted())
        .output()
        .unwrap();
}

fn dmsetup(arguments: &[&str]) {
    Program::new("dmsetup").args(arguments).output().unwrap();
}

/// Returns the devices over the disk: those of driver `file`, or logical volumes.
fn above(kind: &str) -> Vec<String> {
    let names = fs::read_dir("/dev/mapper")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let beginnings: &[&str] = if kind == "thin" {
        &["pulled-"]
    } else {
        &["snapshot-", "origin-"]
    };
    names
        .filter(|name| {
            beginnings
                .iter()
                .any(|beginning| name.starts_with(beginning))
        })
        .collect()
}

fn driver(kind: &str) -> Box<dyn Driver> {
    match kind {
        "copies" => Box::new(Reflink::new(
            PoolDirectory::new(kind, mounted().join("copies"), None, locks()),
            true,
        )),
        "files" => Box::new(DmFile::new(PoolDirectory::new(
            kind,
            mounted().join("files"),
            None,
            locks(),
        ))),
        _ => Box::new(LvmThin::new(kind, "pulled", "pool", locks())),
    }
}

fn private(kind: &str) -> Volume {
    Volume {
        owner: "work".into(),
        name: "private".into(),
        pool: kind.into(),
        vid: if kind == "thin" {
            "pulled/vm-work-private".into()
        } else {
            "appvms/work/private".into()
        },
        save_on_stop: true,
        rw: true,
        size: 8 * MIB,
        revisions_to_keep: 1,
        ..Volume::default()
    }
}

fn disk(kind: &str) -> PathBuf {
    match driver(kind).attachment(&private(kind)).unwrap() {
        Attachment::Device(path) | Attachment::File(path) => path,
        Attachment::None => panic!("{kind}: nothing to attach"),
    }
}

/// The body of the process that the tests below start.
#[test]
fn disturbed() {
    let Ok(wanted) = std::env::var("QUBES_DISTURBED") else {
        return;
    };
    let (work, kind) = wanted.split_once(' ').unwrap();
    match work {
        "start" => driver(kind).start(&private(kind)).unwrap(),
        _ => driver(kind).stop(&private(kind)).unwrap(),
    }
}

/// Runs a command up to its change number `phase` on the disk, pulls the disk, and lets the command
/// run to its end.
fn stopped_at(command: &Command, call: &Call) {
    let log = tempfile::NamedTempFile::new().unwrap();
    let inject = format!("inject={}:signal=STOP:when={}", call.name, call.number);
    let mut tracer = below_strace(command, log.path(), &inject).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !fs::read_to_string(log.path())
        .unwrap()
        .contains("stopped by SIGSTOP")
    {
        assert!(
            tracer.try_wait().unwrap().is_none() && Instant::now() < deadline,
            "it never came to {}",
            call.line
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    Program::new("sh").args(["-c", PULL]).output().unwrap();
    let group = Pid::from_raw(i32::try_from(tracer.id()).unwrap());
    // A child process may have reached a call of that number, too.
    while tracer.try_wait().unwrap().is_none() {
        assert!(
            Instant::now() < deadline,
            "it never ended after {}",
            call.line
        );
        let _ended_meanwhile = killpg(group, Signal::SIGCONT);
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A change that a process makes on the disk.
struct Call {
    name: String,
    /// The number of the call among those of its name in its thread.
    number: usize,
    line: String,
}

/// Returns the changes that a command makes on the disk, or requests of devices over it.
fn trace_changes(command: &Command) -> Vec<Call> {
    let log = tempfile::NamedTempFile::new().unwrap();
    let ran = below_strace(command, log.path(), &format!("trace={CHANGES}"))
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let mut seen: HashMap<(String, String), usize> = HashMap::new();
    let mut calls: Vec<Call> = Vec::new();
    for line in fs::read_to_string(log.path()).unwrap().lines() {
        let Some((thread, line)) = line.split_once(' ') else {
            continue;
        };
        let Some((name, _)) = line.trim_start().split_once('(') else {
            continue;
        };
        let number = seen
            .entry((thread.to_string(), name.to_string()))
            .or_default();
        *number += 1;
        calls.push(Call {
            name: name.to_string(),
            number: *number,
            line: line.trim_start().to_string(),
        });
    }
    calls.retain(|call| call.line.contains("/tmp/pulled") && !call.line.contains("ENOENT"));
    calls
}

fn below_strace(command: &Command, log: &Path, what: &str) -> Command {
    let mut tracer = Command::new("/lab/strace");
    tracer
        .args(["-f", "-qq", "-y", "-e", what, "-o"])
        .arg(log)
        .arg(command.get_program())
        .args(command.get_args());
    tracer.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    tracer
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    tracer
}

/// Starts the qube and lets the guest sync this text.
fn start_and_sync(kind: &str, words: &str) {
    driver(kind).start(&private(kind)).unwrap();
    write(&disk(kind), words);
}

/// Returns the committed text.
fn committed(kind: &str) -> String {
    text(&driver(kind).export(&private(kind)).unwrap())
}

/// Pulls the disk before each `step`th change of a start and of a stop, and while the qube runs.
/// The next command recovers everything. Returns the changes before which the disk was pulled.
fn pulled_everywhere(kind: &'static str, skip: usize, step: usize) -> Vec<String> {
    let place = Place::new(kind);
    start_and_sync(kind, "sign 0");
    driver(kind).stop(&private(kind)).unwrap();
    let (mut pulled, mut last) = (Vec::new(), "sign 0".to_string());
    for work in ["start", "stop"] {
        let prepare = |words: &str| {
            if work == "stop" {
                start_and_sync(kind, words)
            }
        };
        for phase in place
            .phases(work, &prepare)
            .into_iter()
            .skip(skip)
            .step_by(step)
        {
            let synced = format!("sign {}", pulled.len() + 1);
            prepare(&synced);
            let when = format!(
                "{kind}, {work}, before {}",
                place.pulled_before(work, &phase)
            );
            place.reconnect();
            driver(kind).verify(&private(kind)).unwrap();
            let wanted = if work == "stop" { &synced } else { &last };
            // The qube is started again; every third time it is only stopped.
            if pulled.len() % 3 != 2 {
                driver(kind).start(&private(kind)).unwrap();
                assert_eq!(text(&disk(kind)), *wanted, "{when}");
            }
            driver(kind).stop(&private(kind)).unwrap();
            assert_eq!(committed(kind), *wanted, "{when}");
            last = wanted.clone();
            pulled.push(when);
        }
    }
    // While it runs: what it has synced before is kept, and later writes return errors.
    start_and_sync(kind, "synced");
    Program::new("sh").args(["-c", PULL]).output().unwrap();
    let guest = fs::File::options().write(true).open(disk(kind));
    let written = guest.and_then(|disk| {
        std::os::unix::fs::FileExt::write_all_at(&disk, b"later", MIB)?;
        disk.sync_all()
    });
    assert!(written.is_err(), "{kind}");
    let refused = refusal(driver(kind).stop(&private(kind)));
    assert!(!refused.is_empty());
    place.reconnect();
    driver(kind).start(&private(kind)).unwrap();
    assert_eq!(text(&disk(kind)), "synced", "{kind}");
    driver(kind).stop(&private(kind)).unwrap();
    assert_eq!(committed(kind), "synced", "{kind}");
    pulled
}

#[test]
fn file_reflink_on_btrfs() {
    if pool().is_none() {
        return;
    }
    let pulled = pulled_everywhere("copies", 0, 2);
    assert!(pulled.len() > 3, "{pulled:?}");
}

#[test]
fn file_on_ext4() {
    if pool().is_none() {
        return;
    }
    let pulled = pulled_everywhere("files", 0, 2);
    assert!(pulled.len() > 2, "{pulled:?}");
}

#[test]
fn lvm_thin() {
    if pool().is_none() {
        return;
    }
    assert_eq!(pulled_everywhere("thin", 0, 1).len(), 4);
}
