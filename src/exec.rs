//! Runs other programs; no other module does. Never uses a shell: a program gets a list of
//! arguments, not a command line.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Why a program could not be run, or failed.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The program cannot be started, or not waited for.
    #[error("cannot run {program}: {}", crate::fs::errno_text(source))]
    Start {
        /// File name of the program, without its directory.
        program: String,
        /// The error of the system call.
        source: io::Error,
    },
    /// The program ran longer than its limit, and was killed.
    #[error("{program} did not finish within {seconds} s and was ended")]
    TimedOut {
        /// File name of the program, without its directory.
        program: String,
        /// The limit, in whole seconds.
        seconds: u64,
    },
    /// The program ended with a status other than 0.
    #[error("{program} failed ({status}){complaint}")]
    Failed {
        /// File name of the program, without its directory.
        program: String,
        /// Its exit code, or the signal that ended it.
        status: String,
        /// ": " and the last line of its standard error; empty if it wrote none.
        complaint: String,
    },
}

/// A program to run: its name or path, arguments, environment, input and time limit.
#[derive(Debug, Clone)]
pub struct Program {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    input: Vec<u8>,
    timeout: Option<Duration>,
}

/// The exit status and output of a program.
#[derive(Debug)]
pub struct ProgramOutput {
    /// Exit status of the program.
    pub status: ExitStatus,
    /// All bytes that it wrote to its standard output.
    pub stdout: Vec<u8>,
    /// All bytes that it wrote to its standard error.
    pub stderr: Vec<u8>,
}

impl Program {
    /// Describes a call of `program`, a path or a name that is looked up in PATH, without
    /// arguments.
    pub fn new(program: impl AsRef<OsStr>) -> Program {
        Program {
            program: program.as_ref().into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            input: Vec::new(),
            timeout: None,
        }
    }

    /// Appends an argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Program {
        self.arguments.push(argument.as_ref().into());
        self
    }

    /// Appends arguments, in order.
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Program {
        self.arguments
            .extend(arguments.into_iter().map(|a| a.as_ref().into()));
        self
    }

    /// Sets a variable in the program's environment.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Program {
        self.environment
            .push((name.as_ref().into(), value.as_ref().into()));
        self
    }

    /// Sets the bytes that the program reads from standard input; by default there are none.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Program {
        self.input = bytes.into();
        self
    }

    /// Sets the time after which the program is killed; by default there is no limit.
    pub fn timeout(mut self, timeout: Duration) -> Program {
        self.timeout = Some(timeout);
        self
    }

    /// Runs the program to its end and returns its output, whatever its exit status.
    ///
    /// # Errors
    /// The program cannot be started, or did not end in time.
    pub fn run(&self) -> Result<ProgramOutput, ExecError> {
        let begun = Instant::now();
        let output = self.run_unlogged();
        self.log(
            begun,
            output.as_ref().map_or_else(ExecError::to_string, |output| {
                describe_status(output.status)
            }),
        );
        output
    }

    fn run_unlogged(&self) -> Result<ProgramOutput, ExecError> {
        let mut child = self
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| self.cannot_start(source))?;
        let (mut stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        thread::scope(|scope| {
            let out = scope.spawn(move || read_all(stdout));
            let err = scope.spawn(move || read_all(stderr));
            scope.spawn(move || {
                // A program need not read its input to the end.
                let _closed_early = stdin.take().map(|mut pipe| pipe.write_all(&self.input));
            });
            let status = self.wait(&mut child);
            let (stdout, stderr) = (
                out.join().unwrap_or_default(),
                err.join().unwrap_or_default(),
            );
            Ok(ProgramOutput {
                status: status?,
                stdout,
                stderr,
            })
        })
    }

    /// Runs the program and returns its standard output.
    ///
    /// # Errors
    /// The errors of [`Program::run`]; also an exit status other than 0, with the last line of
    /// standard error.
    pub fn output(&self) -> Result<Vec<u8>, ExecError> {
        let output = self.run()?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        let complaint = stderr
            .lines()
            .rfind(|l| !l.trim().is_empty())
            .map(|l| format!(": {}", l.trim()));
        Err(ExecError::Failed {
            program: self.name(),
            status: describe_status(output.status),
            complaint: complaint.unwrap_or_default(),
        })
    }

    /// Starts the program as a daemon and does not wait for it. It runs in `/`, with standard input
    /// and output on /dev/null and standard error in `log`. It inherits no other descriptors, and
    /// of the environment only the variables for which `keeps` is true. [`Program::env`] adds to
    /// them.
    pub fn spawn_detached(&self, log: File, keeps: impl Fn(&str) -> bool) -> Result<(), ExecError> {
        // Descriptors opened by this process are close-on-exec already. Inherited ones (a lock, a
        // pipe, a terminal) must not stay open in a daemon.
        close_fds::set_fds_cloexec_threadsafe(3, &[]);
        let kept = std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(&keeps));
        self.command()
            .env_clear()
            .envs(kept)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map(|child| log::debug!("started {} as process {}", self.command_line(), child.id()))
            .map_err(|source| self.cannot_start(source))
    }

    /// Runs the program on the user's terminal, with this process's standard input and output, and
    /// waits for its end without a time limit.
    pub fn run_interactive(&self) -> Result<ExitStatus, ExecError> {
        let begun = Instant::now();
        let status = self
            .command()
            .status()
            .map_err(|source| self.cannot_start(source));
        self.log(
            begun,
            status
                .as_ref()
                .map_or_else(ExecError::to_string, |status| describe_status(*status)),
        );
        status
    }

    fn log(&self, begun: Instant, outcome: String) {
        log::debug!(
            "ran {}: {outcome}, {} ms",
            self.command_line(),
            begun.elapsed().as_millis()
        );
    }

    /// Returns the program and its arguments separated by spaces, without quoting, for the log.
    fn command_line(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.arguments);
        words
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(n, v)| (n, v)));
        command
    }

    fn wait(&self, child: &mut Child) -> Result<ExitStatus, ExecError> {
        let Some(timeout) = self.timeout else {
            return child.wait().map_err(|source| self.cannot_start(source));
        };
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = child
                .try_wait()
                .map_err(|source| self.cannot_start(source))?
            {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                // The program may have ended by itself meanwhile; `wait` reaps it in both cases.
                let _killed = child.kill();
                let _reaped = child.wait();
                return Err(ExecError::TimedOut {
                    program: self.name(),
                    seconds: timeout.as_secs(),
                });
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn name(&self) -> String {
        Path::new(&self.program)
            .file_name()
            .unwrap_or(&self.program)
            .to_string_lossy()
            .into_owned()
    }

    fn cannot_start(&self, source: io::Error) -> ExecError {
        ExecError::Start {
            program: self.name(),
            source,
        }
    }
}

/// Returns the first file called `program` in the directories of `path`, for callers that choose
/// between programs.
pub fn find_program(program: &str, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path)
        .map(|dir| dir.join(program))
        .find(|candidate| candidate.is_file())
}

fn read_all(pipe: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        // Keep what was read before an error.
        let _broken = pipe.read_to_end(&mut bytes);
    }
    bytes
}

fn describe_status(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no status".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_output_failure_and_time_limit_of_a_program_are_handled() {
        assert_eq!(
            Program::new("cat").input("hello").output().unwrap(),
            b"hello"
        );
        let error = Program::new("sh")
            .args(["-c", "echo why >&2; exit 3"])
            .output()
            .unwrap_err();
        assert_eq!(error.to_string(), "sh failed (exit code 3): why");
        let error = Program::new("sleep")
            .arg("60")
            .timeout(Duration::from_millis(30))
            .output()
            .unwrap_err();
        assert!(matches!(error, ExecError::TimedOut { .. }));
        let error = Program::new("/nonexistent/tool").output().unwrap_err();
        assert!(
            error.to_string().starts_with("cannot run tool: "),
            "{error}"
        );
    }
}
