//! Runs the real tools and returns their output.

use std::process::{Command, Output, Stdio};

pub use crate::paths::binary;

/// The exit code and output of a tool.
#[derive(Debug)]
pub struct ToolOutput {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl ToolOutput {
    pub fn new(output: Output) -> ToolOutput {
        ToolOutput {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Returns the errors and warnings on standard error: all lines except hints and notices of
    /// waiting for another process, which can appear anywhere on a busy machine.
    pub fn complaints(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.stderr
            .lines()
            .filter(|line| !line.starts_with("hint: ") && !line.starts_with("waiting for "))
    }
}

/// Runs the command to its end, without the store and offline mode of this process's environment.
pub fn run(command: &mut Command) -> ToolOutput {
    for variable in ["QUBES_XML_PATH", "QUBES_OFFLINE"] {
        command.env_remove(variable);
    }
    let output = command
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    ToolOutput::new(output)
}
