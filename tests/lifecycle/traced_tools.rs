//! Runs of tools under strace that are killed or stopped at one of their system calls.

use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use qubes_test_support::{TestSystem, ToolOutput, wait_until};

/// The system calls that rename or remove files and directories.
pub const CHANGES: &str = "rename,renameat,renameat2,unlink,unlinkat,rmdir";
/// The system calls that rename or remove files, and those around requests to libvirt: the waits of
/// a conversation, before a request is sent and before it is answered, and the starts of threads
/// and programs, since some requests are made in a thread of their own. Which call libvirt waits
/// with depends on how it was compiled (Debian 13: ppoll).
pub const CHANGES_AND_REQUESTS: &str =
    "rename,renameat,renameat2,unlink,unlinkat,rmdir,poll,ppoll,clone,clone3";

/// A system call that a run made in its first thread.
#[derive(Debug)]
pub struct Call {
    name: String,
    /// Its number among the calls of this name, from 1.
    number: usize,
    /// The line of strace: the call with its arguments and its result.
    pub line: String,
}

impl Call {
    /// Returns whether the call puts the record of this qube in place.
    pub fn publishes_record_of(&self, qube: &str) -> bool {
        let is_target = format!("\"{qube}\")");
        self.name.starts_with("rename")
            && self.line.contains("/run/qubes/vm>")
            && self.line.contains(&is_target)
    }

    /// Returns whether the call waits in a conversation with libvirt.
    pub fn is_wait(&self) -> bool {
        ["poll", "ppoll"].contains(&self.name.as_str())
    }
}

/// Runs a tool that is killed right before this call; a run without such a call goes through.
/// Programs that it starts are not affected.
pub fn run_killed_at(
    system: &TestSystem,
    tool: &str,
    arguments: &[&str],
    call: &Call,
) -> ToolOutput {
    let inject = format!("inject={}:signal=KILL:when={}", call.name, call.number);
    ToolOutput::new(
        traced(system, tool, arguments, &["-o", "/dev/null", "-e", &inject])
            .output()
            .unwrap(),
    )
}

/// A tool that was stopped at a call.
pub struct StoppedTool {
    tracer: Child,
    log: tempfile::NamedTempFile,
    /// `None` if it went through, with fewer calls than expected.
    tool: Option<Pid>,
}

/// Starts a tool that is stopped (SIGSTOP) at this call, and waits for that.
pub fn start_stopped_at(
    system: &TestSystem,
    tool: &str,
    arguments: &[&str],
    call: &Call,
) -> StoppedTool {
    let inject = format!("inject={}:signal=STOP:when={}", call.name, call.number);
    // Not in the system directory: its disk may be about to run full.
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = traced(
        system,
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
    wait_until("the tool stopped", || {
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
    StoppedTool {
        tracer,
        log,
        tool: tool.map(Pid::from_raw),
    }
}

impl StoppedTool {
    /// Resumes the tool and waits for its end.
    pub fn resume(self) -> ToolOutput {
        self.resume_traced().0
    }

    /// Resumes the tool and waits for its end. Also returns the output of strace: all calls of the
    /// name at which it was stopped.
    pub fn resume_traced(self) -> (ToolOutput, String) {
        self.tool
            .iter()
            .for_each(|tool| kill(*tool, Signal::SIGCONT).unwrap());
        let ran = ToolOutput::new(self.tracer.wait_with_output().unwrap());
        (ran, std::fs::read_to_string(self.log.path()).unwrap())
    }
}

/// Returns the calls of these names that a run makes.
pub fn calls_of(system: &TestSystem, tool: &str, arguments: &[&str], names: &str) -> Vec<Call> {
    let log = tempfile::NamedTempFile::new().unwrap();
    let only = format!("trace={names}");
    let ran = ToolOutput::new(
        traced(
            system,
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
    // Rust's runtime polls the standard streams before anything else.
    calls.retain(|call| !call.is_wait() || call.line.contains("<socket:"));
    calls
}

/// Returns the calls of a start from its record on: before that it leaves no trace.
pub fn calls_of_start(system: &TestSystem) -> Vec<Call> {
    let mut calls = calls_of(system, "qvm-start", &["work"], CHANGES_AND_REQUESTS);
    let first = calls
        .iter()
        .position(|call| call.publishes_record_of("work"))
        .unwrap();
    calls.drain(..first);
    calls
}

/// Returns the calls at which a kill leaves a different state than at the one before: changes that
/// succeed, and requests to libvirt that were sent and are not answered yet.
pub fn distinct_kill_points(calls: &[Call]) -> Vec<&Call> {
    let mut waits = 0;
    let is_distinct = |call: &&Call| {
        waits = if call.is_wait() { waits + 1 } else { 0 };
        if call.is_wait() {
            waits % 2 == 0
        } else {
            !call.line.contains("ENOENT")
        }
    };
    calls.iter().filter(is_distinct).collect()
}

fn traced(system: &TestSystem, tool: &str, arguments: &[&str], options: &[&str]) -> Command {
    let program = system.command((tool, arguments));
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
