//! Tools that are killed, or stopped, at one of their system calls.

use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::scratch::{Ran, Scratch, until};

/// The system calls with which names of files and directories change or go.
pub const CHANGES: &str = "rename,renameat,renameat2,unlink,unlinkat,rmdir";
/// The same and the orders to libvirt: the waits of a conversation, before an order is sent and
/// before it is answered, and the threads and programs that are started, for some orders are given
/// in a thread of their own. Which call libvirt waits with depends on how it was compiled (Debian
/// 13: ppoll).
pub const CHANGES_AND_ORDERS: &str =
    "rename,renameat,renameat2,unlink,unlinkat,rmdir,poll,ppoll,clone,clone3";

/// A system call that a run made in its first thread.
#[derive(Debug)]
pub struct Call {
    name: String,
    /// Which of its name it is.
    number: usize,
    /// With its arguments and its result.
    pub line: String,
}

impl Call {
    /// Whether it puts the record of this qube in place.
    pub fn publishes_record_of(&self, qube: &str) -> bool {
        let is_target = format!("\"{qube}\")");
        self.name.starts_with("rename")
            && self.line.contains("/run/qubes/vm>")
            && self.line.contains(&is_target)
    }

    /// Whether it waits in a conversation with libvirt.
    pub fn is_wait(&self) -> bool {
        ["poll", "ppoll"].contains(&self.name.as_str())
    }
}

/// Runs a tool that is killed when it is about to make this call; one that does not come to it goes
/// through. Programs that it starts are not concerned.
pub fn killed_at(scratch: &Scratch, tool: &str, arguments: &[&str], call: &Call) -> Ran {
    let inject = format!("inject={}:signal=KILL:when={}", call.name, call.number);
    Ran::of(
        traced(
            scratch,
            tool,
            arguments,
            &["-o", "/dev/null", "-e", &inject],
        )
        .output()
        .unwrap(),
    )
}

/// A tool that stopped at a call.
pub struct Stopped {
    tracer: Child,
    log: tempfile::NamedTempFile,
    /// `None`: it went through, with fewer calls than expected.
    tool: Option<Pid>,
}

/// Starts a tool that stops (SIGSTOP) at that call, and waits until it has.
pub fn stopped_at(scratch: &Scratch, tool: &str, arguments: &[&str], call: &Call) -> Stopped {
    let inject = format!("inject={}:signal=STOP:when={}", call.name, call.number);
    // Not in the scratch directory, whose disk may be about to run full.
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = traced(
        scratch,
        tool,
        arguments,
        &["-o", log.path().to_str().unwrap(), "-e", &inject],
    );
    let mut tracer = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut through = false;
    until("the tool stopped", || {
        through = tracer.try_wait().unwrap().is_some();
        through
            || std::fs::read_to_string(log.path())
                .is_ok_and(|text| text.contains("stopped by SIGSTOP"))
    });
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", tracer.id()))
        .unwrap_or_default();
    let tool = children
        .split_whitespace()
        .next()
        .and_then(|pid| pid.parse().ok())
        .filter(|_| !through);
    Stopped {
        tracer,
        log,
        tool: tool.map(Pid::from_raw),
    }
}

impl Stopped {
    /// Lets it go on to its end.
    pub fn go_on(self) -> Ran {
        self.go_on_traced().0
    }

    /// The same; also returns what strace wrote of it: all calls of the name at which it stopped.
    pub fn go_on_traced(self) -> (Ran, String) {
        self.tool
            .iter()
            .for_each(|tool| kill(*tool, Signal::SIGCONT).unwrap());
        let ran = Ran::of(self.tracer.wait_with_output().unwrap());
        (ran, std::fs::read_to_string(self.log.path()).unwrap())
    }
}

/// The calls of these names that a run makes.
pub fn calls_of(scratch: &Scratch, tool: &str, arguments: &[&str], names: &str) -> Vec<Call> {
    let log = tempfile::NamedTempFile::new().unwrap();
    let only = format!("trace={names}");
    let ran = Ran::of(
        traced(
            scratch,
            tool,
            arguments,
            &["-y", "-o", log.path().to_str().unwrap(), "-e", &only],
        )
        .output()
        .unwrap(),
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    let mut calls: Vec<Call> = Vec::new();
    for line in std::fs::read_to_string(log.path()).unwrap().lines() {
        let Some((name, _)) = line.split_once('(') else {
            continue;
        };
        let number = calls.iter().filter(|call| call.name == name).count() + 1;
        calls.push(Call {
            name: name.to_string(),
            number,
            line: line.to_string(),
        });
    }
    // Rust's runtime looks at the standard streams before anything else.
    calls.retain(|call| !call.is_wait() || call.line.contains("<socket:"));
    calls
}

/// The calls of a start from its record on: until then it leaves no trace.
pub fn calls_of_start(scratch: &Scratch) -> Vec<Call> {
    let mut calls = calls_of(scratch, "qvm-start", &["work"], CHANGES_AND_ORDERS);
    let first = calls
        .iter()
        .position(|call| call.publishes_record_of("work"))
        .unwrap();
    calls.drain(..first);
    calls
}

/// Those at which a kill leaves another state than at the one before: changes that were made, and
/// orders to libvirt that are sent and not answered.
pub fn telling(calls: &[Call]) -> Vec<&Call> {
    let mut waits = 0;
    let tells = |call: &&Call| {
        waits = if call.is_wait() { waits + 1 } else { 0 };
        if call.is_wait() {
            waits % 2 == 0
        } else {
            !call.line.contains("ENOENT")
        }
    };
    calls.iter().filter(tells).collect()
}

fn traced(scratch: &Scratch, tool: &str, arguments: &[&str], options: &[&str]) -> Command {
    let program = scratch.command(tool, arguments);
    let mut command = Command::new("strace");
    command
        .arg("-qq")
        .args(options)
        .arg(program.get_program())
        .args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.stdin(Stdio::null());
    command
}
