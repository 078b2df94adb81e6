//! Measures processes side by side. Ratios, not seconds: each round runs every command once, so
//! that other load on the machine affects all of them alike.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// A command line that is run repeatedly in the same environment.
#[derive(Clone)]
pub struct Job {
    program: PathBuf,
    arguments: Vec<String>,
    /// The environment: a store without a hypervisor, or a whole system.
    environment: Vec<(&'static str, OsString)>,
    /// Values for the argument `%`, used in turn: each write changes something.
    values: Vec<String>,
    round: usize,
}

impl Job {
    /// Creates a command for a store, offline; RUN is beside the store.
    pub fn new(program: impl Into<PathBuf>, arguments: &[&str], store: &Path) -> Job {
        let run = store.parent().unwrap_or(store);
        let place = [
            ("QUBES_XML_PATH", store.into()),
            ("XDG_RUNTIME_DIR", run.into()),
            ("QUBES_OFFLINE", "1".into()),
        ];
        Job::in_environment(program, arguments, place.into())
    }

    /// Moves RUN to another directory.
    pub fn with_run(mut self, directory: &Path) -> Job {
        self.environment.push(("XDG_RUNTIME_DIR", directory.into()));
        self
    }

    /// Creates a command for the whole system for_system a directory, with guests.
    pub fn for_system(program: impl Into<PathBuf>, arguments: &[&str], root: &Path) -> Job {
        Job::in_environment(program, arguments, vec![("QUBES_ROOT", root.into())])
    }

    fn in_environment(
        program: impl Into<PathBuf>,
        arguments: &[&str],
        environment: Vec<(&'static str, OsString)>,
    ) -> Job {
        let arguments = arguments.iter().map(|a| (*a).to_string()).collect();
        Job {
            program: program.into(),
            arguments,
            environment,
            values: Vec::new(),
            round: 0,
        }
    }

    /// Sets the values that replace the argument `%`, in turn.
    pub fn with_values(mut self, values: &[&str]) -> Job {
        self.values = values.iter().map(|v| (*v).to_string()).collect();
        self
    }

    fn command(&mut self) -> Command {
        let mut command = Command::new(&self.program);
        let value = self.values.get(self.round % self.values.len().max(1));
        self.round += 1;
        for argument in &self.arguments {
            command.arg(match value {
                Some(value) if argument == "%" => value,
                _ => argument,
            });
        }
        self.surround(&mut command);
        command.stdout(Stdio::null());
        command
    }

    /// Removes influences of the caller's environment.
    fn surround(&self, command: &mut Command) {
        for name in ["QUBES_ROOT", "QUBES_XML_PATH", "QUBES_OFFLINE"] {
            command.env_remove(name);
        }
        command
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("RUST_BACKTRACE", "0");
        command.stdin(Stdio::null()).stderr(Stdio::null());
    }

    /// Starts the command without waiting for it.
    pub fn spawn(&mut self) -> io::Result<Child> {
        self.command().spawn()
    }

    /// Runs the command once.
    ///
    /// # Errors
    /// It cannot be started, or fails.
    pub fn run(&mut self) -> io::Result<Duration> {
        let mut command = self.command();
        let began = Instant::now();
        let status = command.status()?;
        let took = began.elapsed();
        if status.success() {
            Ok(took)
        } else {
            Err(self.failed(&command, status))
        }
    }

    /// Returns the resources that one run used. They are measured by a small helper process that
    /// has only this child: the kernel keeps one sum for all children, and a child starts with the
    /// memory of its parent.
    pub fn usage(&mut self) -> io::Result<Usage> {
        let inner = self.command();
        let mut outer = Command::new(std::env::current_exe()?);
        outer
            .arg("--usage")
            .arg(inner.get_program())
            .args(inner.get_args());
        self.surround(&mut outer);
        let output = outer.output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let mut numbers = text.split_whitespace().map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(resident)), Some(Ok(microseconds))) => Ok(Usage {
                resident,
                processor: Duration::from_micros(microseconds),
            }),
            _ => Err(self.failed(&inner, output.status)),
        }
    }

    fn failed(&self, command: &Command, status: std::process::ExitStatus) -> io::Error {
        io::Error::other(format!(
            "{command:?} with {:?} ended with {status}",
            self.environment
        ))
    }
}

/// The resources used by one run of a command.
pub struct Usage {
    /// The maximum resident memory, in bytes.
    pub resident: u64,
    /// Processor time in user and kernel mode.
    pub processor: Duration,
}

/// Implements `--usage PROGRAM ARGUMENT...`: runs it as the only child, and prints bytes and
/// microseconds for [`Job::usage`].
pub fn print_usage(words: &[String]) -> ExitCode {
    let Some((program, arguments)) = words.split_first() else {
        return ExitCode::from(2);
    };
    let run = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .status();
    match (run, getrusage(UsageWho::RUSAGE_CHILDREN)) {
        (Ok(status), Ok(usage)) if status.success() => {
            let processor = usage.user_time() + usage.system_time();
            // ru_maxrss is in KiB: getrusage(2).
            println!(
                "{} {}",
                usage.max_rss() * 1024,
                processor.num_microseconds()
            );
            ExitCode::SUCCESS
        }
        _ => ExitCode::FAILURE,
    }
}

/// Runs the jobs run_alternately, `rounds` times after one round that is not counted; returns the times
/// of each job, in the order of the rounds.
pub fn run_alternately(jobs: &mut [Job], rounds: usize) -> io::Result<Vec<Vec<Duration>>> {
    let mut times = vec![Vec::with_capacity(rounds); jobs.len()];
    for round in 0..=rounds {
        for (job, times) in jobs.iter_mut().zip(&mut times) {
            let took = job.run()?;
            if round > 0 {
                times.push(took);
            }
        }
    }
    Ok(times)
}

/// Returns the median over the rounds of the ratio of `times` to `reference`. The speed of the
/// machine may change between rounds, but is the same for both jobs of one round.
pub fn median_ratio(times: &[Duration], reference: &[Duration]) -> f64 {
    let ratio =
        |(a, b): (&Duration, &Duration)| a.as_secs_f64() / b.as_secs_f64().max(f64::MIN_POSITIVE);
    let mut ratios: Vec<f64> = times.iter().zip(reference).map(ratio).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().unwrap_or_default()
}

pub fn sorted(mut times: Vec<Duration>) -> Vec<Duration> {
    times.sort_unstable();
    times
}

/// Returns the value that `share` of the sorted times do not exceed.
pub fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    let position = (share * last as f64).round() as usize;
    sorted.get(position.min(last)).copied().unwrap_or_default()
}

pub fn median(times: &[Duration]) -> Duration {
    quantile(&sorted(times.to_vec()), 0.5)
}
