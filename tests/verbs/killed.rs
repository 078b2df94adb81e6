//! Tools that are killed at one of their system calls.

use std::process::{Command, Stdio};

use crate::scratch::{Ran, Scratch};

/// The system calls with which names of files and directories change or go.
pub const CHANGES: &str = "rename,renameat,renameat2,unlink,unlinkat,rmdir";

/// Runs a tool that is killed when it is about to make the call number `when` of those named `calls`, in whichever of
/// its threads; a tool with fewer of them goes through. Programs that it starts are not concerned.
pub fn killed_at(scratch: &Scratch, tool: &str, arguments: &[&str], calls: &str, when: usize) -> Ran {
    let program = scratch.command(tool, arguments);
    let mut command = Command::new("strace");
    let inject = format!("inject={calls}:signal=KILL:when={when}");
    command.args(["-qq", "-o", "/dev/null", "-e", &inject]).arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Ran::of(command.stdin(Stdio::null()).output().unwrap())
}
