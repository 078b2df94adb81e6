//! A kill or shutdown that exits with 0 leaves the qube halted, whatever a start does meanwhile.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use qubes::lifecycle::Context;
use qubes::system::{System, SystemOptions};
use qubes_test_support::{TestSystem, ToolOutput, tiny_guest, wait_until};

use crate::systems::{
    create, create_netvm, hypervisor, in_shares, monitors, signal, system_booting,
    system_with_empty_guests, wait_for_greetings, wait_for_monitor,
};
use crate::traced_tools::{
    CHANGES_AND_REQUESTS, Call, calls_of, calls_of_start, distinct_kill_points, run_killed_at,
    start_stopped_at,
};

const CANCELLED: &str = "it was killed or shut down while it started";

/// The commands that stop a qube, as a script would use them.
const STOP_COMMANDS: [(&str, &[&str]); 5] = [
    ("qvm-kill", &["work"]),
    ("qvm-shutdown", &["--wait", "work"]),
    ("qvm-kill", &["--all"]),
    ("qvm-shutdown", &["--all", "--wait"]),
    ("qvm-shutdown", &["work"]),
];

/// A command that runs while the test does something else.
struct Running(Child);

impl Running {
    fn begin(system: &TestSystem, tool: &str, arguments: &[&str]) -> Running {
        let mut command = system.command((tool, arguments));
        Running(
            command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap(),
        )
    }

    fn end(self) -> ToolOutput {
        ToolOutput::new(self.0.wait_with_output().unwrap())
    }

    fn is_over(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

fn stop_mark(system: &TestSystem) -> Option<Vec<u8>> {
    fs::read(system.path("/run/qubes/stop/work")).ok()
}

fn is_active(system: &TestSystem) -> bool {
    hypervisor()
        .state(system.uuid("work"))
        .unwrap()
        .is_some_and(|live| live.state.is_active())
}

/// Stops a start at `call`, begins the stop command, resumes the start; returns the results of
/// both, the start first.
fn stop_in_start(
    system: &TestSystem,
    call: &Call,
    (tool, arguments): (&str, &[&str]),
) -> [ToolOutput; 2] {
    let before = stop_mark(system);
    let start = start_stopped_at(system, "qvm-start", &["work"], call);
    let mut verb = Running::begin(system, tool, arguments);
    // The stop mark is the first trace of the command; a shutdown leaves none if the guest can be
    // asked.
    wait_until("the verb has begun", || {
        stop_mark(system) != before || verb.is_over()
    });
    [start.resume(), verb.end()]
}

#[test]
fn a_stop_that_comes_at_any_point_of_a_start_ends_with_the_qube_off() {
    in_shares(2, |is_mine| {
        let Some(system) = system_with_empty_guests() else {
            return;
        };
        create(&system, "work", "");
        let calls = calls_of_start(&system);
        system.succeeds("qvm-kill work");
        let points = distinct_kill_points(&calls);
        assert!(points.len() > 8, "{calls:#?}");
        let mut ended = 0;
        for (when, call) in points
            .into_iter()
            .enumerate()
            .filter(|(when, _)| is_mine(*when))
        {
            // A guest that boots nothing misses every request: commands that wait for it have their
            // own test.
            let verb = if when % 4 < 2 {
                STOP_COMMANDS[0]
            } else {
                STOP_COMMANDS[2]
            };
            let [start, stop] = stop_in_start(&system, call, verb);
            let said = format!("{when}: {} {verb:?} {start:?} {stop:?}", call.line);
            assert_eq!(stop.code, 0, "{said}");
            assert!(!is_active(&system), "{said}");
            wait_until("the stop is finished", || !system.record("work").exists());
            if start.code != 0 {
                assert!(start.stderr.contains(CANCELLED), "{said}");
                ended += 1;
            }
        }
        assert!(ended > 1, "only {ended} starts gave up");
    });
}

#[test]
fn every_stop_command_cancels_a_start_that_has_no_domain_yet() {
    let Some(system) = system_with_empty_guests() else {
        return;
    };
    create(&system, "work", "");
    let calls = calls_of_start(&system);
    system.succeeds("qvm-kill work");
    // The first call publishes the record.
    let after_record = distinct_kill_points(&calls)[1];
    for verb in STOP_COMMANDS {
        let [start, stop] = stop_in_start(&system, after_record, verb);
        assert_eq!(stop.code, 0, "{verb:?}: {stop:?}");
        assert_eq!(start.code, 1, "{verb:?}: {start:?}");
        assert!(start.stderr.contains(CANCELLED), "{verb:?}: {start:?}");
        assert!(!is_active(&system), "{verb:?}");
        assert!(!system.has_dirty_image("work"), "{verb:?}");
        wait_until("no monitor is left", || {
            monitors(&system, "work").is_empty()
        });
    }
    // A start that begins later is not affected.
    system.succeeds("qvm-start work");
    system.succeeds("qvm-kill work");
}

#[test]
fn a_qube_that_is_killed_while_its_netvm_starts_is_not_started_afterwards() {
    let Some(system) = system_with_empty_guests() else {
        return;
    };
    create_netvm(&system, "net", "");
    create(&system, "work", "net");
    let calls = calls_of(&system, "qvm-start", &["work"], "rename,renameat,renameat2");
    system.succeeds("qvm-kill work net");
    let netvms_record = calls
        .iter()
        .find(|call| call.publishes_record_of("net"))
        .unwrap();
    let [start, kill] = stop_in_start(&system, netvms_record, STOP_COMMANDS[0]);
    assert_eq!((kill.code, start.code), (0, 1), "{kill:?} {start:?}");
    assert!(start.stderr.contains(CANCELLED), "{start:?}");
    assert_eq!(
        (system.state("work").as_str(), system.state("net").as_str()),
        ("Halted", "Running")
    );
}

#[test]
fn killing_a_netvm_during_its_start_fails_the_start_of_its_client() {
    let Some(system) = system_with_empty_guests() else {
        return;
    };
    create_netvm(&system, "net", "");
    create(&system, "client", "net");
    let calls = calls_of(
        &system,
        "qvm-start",
        &["client"],
        "rename,renameat,renameat2",
    );
    system.succeeds("qvm-kill client net");
    let netvms_record = calls
        .iter()
        .find(|call| call.publishes_record_of("net"))
        .unwrap();
    let mark = || fs::read(system.path("/run/qubes/stop/net")).unwrap();
    let before = mark();
    let start = start_stopped_at(&system, "qvm-start", &["client"], netvms_record);
    let kill = Running::begin(&system, "qvm-kill", &["net"]);
    wait_until("the kill has begun", || mark() != before);
    let (start, kill) = (start.resume(), kill.end());
    assert_eq!((kill.code, start.code), (0, 1), "{kill:?} {start:?}");
    assert!(
        start.stderr.contains("its netvm net does not start"),
        "{start:?}"
    );
    assert_eq!(
        (
            system.state("client").as_str(),
            system.state("net").as_str()
        ),
        ("Halted", "Halted")
    );
}

#[test]
fn a_kill_cancels_the_volume_copy_of_a_start() {
    let Some(system) = system_with_empty_guests() else {
        return;
    };
    create(&system, "work", "");
    // More than one copy call takes, and without a copy made in advance.
    let private = system.path("/var/lib/qubes/appvms/work/private.img");
    let data = vec![b'x'; 150 << 20];
    fs::write(&private, data).unwrap();
    let copies = calls_of(&system, "qvm-start", &["work"], "copy_file_range");
    system.succeeds("qvm-kill work");
    if copies.len() < 3 {
        qubes_test_support::skip(
            "the file system of the test shares blocks, or does not copy in the kernel",
        );
        return;
    }
    fs::remove_file(system.path("/var/lib/qubes/appvms/work/private-precache.img")).unwrap();
    let before = stop_mark(&system);
    let start = start_stopped_at(&system, "qvm-start", &["work"], &copies[0]);
    let kill = Running::begin(&system, "qvm-kill", &["work"]);
    wait_until("the kill has begun", || stop_mark(&system) != before);
    let ((start, trace), kill) = (start.resume_traced(), kill.end());
    assert_eq!((kill.code, start.code), (0, 1), "{kill:?} {start:?}");
    assert!(start.stderr.contains(CANCELLED), "{start:?}");
    let copied = |line: &&str| line.starts_with("copy_file_range(") && line.ends_with("= 67108864");
    assert_eq!(
        trace.lines().filter(copied).count(),
        1,
        "it copied on: {trace}"
    );
}

/// Returns a kernel that powers off at the second press of the power button, like a guest that was
/// not listening at the first.
fn kernel_for_second_press() -> Vec<u8> {
    /// The offset of the interrupt handler.
    const HANDLER: usize = 0x59;
    #[rustfmt::skip]
    let mut first: Vec<u8> = vec![
        0x66, 0xba, 0x00, 0x06, // mov $0x600,%dx: PM1 status
        0x66, 0xb8, 0x00, 0x01, // mov $0x100,%ax: forget the press
        0x66, 0xef, // out %ax,(%dx)
        0xb0, 0x20, // mov $0x20,%al: the interrupt is over
        0xe6, 0xa0, // out %al,$0xa0
        0xe6, 0x20, // out %al,$0x20
        0xfe, 0x0d, 0, 0, 0x10, 0, // decb (presses)
        0x74, 0x01, // je: power off
        0xcf, // iret
    ];
    let more = u8::try_from(first.len()).unwrap();
    let presses = tiny_guest::KERNEL.len() as u8 + more;
    first[18] = presses;
    let mut kernel = tiny_guest::KERNEL.to_vec();
    // Everything behind the handler moves: its addresses, and the end of the image.
    for address in [0x14, 0x18] {
        kernel[address] = presses + 1;
    }
    for address in [0x27, 0x2e, 0x45, 0x6e + 2] {
        kernel[address] += more;
    }
    kernel.splice(HANDLER..HANDLER, first);
    kernel.push(2);
    kernel
}

/// Creates a system whose running qube `work` reacts only to the second press of its power button.
fn system_with_slow_guest() -> Option<TestSystem> {
    let system = system_booting(&kernel_for_second_press())?;
    create(&system, "work", "");
    system.succeeds("qvm-prefs work shutdown_timeout 60");
    system.succeeds("qvm-start work");
    wait_for_greetings(&system, "work", 1);
    Some(system)
}

#[test]
fn shutdown_with_wait_repeats_the_request_to_a_guest_that_missed_the_first() {
    let Some(system) = system_with_slow_guest() else {
        return;
    };
    let ran = system.run("qvm-shutdown --wait work");
    // Nothing timed out.
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert!(!is_active(&system));
}

#[test]
fn shutdown_without_wait_repeats_the_request_to_a_guest_that_missed_the_first() {
    let Some(system) = system_with_slow_guest() else {
        return;
    };
    let ran = system.run("qvm-shutdown work");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    wait_until("the guest is gone", || !is_active(&system));
    wait_until("neither monitor nor repeater is left", || {
        monitors(&system, "work").is_empty()
    });
}

#[test]
fn shutdown_requests_are_not_repeated_to_a_later_run() {
    let Some(system) = system_with_slow_guest() else {
        return;
    };
    system.succeeds("qvm-shutdown work");
    system.succeeds("qvm-kill work");
    system.succeeds("qvm-start work");
    // Only the monitor of the new run remains.
    wait_until("the repeater has exited", || {
        monitors(&system, "work").len() == 1
    });
    assert!(is_active(&system));
}

#[test]
fn a_kill_destroys_the_domain_of_a_qube_with_an_invalid_record_and_fails() {
    let Some(system) = system_with_empty_guests() else {
        return;
    };
    create(&system, "work", "");
    system.succeeds("qvm-start work");
    fs::write(system.record("work"), "no record").unwrap();
    let ran = system.run("qvm-kill work");
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(!is_active(&system));
    fs::remove_file(system.record("work")).unwrap();
    monitors(&system, "work")
        .into_iter()
        .for_each(|pid| signal(pid, nix::sys::signal::Signal::SIGKILL));
    system.succeeds("qubes-recover");
}

#[test]
fn a_kill_that_is_killed_at_any_point_is_finished_by_the_next_kill() {
    let Some(system) = system_with_empty_guests() else {
        return;
    };
    create(&system, "work", "");
    system.succeeds("qvm-start work");
    let calls = calls_of(&system, "qvm-kill", &["work"], CHANGES_AND_REQUESTS);
    let mut killed = 0;
    for call in distinct_kill_points(&calls) {
        system.succeeds("qvm-start --skip-if-running work");
        killed += usize::from(run_killed_at(&system, "qvm-kill", &["work"], call).code != 0);
        system.succeeds("qvm-kill work");
        assert!(!is_active(&system), "{}", call.line);
        wait_until("the stop is finished", || !system.record("work").exists());
    }
    assert!(killed > 2, "{killed} of {} were killed", calls.len());
}

/// Reads the standard error of a command until a line contains `words`, and returns it.
fn wait_for_line(running: &mut Running, words: &str) -> String {
    let lines = BufReader::new(running.0.stderr.take().unwrap()).lines();
    lines
        .map(Result::unwrap)
        .find(|line| line.contains(words))
        .unwrap_or_else(|| panic!("it never said: {words}"))
}

#[test]
fn a_long_wait_for_a_lock_reports_its_holder() {
    let Some(system) = system_with_empty_guests() else {
        return;
    };
    create(&system, "work", "");
    let calls = calls_of_start(&system);
    system.succeeds("qvm-kill work");
    let start = start_stopped_at(
        &system,
        "qvm-start",
        &["work"],
        distinct_kill_points(&calls)[1],
    );
    let mut kill = Running::begin(&system, "qvm-kill", &["work"]);
    let line = wait_for_line(&mut kill, "waiting for ");
    assert!(
        line.starts_with("waiting for pid ") && line.contains("qvm-start work"),
        "{line}"
    );
    start.resume();
    assert_eq!(kill.end().code, 0);

    // Now the lock of the store, held by this process.
    let options = SystemOptions {
        root: Some(system.root().to_path_buf()),
        ..SystemOptions::default()
    };
    let context = Context::new(System::new(options).unwrap());
    let write = context.write().unwrap();
    let mut change = Running::begin(&system, "qvm-prefs", &["work", "memory", "500"]);
    let line = wait_for_line(&mut change, "waiting for ");
    assert!(
        line.starts_with(&format!("waiting for pid {} (", std::process::id())),
        "{line}"
    );
    assert!(line.ends_with("qubes.xml"), "{line}");
    drop(write);
    assert_eq!(change.end().code, 0);
}

#[test]
fn a_monitor_inherits_no_files_directory_or_secrets() {
    let Some(system) = system_with_empty_guests() else {
        return;
    };
    create(&system, "work", "");
    let held = system.path("/held");
    let start = system.command("qvm-start work");
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "exec 7>>\"$0\"; exec \"$@\""])
        .arg(&held)
        .arg(start.get_program())
        .args(start.get_args());
    shell.envs(
        start
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let directory = system.path("/var/lib");
    let ran = ToolOutput::new(
        shell
            .env("SECRET", "token")
            .current_dir(&directory)
            .output()
            .unwrap(),
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    let monitor = wait_for_monitor(&system, "work");
    let of_monitor = |what: &str| std::path::PathBuf::from(format!("/proc/{monitor}/{what}"));
    let open = fs::read_dir(of_monitor("fd"))
        .unwrap()
        .filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
    assert!(
        !open.into_iter().any(|file| file == held),
        "it keeps the caller's file"
    );
    assert_eq!(
        fs::read_link(of_monitor("cwd")).unwrap(),
        std::path::Path::new("/")
    );
    let environment = fs::read(of_monitor("environ")).unwrap();
    let environment = String::from_utf8_lossy(&environment).into_owned();
    assert!(
        environment.contains("PATH=") && !environment.contains("SECRET"),
        "{environment}"
    );
    system.succeeds("qvm-kill work");
}

#[test]
fn a_hanging_qemu_blocks_only_requests_to_its_own_domain() {
    let Some(system) = system_with_empty_guests() else {
        return;
    };
    create(&system, "work", "");
    create(&system, "other", "");
    system.succeeds("qvm-start work other");
    let uuid = system.uuid("work").to_string();
    let machines = qubes_test_support::own_daemon::processes(&["qemu-system", &uuid]);
    assert_eq!(machines.len(), 1, "{machines:?}");
    signal(machines[0], nix::sys::signal::Signal::SIGSTOP);
    // If one of these commands waited for that QEMU, it would never end.
    let questions: [(&str, &[&str]); 7] = [
        ("qvm-ls", &[]),
        ("qvm-ls", &["other"]),
        ("qvm-ls", &["--fields", "name,state,memory", "work"]),
        ("qvm-prefs", &["other"]),
        ("qvm-prefs", &["work"]),
        ("qvm-check", &["--running", "work"]),
        ("qvm-kill", &["other"]),
    ];
    for (tool, arguments) in questions {
        let begun = Instant::now();
        let mut question = Running::begin(&system, tool, arguments);
        wait_until(&format!("{tool} {arguments:?} ends"), || question.is_over());
        assert_eq!(question.end().code, 0, "{tool} {arguments:?}");
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{tool} {arguments:?}: {:?}",
            begun.elapsed()
        );
    }
    let ran = system.run("qvm-shutdown work");
    assert!(
        ran.code == 1 && ran.stderr.contains("no answer within"),
        "{ran:?}"
    );
    system.succeeds("qvm-kill work");
    assert!(!is_active(&system));
}

#[test]
fn steps_are_reported_only_with_v() {
    let Some(system) = system_with_empty_guests() else {
        return;
    };
    create_netvm(&system, "net", "");
    create(&system, "work", "net");
    let words = |tool: &str, arguments: &[&str]| {
        let ran = system.run((tool, arguments));
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.stderr
    };
    let said = words("qvm-start", &["-v", "work"]);
    let steps = [
        "netvm net",
        "net: creating its domain",
        "work: taking its lock",
        "work: starting its monitor",
        "work: starting its storage",
        "work: creating its domain",
        "work: resuming its domain",
    ];
    let at: Vec<usize> = steps
        .iter()
        .map(|step| said.rfind(step).unwrap_or_else(|| panic!("{step}: {said}")))
        .collect();
    assert!(at.is_sorted(), "{said}");
    assert!(words("qvm-kill", &["-v", "work"]).contains("work: destroying its domain"));
    assert!(words("qvm-clone", &["-v", "work", "copy"]).contains("copy: creating its volumes"));
    assert!(words("qvm-remove", &["-v", "--force", "copy"]).contains("copy: removing"));
    let programs = words("qvm-start", &["-vv", "work"]);
    assert!(
        programs.contains("started ") && programs.contains("qubes-monitor"),
        "{programs}"
    );
    assert_eq!(
        words("qvm-kill", &["work"]) + &words("qvm-start", &["work"]),
        ""
    );
}
