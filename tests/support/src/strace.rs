//! Runs programs under strace: lists their system calls, or injects a fault into one of them.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

/// A system call that a program made.
#[derive(Debug, Clone)]
pub struct Call {
    pub name: String,
    /// The number among the calls of that name in one thread, as `when=` counts.
    pub number: usize,
    /// The line of the trace without the thread: name, arguments with the paths of descriptors,
    /// result.
    pub line: String,
}

impl Call {
    pub fn describe(&self) -> String {
        format!("number {} of {}: {}", self.number, self.name, self.line)
    }
}

/// Returns the command that runs `program` under strace with these options.
pub fn strace_command(program: &Command, options: &[&str]) -> Command {
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq"])
        .args(options)
        .arg(program.get_program())
        .args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// Reads the calls from a trace, without those of the dynamic loader before Rust's runtime starts.
pub fn calls(log: &Path) -> Vec<Call> {
    let mut seen: HashMap<(String, String), usize> = HashMap::new();
    let mut calls = Vec::new();
    let mut begun = false;
    for line in std::fs::read_to_string(log).unwrap().lines() {
        let Some((thread, call)) = line.split_once(' ') else {
            continue;
        };
        let call = call.trim_start();
        let Some((name, _)) = call.split_once('(') else {
            continue;
        };
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            continue;
        }
        let number = seen
            .entry((thread.to_string(), name.to_string()))
            .or_default();
        *number += 1;
        begun |= call.starts_with("rt_sigaction(SIGPIPE");
        if begun {
            calls.push(Call {
                name: name.to_string(),
                number: *number,
                line: call.to_string(),
            });
        }
    }
    calls
}
