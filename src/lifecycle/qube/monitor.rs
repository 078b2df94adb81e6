//! The monitor: one small process per running qube that finishes the stop when the domain ends.
//!
//! It acts only if the record still has its start id and the domain is inactive; else it exits. A
//! lost connection to the hypervisor is not a stop. While it lives it holds a lock of its own, so
//! that other commands can tell that it is there.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::fs::file_lock::FileLock;
use crate::lifecycle::qube::monitor_process::lock_monitor;
use crate::lifecycle::qube::record::Record;
use crate::lifecycle::qube::{self, SHUTDOWN_INTERVAL, repeat_shutdown_request};
use crate::lifecycle::{Context, LifecycleError, reconcile};
use crate::model::VmName;

pub use crate::lifecycle::qube::monitor_process::{
    PROGRAM, ensure_monitor, spawn, spawn_shutdown_repeater,
};

/// How many lines one monitor writes at most.
const MAX_LOG_LINES: u32 = 100;

/// The longest pause before a monitor reconnects to a lost hypervisor.
const MAX_RECONNECT_PAUSE: Duration = Duration::from_secs(5);

/// Runs as the monitor of the start `start_id` until there is nothing left to watch.
///
/// # Errors
/// The record or the locks cannot be read or taken, or the stop cannot be finished.
pub fn run(context: &Context, name: &VmName, start_id: Uuid) -> Result<(), LifecycleError> {
    // Leave the terminal of the starting command. It fails only for the leader of a process group,
    // which a spawned monitor is not.
    let _is_leader = nix::unistd::setsid();
    // The monitor of the previous start may still be about to exit.
    let Some(_lock) = acquire_monitor_lock(context, name, start_id)? else {
        return Ok(());
    };
    let mut pause = Duration::from_millis(100);
    let mut log = Log::new();
    while let Some(record) = own_record(context, name, start_id)? {
        match wait_for_stop(context, name, &record) {
            Ok(()) => pause = Duration::from_millis(100),
            Err(error) => {
                log.write(context, format!("{name}: {error}"));
                thread::sleep(pause);
                pause = (pause * 2).min(MAX_RECONNECT_PAUSE);
                continue;
            }
        }
        if finish_if_stopped(context, name, start_id, &mut log)? {
            return Ok(());
        }
    }
    Ok(())
}

/// The messages of a monitor: repeated ones are skipped, and their number is limited.
struct Log {
    last: String,
    left: u32,
}

impl Log {
    fn new() -> Log {
        Log {
            last: String::new(),
            left: MAX_LOG_LINES,
        }
    }

    /// Writes a message, unless it repeats the last one or the limit is reached.
    fn write(&mut self, context: &Context, line: String) {
        self.lines_for(line)
            .iter()
            .for_each(|line| context.system.notify(line));
    }

    /// Returns the lines to write for a message.
    fn lines_for(&mut self, line: String) -> Vec<String> {
        if self.left == 0 || line == self.last {
            return Vec::new();
        }
        self.left -= 1;
        self.last.clone_from(&line);
        let mut lines = vec![line];
        if self.left == 0 {
            lines.push("no further messages are logged; the monitor keeps watching".to_string());
        }
        lines
    }
}

/// Repeats the shutdown request to a qube every few seconds until its domain is inactive, its
/// record belongs to another start, or `limit` is over.
///
/// # Errors
/// The record or the lock cannot be read or taken, or the hypervisor fails.
pub fn repeat_shutdown_until_stopped(
    context: &Context,
    name: &VmName,
    start_id: Uuid,
    limit: Duration,
) -> Result<(), LifecycleError> {
    let _is_leader = nix::unistd::setsid();
    let begun = Instant::now();
    while let Some(record) = own_record(context, name, start_id)? {
        let left = limit.saturating_sub(begun.elapsed());
        let hypervisor = context.hypervisor_at(&record.uri);
        if left.is_zero()
            || hypervisor.wait_until_inactive(record.domain, Some(left.min(SHUTDOWN_INTERVAL)))?
        {
            return Ok(());
        }
        // Under the lock no new run can begin between reading the record and the request. If
        // another command works on the qube, skip this request: there is a next one.
        match qube::lock_within(context, name, Duration::ZERO) {
            Ok(_lock) if own_record(context, name, start_id)?.is_some() => {
                repeat_shutdown_request(&hypervisor, record.domain)?
            }
            Ok(_) | Err(LifecycleError::Locked { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Takes the monitor's lock, and waits until the monitor of an earlier start has exited. Returns
/// `None` if the record belongs to another start, or another monitor of the same start is there.
fn acquire_monitor_lock(
    context: &Context,
    name: &VmName,
    start_id: Uuid,
) -> Result<Option<FileLock>, LifecycleError> {
    let (run, group) = (context.system.run_dir(), context.system.qubes_group());
    // Not `monitor-NAME.start`: that would be the lock of a qube called `NAME.start`.
    let watched = Path::new("lock").join(format!("watches-{name}"));
    while own_record(context, name, start_id)?.is_some() {
        match lock_monitor(context, name, Duration::from_secs(1)) {
            Ok(lock) => {
                // If it cannot be written, a second monitor of this start waits until this one
                // exits: no harm.
                let _ignored = run.write_unsynced(&watched, group, &start_id.to_string());
                return Ok(Some(lock));
            }
            Err(LifecycleError::Locked { .. }) => {}
            Err(error) => return Err(error),
        }
        let holder = run.read(&watched).ok().flatten();
        if holder.is_some_and(|holder| holder == start_id.to_string()) {
            return Ok(None);
        }
    }
    Ok(None)
}

/// Waits until the domain is inactive or the record belongs to another start: after another command
/// finished the stop, a new run may use the same uuid.
fn wait_for_stop(context: &Context, name: &VmName, record: &Record) -> Result<(), LifecycleError> {
    // Connect anew in each round: the old connection may be to a daemon that was restarted.
    let hypervisor = context.hypervisor_at(&record.uri);
    // An unreadable record ends the wait; reading it again under the lock reports the reason.
    let mut is_own = || matches!(own_record(context, name, record.start_id), Ok(Some(_)));
    hypervisor.wait_while(record.domain, None, &mut is_own)?;
    Ok(())
}

/// Finishes the stop under the qube's lock, if the record is still that of this start. Returns
/// whether the monitor's work is done.
fn finish_if_stopped(
    context: &Context,
    name: &VmName,
    start_id: Uuid,
    log: &mut Log,
) -> Result<bool, LifecycleError> {
    // Check without the lock first: if everything was removed, locking would create RUN/lock anew.
    if own_record(context, name, start_id)?.is_none() {
        return Ok(true);
    }
    let lock = loop {
        match qube::lock_within(context, name, Duration::from_secs(60)) {
            Ok(lock) => break lock,
            Err(LifecycleError::Locked { .. })
                if own_record(context, name, start_id)?.is_some() => {}
            Err(LifecycleError::Locked { .. }) => return Ok(true),
            Err(other) => return Err(other),
        }
    };
    let Some(record) = own_record(context, name, start_id)? else {
        return Ok(true);
    };
    let fresh = context.fork();
    match reconcile::query_domain(&fresh, &record, name) {
        Ok(None) => {}
        // The domain is active after all: the start had not created it yet when the state was read.
        Ok(Some(_)) => return Ok(false),
        Err(error) => {
            log.write(context, format!("{name}: {error}"));
            return Ok(false);
        }
    }
    reconcile::reconcile_qube(&fresh, &lock).map(|_| true)
}

/// Returns the record, if it is still that of this start.
fn own_record(
    context: &Context,
    name: &VmName,
    start_id: Uuid,
) -> Result<Option<Record>, LifecycleError> {
    Ok(Record::load(&context.system, name)?.filter(|r| r.start_id == start_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_skips_repeated_lines_and_is_limited() {
        let mut log = Log::new();
        let mut said = |line: &str| log.lines_for(line.to_string());
        assert_eq!(said("libvirtd is away"), ["libvirtd is away"]);
        assert_eq!(said("libvirtd is away"), [""; 0]);
        assert_eq!(said("it hangs"), ["it hangs"]);
        let written: usize = (0..1000)
            .map(|n| said(if n % 2 == 0 { "away" } else { "hangs" }).len())
            .sum();
        assert_eq!(written, MAX_LOG_LINES as usize - 2 + 1);
    }
}
