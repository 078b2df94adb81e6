//! Runs the real tools and returns their output.
//! Included with `#[path = "support/tool_output.rs"] mod tool_output;`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The exit code and output of a tool.
#[derive(Debug)]
pub struct ToolOutput {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl ToolOutput {
    /// Returns the errors and warnings on standard error: all lines except hints and notices of
    /// waiting for another process, which can appear anywhere on a busy machine.
    #[allow(
        dead_code,
        reason = "each test program includes this file, and not every one asks"
    )]
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
    ToolOutput {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Returns the path of a program of this build.
pub fn binary(tool: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_qubes")).with_file_name(tool)
}
