//! The monitor: one small process per running qube that does the after-work when the domain stops.
//!
//! It acts only if the record still carries its start id and the domain is inactive; else it ends.
//! A lost connection to the hypervisor is not a stop. While it lives it holds a lock of its own, so
//! that others can tell.

use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use uuid::Uuid;

use crate::exec::{self, Program};
use crate::fs::file_lock::{Exclusivity, FileLock};
use crate::hypervisor::Hypervisor;
use crate::hypervisor::uri::Family;
use crate::model::VmName;

use super::record::Record;
use super::stop::{SHUTDOWN_INTERVAL, repeat_shutdown_request};
use super::{LifecycleError, Session};

/// The program's name; it lies beside the tools or in the built-in directory.
pub const PROGRAM: &str = "qubes-monitor";

/// From this many bytes on a log begins anew with the next start.
const MAX_LOG_BYTES: u64 = 64 << 10;

/// So many lines does one monitor write.
const MAX_LOG_LINES: u32 = 100;

/// How long a monitor waits before it tries to reach a lost hypervisor again, at most.
const MAX_RECONNECT_PAUSE: Duration = Duration::from_secs(5);

/// Starts the monitor of a start: in a session of its own, in a scope of its own where systemd
/// runs.
pub fn spawn(session: &Session, name: &VmName, record: &Record) -> Result<(), LifecycleError> {
    run_detached(session, name, record, &[])
}

/// Repeats, in a process of its own, the request to shut down that a running qube was given, until
/// its domain stops or `limit` is over. Does nothing under Xen, where the first one waits in
/// xenstore until the guest reads it.
pub fn spawn_shutdown_repeater(
    session: &Session,
    name: &VmName,
    limit: Duration,
) -> Result<(), LifecycleError> {
    let Some(record) = Record::load(&session.system, name)? else {
        return Ok(());
    };
    if Family::of_uri(&record.uri) == Family::Xen {
        return Ok(());
    }
    run_detached(
        session,
        name,
        &record,
        &["--shutdown", &limit.as_secs().to_string()],
    )
}

fn run_detached(
    session: &Session,
    name: &VmName,
    record: &Record,
    options: &[&str],
) -> Result<(), LifecycleError> {
    let system = &session.system;
    let log = open_log(session, name)?;
    let monitor = system.own_program(PROGRAM);
    let scoped =
        system.has_service_manager() && exec::find("systemd-run", system.program_path()).is_some();
    let mut program = if scoped {
        in_scope(session, &monitor)
    } else {
        Program::new(&monitor)
    };
    program = program.arg("--qubesxml").arg(system.store_file());
    if let Some(root) = system.root() {
        program = program.arg("--root").arg(root);
    }
    // The monitor believes a record's URI that is not one of the usual ones only if it is
    // configured.
    let configured = system.configured_uri().unwrap_or_default();
    program
        .env("QUBES_OFFLINE", "")
        .env("QUBES_LIBVIRT_URI", configured)
        .args(options)
        .arg("--")
        .arg(name.as_str())
        .arg(record.start_id.to_string())
        .detach(log, is_env_kept)
        .map_err(LifecycleError::from)
}

/// Whether a monitor keeps a variable of whoever started the qube: what says where things are and
/// how to reach the hypervisor. Anything else (tokens, agents, displays) is no business of a
/// process that lives as long as the qube.
fn is_env_kept(variable: &str) -> bool {
    const NAMES: [&str; 14] = [
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "LANG",
        "TMPDIR",
        "TZ",
        "LD_LIBRARY_PATH",
        "DEFAULT_LVM_POOL",
        "QUBES_LIBVIRT_URI",
        "QUBES_NEARLY_FULL",
        "XDG_RUNTIME_DIR",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
    ];
    // systemd-run --user asks the session's bus.
    NAMES.contains(&variable)
        || variable == "DBUS_SESSION_BUS_ADDRESS"
        || variable.starts_with("LIBVIRT_")
}

/// Opens the monitor's log to append to it. What has its name and is no log of ours is replaced.
fn open_log(session: &Session, name: &VmName) -> Result<File, LifecycleError> {
    let (run, group) = (session.system.run_dir(), session.system.qubes_group());
    let place = Path::new("log").join(format!("monitor-{name}.log"));
    let opened = run.make(&["log"], group).and_then(|directory| {
        let open = || directory.open_or_create(&place, run.access(group));
        let file = match open() {
            Err(_not_a_log) => directory.remove_file(&place).and_then(|_| open()),
            opened => opened,
        }?;
        fcntl(&file, FcntlArg::F_SETFL(OFlag::O_APPEND))?;
        if file.metadata()?.len() > MAX_LOG_BYTES {
            // What older monitors said is the least that anybody needs.
            file.set_len(0)?;
        }
        Ok(file)
    });
    let what = || format!("cannot open {}", run.path().join(&place).display());
    opened.map_err(|source| LifecycleError::Io {
        what: what(),
        source,
    })
}

fn in_scope(session: &Session, monitor: &std::path::Path) -> Program {
    let program = Program::new("systemd-run");
    let program = if session.system.is_superuser() {
        program
    } else {
        program.arg("--user")
    };
    program
        .args(["--scope", "--quiet", "--collect", "--"])
        .arg(monitor)
}

/// Gives a running qube a monitor when it has none.
pub fn ensure_monitor(
    session: &Session,
    name: &VmName,
    record: &Record,
) -> Result<(), LifecycleError> {
    match lock_monitor(session, name, Duration::ZERO) {
        Ok(free) => {
            drop(free);
            spawn(session, name, record)
        }
        Err(LifecycleError::Locked { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// What the monitor process does until it ends.
pub fn run(session: &Session, name: &VmName, start_id: Uuid) -> Result<(), LifecycleError> {
    // Away from the terminal of whoever started the qube. It fails only for who leads a session
    // already.
    let _leads_one = nix::unistd::setsid();
    // The monitor of the start before this one may still be finding out that it is not needed any
    // more.
    let Some(_alone) = acquire_monitor_lock(session, name, start_id)? else {
        return Ok(());
    };
    let mut pause = Duration::from_millis(100);
    let mut log = Log::new();
    while let Some(record) = own_record(session, name, start_id)? {
        match wait_for_stop(session, name, &record) {
            Ok(()) => pause = Duration::from_millis(100),
            Err(error) => {
                log.write(session, format!("{name}: {error}"));
                thread::sleep(pause);
                pause = (pause * 2).min(MAX_RECONNECT_PAUSE);
                continue;
            }
        }
        if finish_if_stopped(session, name, start_id, &mut log)? {
            return Ok(());
        }
    }
    Ok(())
}

/// What a monitor says: only what it did not say last, and only so much.
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

    fn write(&mut self, session: &Session, line: String) {
        self.lines_for(line)
            .iter()
            .for_each(|line| session.system.tell(line));
    }

    /// What is to be written where `line` is to be said.
    fn lines_for(&mut self, line: String) -> Vec<String> {
        if self.left == 0 || line == self.last {
            return Vec::new();
        }
        self.left -= 1;
        self.last.clone_from(&line);
        let mut lines = vec![line];
        if self.left == 0 {
            lines.push("this is all that this monitor writes; it goes on watching".to_string());
        }
        lines
    }
}

/// Presses the power button of a qube again every few seconds until its domain stops, its record is
/// another one's, or `limit` is over.
pub fn repeat_shutdown_until_stopped(
    session: &Session,
    name: &VmName,
    start_id: Uuid,
    limit: Duration,
) -> Result<(), LifecycleError> {
    let _leads_one = nix::unistd::setsid();
    let begun = Instant::now();
    while let Some(record) = own_record(session, name, start_id)? {
        let left = limit.saturating_sub(begun.elapsed());
        let hypervisor = session.hypervisor_at(&record.uri);
        if left.is_zero()
            || hypervisor.wait_until_inactive(record.domain, Some(left.min(SHUTDOWN_INTERVAL)))?
        {
            return Ok(());
        }
        // Under the lock nobody starts it anew between the look at the record and the request. Who
        // works on the qube is not waited for: there is a next time.
        match session.lock_qube_within(name, Duration::ZERO) {
            Ok(_lock) if own_record(session, name, start_id)?.is_some() => {
                repeat_shutdown_request(&hypervisor, record.domain)?
            }
            Ok(_) | Err(LifecycleError::Locked { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Waits until the monitor of an earlier start has left; `None` when there is nothing of ours to
/// watch any more, or another monitor of the same start watches already.
fn acquire_monitor_lock(
    session: &Session,
    name: &VmName,
    start_id: Uuid,
) -> Result<Option<FileLock>, LifecycleError> {
    let (run, group) = (session.system.run_dir(), session.system.qubes_group());
    // Not beside the lock as `monitor-NAME.start`: that is the lock of a qube called `NAME.start`.
    let watched = Path::new("lock").join(format!("watches-{name}"));
    while own_record(session, name, start_id)?.is_some() {
        match lock_monitor(session, name, Duration::from_secs(1)) {
            Ok(lock) => {
                // Without it a second monitor of this start waits until this one ends: no harm.
                let _unsaid = run.write_note(&watched, group, &start_id.to_string());
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

/// Returns when the domain stopped, or when the record is no longer ours: after a stop that
/// somebody else settled, a second start may be running under the same uuid.
fn wait_for_stop(session: &Session, name: &VmName, record: &Record) -> Result<(), LifecycleError> {
    // Each round connects anew: a daemon that was restarted is a new conversation.
    let hypervisor = session.hypervisor_at(&record.uri);
    // A record that cannot be read is looked at again under the lock, which says why.
    let mut is_ours = || matches!(own_record(session, name, record.start_id), Ok(Some(_)));
    hypervisor.wait_while(record.domain, None, &mut is_ours)?;
    Ok(())
}

/// Under the qube's lock: does the after-work if it is still ours to do. True when the monitor's
/// work is done.
fn finish_if_stopped(
    session: &Session,
    name: &VmName,
    start_id: Uuid,
    log: &mut Log,
) -> Result<bool, LifecycleError> {
    // Looked at first without the lock: where everything is gone, nothing is to be made anew for
    // locking it.
    if own_record(session, name, start_id)?.is_none() {
        return Ok(true);
    }
    let lock = loop {
        match session.lock_qube_within(name, Duration::from_secs(60)) {
            Ok(lock) => break lock,
            Err(LifecycleError::Locked { .. })
                if own_record(session, name, start_id)?.is_some() => {}
            Err(LifecycleError::Locked { .. }) => return Ok(true),
            Err(other) => return Err(other),
        }
    };
    let Some(record) = own_record(session, name, start_id)? else {
        return Ok(true);
    };
    let fresh = session.fork();
    match fresh.query_domain(&record, name) {
        Ok(None) => {}
        // It runs after all: the start had not come to creating it when we looked.
        Ok(Some(_)) => return Ok(false),
        Err(error) => {
            log.write(session, format!("{name}: {error}"));
            return Ok(false);
        }
    }
    fresh.reconcile(&lock).map(|_| true)
}

/// The record, if it is still that of our start.
fn own_record(
    session: &Session,
    name: &VmName,
    start_id: Uuid,
) -> Result<Option<Record>, LifecycleError> {
    Ok(Record::load(&session.system, name)?.filter(|r| r.start_id == start_id))
}

fn lock_monitor(
    session: &Session,
    name: &VmName,
    wait: Duration,
) -> Result<FileLock, LifecycleError> {
    let (run, group) = (session.system.run_dir(), session.system.qubes_group());
    let lock = run.lock(
        &format!("monitor-{name}"),
        Exclusivity::Exclusive,
        wait,
        group,
    );
    lock.map_err(|error| super::qube_lock::refused(name, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_monitor_says_what_changed_and_only_so_much() {
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

    #[test]
    fn a_monitor_keeps_no_secrets_of_whoever_started_the_qube() {
        let kept = [
            "PATH",
            "XDG_RUNTIME_DIR",
            "LIBVIRT_AUTH_FILE",
            "QUBES_LIBVIRT_URI",
        ];
        assert!(kept.into_iter().all(is_env_kept));
        let dropped = [
            "AWS_SECRET_ACCESS_KEY",
            "SSH_AUTH_SOCK",
            "DISPLAY",
            "QUBES_OFFLINE",
            "QUBES_ROOT",
        ];
        assert!(!dropped.into_iter().any(is_env_kept));
    }
}
