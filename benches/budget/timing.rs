//! Measuring processes beside each other. Ratios, not seconds: each round runs every command once, so that whatever
//! else the machine does meets all of them alike, and medians are compared.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A command line that is run again and again in the same surroundings.
#[derive(Clone)]
pub struct Job {
    program: PathBuf,
    arguments: Vec<String>,
    /// What stands for the store.
    store: PathBuf,
    /// Values for the argument `%`, one after the other: a write that changes something each time.
    values: Vec<String>,
    round: usize,
}

impl Job {
    pub fn new(program: impl Into<PathBuf>, arguments: &[&str], store: &Path) -> Job {
        let arguments = arguments.iter().map(|a| (*a).to_string()).collect();
        Job { program: program.into(), arguments, store: store.to_path_buf(), values: Vec::new(), round: 0 }
    }

    /// `%` among the arguments becomes these, in turn.
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
        command.env("QUBES_XML_PATH", &self.store).env("QUBES_OFFLINE", "1").env("RUST_BACKTRACE", "0");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Runs it once. A command that fails is no measurement.
    pub fn run(&mut self) -> io::Result<Duration> {
        let mut command = self.command();
        let began = Instant::now();
        let status = command.status()?;
        let took = began.elapsed();
        if status.success() { Ok(took) } else { Err(self.failed(&command, status)) }
    }

    /// The most memory it had at once, in bytes. Asked of a small process of our own that has only this child: the
    /// kernel keeps one maximum for all children.
    pub fn resident(&mut self) -> io::Result<u64> {
        let inner = self.command();
        let mut outer = Command::new(std::env::current_exe()?);
        outer.arg("--resident").arg(inner.get_program()).args(inner.get_args());
        outer.env("QUBES_XML_PATH", &self.store).env("QUBES_OFFLINE", "1").env("RUST_BACKTRACE", "0");
        let output = outer.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        text.trim().parse().map_err(|_| self.failed(&outer, output.status))
    }

    fn failed(&self, command: &Command, status: std::process::ExitStatus) -> io::Error {
        io::Error::other(format!("{command:?} on {} ended with {status}", self.store.display()))
    }
}

/// Runs the jobs alternately, `rounds` times after one round that does not count, and gives each one's times, sorted.
pub fn alternately(jobs: &mut [Job], rounds: usize) -> io::Result<Vec<Vec<Duration>>> {
    let mut times = vec![Vec::with_capacity(rounds); jobs.len()];
    for round in 0..=rounds {
        for (job, times) in jobs.iter_mut().zip(&mut times) {
            let took = job.run()?;
            if round > 0 {
                times.push(took);
            }
        }
    }
    times.iter_mut().for_each(|t| t.sort_unstable());
    Ok(times)
}

/// The value that `share` of the sorted times do not exceed.
pub fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    let position = (share * last as f64).round() as usize;
    sorted.get(position.min(last)).copied().unwrap_or_default()
}

pub fn median(sorted: &[Duration]) -> Duration {
    quantile(sorted, 0.5)
}
