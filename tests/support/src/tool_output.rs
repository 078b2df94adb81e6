//! The output of a tool.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// The exit code and output of a tool.
#[derive(Debug)]
pub struct ToolOutput {
    /// -1 if a signal ended the tool.
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

    /// Parses standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// Returns the errors and warnings on standard error: all lines except hints and notices of
    /// waiting for another process, which can appear anywhere on a busy machine.
    pub fn complaints(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.stderr
            .lines()
            .filter(|line| !line.starts_with("hint: ") && !line.starts_with("waiting for "))
    }

    /// Returns the output as if the tool had run in this root directory.
    pub fn inside(self, root: &Path) -> ToolOutput {
        let root = format!("{}/", root.display());
        ToolOutput {
            stdout: self.stdout.replace(&root, "/"),
            stderr: self.stderr.replace(&root, "/"),
            ..self
        }
    }
}

/// Runs the command to its end, without the store and offline mode of this process's environment.
pub fn run(command: &mut Command) -> ToolOutput {
    for variable in ["QUBES_XML_PATH", "QUBES_OFFLINE"] {
        if !command.get_envs().any(|(name, _)| name == variable) {
            command.env_remove(variable);
        }
    }
    let output = command
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .output();
    ToolOutput::new(output.unwrap())
}

/// Waits for the end of a tool with pipes.
pub fn wait_for(child: Child) -> ToolOutput {
    ToolOutput::new(child.wait_with_output().unwrap())
}
