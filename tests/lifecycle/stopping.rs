//! Stopped means stopped: a kill or shutdown that ends with 0 leaves the qube off, whatever a start does meanwhile.

use std::fs;
use std::process::{Child, Stdio};

use qubes::hypervisor::Hypervisor;

use crate::killed::{Call, calls_of, calls_of_start, stopped_at, telling};
use crate::place::{
    create, create_netvm, hypervisor, in_shares, monitors, signal, system_booting, system_that_boots_nothing,
    wait_for_greetings,
};
use crate::scratch::{Ran, Scratch, until};
use crate::tiny_guest;

const ENDED: &str = "it was killed or shut down while it started";

/// What ends a qube, each as a script would use it.
const VERBS: [(&str, &[&str]); 5] = [
    ("qvm-kill", &["work"]),
    ("qvm-shutdown", &["--wait", "work"]),
    ("qvm-kill", &["--all"]),
    ("qvm-shutdown", &["--all", "--wait"]),
    ("qvm-shutdown", &["work"]),
];

/// A command that goes on while the test does something else.
struct Running(Child);

impl Running {
    fn begin(scratch: &Scratch, tool: &str, arguments: &[&str]) -> Running {
        let mut command = scratch.command(tool, arguments);
        Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    fn end(self) -> Ran {
        Ran::of(self.0.wait_with_output().unwrap())
    }

    fn is_over(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

fn stop_mark(scratch: &Scratch) -> Option<Vec<u8>> {
    fs::read(scratch.path("/run/qubes/stop/work")).ok()
}

fn is_active(scratch: &Scratch) -> bool {
    hypervisor().state(scratch.uuid("work")).unwrap().is_some_and(|live| live.state.is_active())
}

/// Stops a start at `call`, begins the verb, lets the start go on; returns what both said, the start first.
fn stop_in_start(scratch: &Scratch, call: &Call, (tool, arguments): (&str, &[&str])) -> [Ran; 2] {
    let before = stop_mark(scratch);
    let start = stopped_at(scratch, "qvm-start", &["work"], call);
    let mut verb = Running::begin(scratch, tool, arguments);
    // The mark is the first thing that it leaves; a shutdown leaves none when the guest can be asked.
    until("the verb has begun", || stop_mark(scratch) != before || verb.is_over());
    [start.go_on(), verb.end()]
}

#[test]
fn a_stop_that_comes_at_any_point_of_a_start_ends_with_the_qube_off() {
    in_shares(2, |is_mine| {
        let Some(scratch) = system_that_boots_nothing() else { return };
        create(&scratch, "work", "");
        let calls = calls_of_start(&scratch);
        scratch.ok("qvm-kill", &["work"]);
        let points = telling(&calls);
        assert!(points.len() > 8, "{calls:#?}");
        let mut ended = 0;
        for (when, call) in points.into_iter().enumerate().filter(|(when, _)| is_mine(*when)) {
            // A guest that boots nothing never hears a request: those that wait for it come in another test.
            let verb = if when % 4 < 2 { VERBS[0] } else { VERBS[2] };
            let [start, stop] = stop_in_start(&scratch, call, verb);
            let said = format!("{when}: {} {verb:?} {start:?} {stop:?}", call.line);
            assert_eq!(stop.code, 0, "{said}");
            assert!(!is_active(&scratch), "{said}");
            until("it is settled", || !scratch.record("work").exists());
            if start.code != 0 {
                assert!(start.stderr.contains(ENDED), "{said}");
                ended += 1;
            }
        }
        assert!(ended > 1, "only {ended} starts gave up");
    });
}

#[test]
fn every_verb_that_stops_ends_a_start_that_has_no_domain_yet() {
    let Some(scratch) = system_that_boots_nothing() else { return };
    create(&scratch, "work", "");
    let calls = calls_of_start(&scratch);
    scratch.ok("qvm-kill", &["work"]);
    // The first is the one that publishes the record.
    let after_record = telling(&calls)[1];
    for verb in VERBS {
        let [start, stop] = stop_in_start(&scratch, after_record, verb);
        assert_eq!(stop.code, 0, "{verb:?}: {stop:?}");
        assert_eq!(start.code, 1, "{verb:?}: {start:?}");
        assert!(start.stderr.contains(ENDED), "{verb:?}: {start:?}");
        assert!(!is_active(&scratch), "{verb:?}");
        assert!(!scratch.images("appvms/work").iter().any(|image| image.contains("dirty")), "{verb:?}");
        until("nobody watches", || monitors(&scratch, "work").is_empty());
    }
    // A start that begins afterwards is not concerned.
    scratch.ok("qvm-start", &["work"]);
    scratch.ok("qvm-kill", &["work"]);
}

#[test]
fn a_qube_that_is_killed_while_its_netvm_starts_is_not_started_afterwards() {
    let Some(scratch) = system_that_boots_nothing() else { return };
    create_netvm(&scratch, "net", "");
    create(&scratch, "work", "net");
    let calls = calls_of(&scratch, "qvm-start", &["work"], "rename,renameat,renameat2");
    scratch.ok("qvm-kill", &["work", "net"]);
    let netvms_record = calls.iter().find(|call| call.line.contains("/run/qubes/vm/net")).unwrap();
    let [start, kill] = stop_in_start(&scratch, netvms_record, VERBS[0]);
    assert_eq!((kill.code, start.code), (0, 1), "{kill:?} {start:?}");
    assert!(start.stderr.contains(ENDED), "{start:?}");
    assert_eq!((scratch.state("work").as_str(), scratch.state("net").as_str()), ("Halted", "Running"));
}

#[test]
fn a_netvm_that_is_killed_in_its_start_ends_the_start_of_its_client() {
    let Some(scratch) = system_that_boots_nothing() else { return };
    create_netvm(&scratch, "net", "");
    create(&scratch, "client", "net");
    let calls = calls_of(&scratch, "qvm-start", &["client"], "rename,renameat,renameat2");
    scratch.ok("qvm-kill", &["client", "net"]);
    let netvms_record = calls.iter().find(|call| call.line.contains("/run/qubes/vm/net")).unwrap();
    let mark = || fs::read(scratch.path("/run/qubes/stop/net")).unwrap();
    let before = mark();
    let start = stopped_at(&scratch, "qvm-start", &["client"], netvms_record);
    let kill = Running::begin(&scratch, "qvm-kill", &["net"]);
    until("the kill has begun", || mark() != before);
    let (start, kill) = (start.go_on(), kill.end());
    assert_eq!((kill.code, start.code), (0, 1), "{kill:?} {start:?}");
    assert!(start.stderr.contains("its netvm net does not start"), "{start:?}");
    assert_eq!((scratch.state("client").as_str(), scratch.state("net").as_str()), ("Halted", "Halted"));
}

#[test]
fn a_kill_ends_the_copy_of_a_volume_that_a_start_waits_for() {
    let Some(scratch) = system_that_boots_nothing() else { return };
    create(&scratch, "work", "");
    // More than is copied at once, and nothing copied in advance.
    let private = scratch.path("/var/lib/qubes/appvms/work/private.img");
    let data = vec![b'x'; 150 << 20];
    fs::write(&private, data).unwrap();
    let copies = calls_of(&scratch, "qvm-start", &["work"], "copy_file_range");
    scratch.ok("qvm-kill", &["work"]);
    if copies.len() < 3 {
        crate::skip::skip("the file system of the test shares blocks, or does not copy in the kernel");
        return;
    }
    fs::remove_file(scratch.path("/var/lib/qubes/appvms/work/private-precache.img")).unwrap();
    let before = stop_mark(&scratch);
    let start = stopped_at(&scratch, "qvm-start", &["work"], &copies[0]);
    let kill = Running::begin(&scratch, "qvm-kill", &["work"]);
    until("the kill has begun", || stop_mark(&scratch) != before);
    let ((start, trace), kill) = (start.go_on_traced(), kill.end());
    assert_eq!((kill.code, start.code), (0, 1), "{kill:?} {start:?}");
    assert!(start.stderr.contains(ENDED), "{start:?}");
    let copied = |line: &&str| line.starts_with("copy_file_range(") && line.ends_with("= 67108864");
    assert_eq!(trace.lines().filter(copied).count(), 1, "it copied on: {trace}");
}

/// A kernel that powers off when the power button is pressed for the second time: one that was not listening.
fn kernel_that_hears_the_second_press() -> Vec<u8> {
    /// Where the interrupt is handled.
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
    // What lies behind the handler moves: its addresses, and the end of the image.
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

/// A system whose qube `work` runs and hears only the second press of its power button.
fn system_with_a_guest_that_boots_slowly() -> Option<Scratch> {
    let scratch = system_booting(&kernel_that_hears_the_second_press())?;
    create(&scratch, "work", "");
    scratch.ok("qvm-prefs", &["work", "shutdown_timeout", "60"]);
    scratch.ok("qvm-start", &["work"]);
    wait_for_greetings(&scratch, "work", 1);
    Some(scratch)
}

#[test]
fn a_guest_that_does_not_hear_the_first_request_is_asked_again_while_it_is_waited_for() {
    let Some(scratch) = system_with_a_guest_that_boots_slowly() else { return };
    let ran = scratch.run("qvm-shutdown", &["--wait", "work"]);
    // Nothing timed out.
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert!(!is_active(&scratch));
}

#[test]
fn a_guest_that_does_not_hear_the_first_request_is_asked_again_when_nobody_waits() {
    let Some(scratch) = system_with_a_guest_that_boots_slowly() else { return };
    let ran = scratch.run("qvm-shutdown", &["work"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    until("the guest is gone", || !is_active(&scratch));
    until("nobody watches or asks", || monitors(&scratch, "work").is_empty());
}

#[test]
fn a_request_to_shut_down_ends_with_the_run_that_it_was_meant_for() {
    let Some(scratch) = system_with_a_guest_that_boots_slowly() else { return };
    scratch.ok("qvm-shutdown", &["work"]);
    scratch.ok("qvm-kill", &["work"]);
    scratch.ok("qvm-start", &["work"]);
    // Only the monitor of the new run is left.
    until("nobody asks any more", || monitors(&scratch, "work").len() == 1);
    assert!(is_active(&scratch));
}

#[test]
fn a_kill_ends_the_domain_of_a_qube_whose_record_cannot_be_read_and_says_so() {
    let Some(scratch) = system_that_boots_nothing() else { return };
    create(&scratch, "work", "");
    scratch.ok("qvm-start", &["work"]);
    fs::write(scratch.record("work"), "no record").unwrap();
    let ran = scratch.run("qvm-kill", &["work"]);
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(!is_active(&scratch));
    fs::remove_file(scratch.record("work")).unwrap();
    monitors(&scratch, "work").into_iter().for_each(|pid| signal(pid, nix::sys::signal::Signal::SIGKILL));
    scratch.ok("qubes-recover", &[]);
}
