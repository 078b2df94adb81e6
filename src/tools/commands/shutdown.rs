//! qvm-shutdown: requests qubes to power off, waits for them, and kills those that do not.

use std::time::{Duration, Instant};

use clap::Args;

use crate::hypervisor::HypervisorError;
use crate::lifecycle::qube::StopOutcome;
use crate::lifecycle::qube::monitor::spawn_shutdown_repeater;
use crate::lifecycle::{Context, LifecycleError, qube};
use crate::model::{VmName, stop_order};
use crate::tools::completion::QubeSubset;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::hint;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::output::print_message;
use crate::tools::ui::parallel::exit_code;
use crate::tools::ui::selection::Selection;
use crate::tools::ui::values::Values;
use crate::tools::{Command, Run};

/// `qvm-shutdown`
pub const QVM_SHUTDOWN: Command =
    Command::of::<ShutdownArguments>("qvm-shutdown", "Shut down qubes");

/// The arguments of qvm-shutdown.
#[derive(Args)]
#[command(add = QubeSubset::Running)]
struct ShutdownArguments {
    #[command(flatten)]
    selection: Selection,
    /// Wait until the qubes have stopped; kill those that exceed their shutdown_timeout
    #[arg(long)]
    wait: bool,
    /// Deprecated: same as --wait, the value is ignored
    #[arg(long, value_name = "TIMEOUT")]
    timeout: Option<String>,
    /// Shut down qubes that others use, for example as their netvm
    #[arg(long)]
    force: bool,
    /// Only check whether the qubes exist
    #[arg(long)]
    dry_run: bool,
}

impl Run for ShutdownArguments {
    /// The exit code is the number of qubes that failed.
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        let context = Context::new(call.system_with_progress()?);
        let names = self.selection.qubes(&context)?;
        if self.dry_run {
            return Ok(0);
        }
        if self.timeout.is_some() {
            call.warn(
                "qvm-shutdown",
                "--timeout is deprecated and its value ignored; the qubes' shutdown_timeout counts",
            );
        }
        let everything = self.selection.all && self.selection.exclude.is_empty();
        let waits = self.wait || self.timeout.is_some();
        let force = self.force || everything;
        let mut run = ShutdownRun {
            context: &context,
            force,
            waits,
            pending: Vec::new(),
            failed: 0,
        };
        match everything {
            true => run.request_in_order(&names)?,
            false => run.request_all(names),
        }
        if waits {
            run.wait_or_kill();
        } else {
            run.start_monitors();
        }
        Ok(exit_code(run.failed))
    }
}

/// The qubes that are being shut down.
struct ShutdownRun<'a> {
    context: &'a Context,
    force: bool,
    /// Whether to wait, and to kill qubes that do not stop in time.
    waits: bool,
    /// The qubes that got a request, and when.
    pending: Vec<(VmName, Instant)>,
    failed: usize,
}

impl ShutdownRun<'_> {
    /// Sends requests in groups: first to qubes that no other uses, then to those that only they
    /// used, and so on. A netvm follows its clients, even if one of those does not stop.
    fn request_in_order(&mut self, names: &[VmName]) -> Result<(), Failure> {
        let groups =
            stop_order::group_by_stop_order(&*self.context.read()?, names, self.context.facts());
        let last = groups.len().saturating_sub(1);
        for (at, group) in groups.into_iter().enumerate() {
            let first = self.pending.len();
            for (name, error) in self.request(group) {
                self.fail(&name, &error);
            }
            for (name, since) in self.pending[first..].iter().filter(|_| at < last) {
                // A qube that does not stop is reported at the end, if --wait is given.
                let _reported_later = qube::wait_for_shutdown(
                    self.context,
                    name,
                    remaining(self.limit(name), *since),
                );
            }
        }
        Ok(())
    }

    /// Sends a request to each qube. Those in use get another one when the others have stopped, at
    /// most as often as there are such qubes.
    fn request_all(&mut self, names: Vec<VmName>) {
        let mut in_use = self.request(names);
        let (mut tries, mut tried) = (in_use.len(), 0);
        while !in_use.is_empty() {
            if tries == 0 || self.pending.is_empty() {
                for (name, error) in in_use {
                    self.fail(&name, &error);
                }
                return;
            }
            tries -= 1;
            tried += 1;
            print_message(&format!(
                "Error: Retrying shutdown of qubes that were in use for {tried} time(s)"
            ));
            let names: Vec<VmName> = in_use.into_iter().map(|(name, _)| name).collect();
            print_message(&format!(
                "Error: Retrying shutdown of qubes that were in use: {}",
                joined(&names)
            ));
            for (name, since) in &self.pending {
                // A qube that does not stop keeps its netvm in use; the next request reports that.
                let _reported_later = qube::wait_for_shutdown(
                    self.context,
                    name,
                    remaining(self.limit(name), *since),
                );
            }
            in_use = self.request(names);
        }
    }

    /// Sends a request to each; returns the qubes that are in use.
    fn request(&mut self, names: Vec<VmName>) -> Vec<(VmName, LifecycleError)> {
        let mut in_use = Vec::new();
        for name in names {
            match qube::shutdown(self.context, &name, self.force) {
                Ok(StopOutcome::Requested) => self.pending.push((name, Instant::now())),
                Ok(StopOutcome::NotRunning) => {}
                Err(LifecycleError::Hypervisor(HypervisorError::NoAnswer { .. })) if self.waits => {
                    self.pending.push((name, Instant::now()));
                }
                Err(error @ LifecycleError::HasClients { .. }) => in_use.push((name, error)),
                Err(error) => self.fail(&name, &error),
            }
        }
        in_use
    }

    /// Starts processes that repeat the requests: a guest that still boots does not hear the first.
    fn start_monitors(&mut self) {
        for (name, since) in std::mem::take(&mut self.pending) {
            if let Err(error) =
                spawn_shutdown_repeater(self.context, &name, remaining(self.limit(&name), since))
            {
                self.fail(&name, &error);
            }
        }
    }

    /// Waits for all; repeats the request to those that are too slow, then kills them.
    fn wait_or_kill(&mut self) {
        let slow = self.wait();
        if slow.is_empty() {
            return;
        }
        print_message(&format!(
            "Error: Retrying shutdown of qubes that timed out: {}",
            joined(&slow)
        ));
        for (name, error) in self.request(slow) {
            self.fail(&name, &error);
        }
        let slow = self.wait();
        if slow.is_empty() {
            return;
        }
        print_message(&format!(
            "Error: Killing timed out qubes: {}",
            joined(&slow)
        ));
        for name in slow {
            if let Err(error) = qube::kill(self.context, &name) {
                self.fail(&name, &error);
            }
        }
    }

    /// Waits for all pending qubes; returns those that did not stop in time.
    fn wait(&mut self) -> Vec<VmName> {
        let mut slow = Vec::new();
        for (name, since) in std::mem::take(&mut self.pending) {
            match qube::wait_for_shutdown(self.context, &name, remaining(self.limit(&name), since))
            {
                Ok(()) => {}
                Err(LifecycleError::ShutdownTimeout { .. }) => slow.push(name),
                Err(error) => self.fail(&name, &error),
            }
        }
        slow
    }

    /// Returns the shutdown_timeout of a qube.
    fn limit(&self, name: &VmName) -> Duration {
        let seconds = self.context.read().ok().and_then(|qubes| {
            let vm = qubes.get(name.as_str())?;
            Values::new(&qubes, self.context)
                .text(vm, "shutdown_timeout")?
                .parse()
                .ok()
        });
        Duration::from_secs(seconds.unwrap_or(60))
    }

    fn fail(&mut self, name: &VmName, error: &LifecycleError) {
        let error = hint::describe(error);
        print_message(&format!("Error: Failed to shut down: {name}: {error}"));
        self.failed += 1;
    }
}

fn remaining(limit: Duration, since: Instant) -> Duration {
    limit.saturating_sub(since.elapsed())
}

fn joined(names: &[VmName]) -> String {
    names
        .iter()
        .map(VmName::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}
