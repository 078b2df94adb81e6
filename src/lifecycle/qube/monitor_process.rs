//! Starts the processes that watch a running qube (`qube/monitor.rs`): detached, with a log, and
//! with nothing of the environment but what locates files and the hypervisor.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::exec::{self, Program};
use crate::fs::file_lock::{FileLock, LockMode};
use crate::hypervisor::uri::Family;
use crate::lifecycle::qube;
use crate::lifecycle::qube::record::Record;
use crate::lifecycle::{Context, LifecycleError};
use crate::model::VmName;

/// The name of the program; it is installed beside the tools or in the built-in directory.
pub const PROGRAM: &str = "qubes-monitor";

/// A log above this size is truncated at the next start.
const MAX_LOG_BYTES: u64 = 64 << 10;

/// Starts the monitor of a qube as a detached process; in a systemd scope of its own if systemd
/// runs.
///
/// # Errors
/// Its log cannot be opened, or the program cannot be started.
pub fn spawn(context: &Context, name: &VmName, record: &Record) -> Result<(), LifecycleError> {
    run_detached(context, name, record, &[])
}

/// Starts a detached process that repeats the shutdown request to a running qube until its domain
/// is inactive or `limit` is over. Does nothing under Xen, where the first request waits in
/// xenstore until the guest reads it.
///
/// # Errors
/// As [`spawn`]; the record cannot be read.
pub fn spawn_shutdown_repeater(
    context: &Context,
    name: &VmName,
    limit: Duration,
) -> Result<(), LifecycleError> {
    let Some(record) = Record::load(&context.system, name)? else {
        return Ok(());
    };
    if Family::from_uri(&record.uri) == Family::Xen {
        return Ok(());
    }
    run_detached(
        context,
        name,
        &record,
        &["--shutdown", &limit.as_secs().to_string()],
    )
}

/// Starts the monitor program with `options` for the start of `record`.
fn run_detached(
    context: &Context,
    name: &VmName,
    record: &Record,
    options: &[&str],
) -> Result<(), LifecycleError> {
    let system = &context.system;
    let log = open_log(context, name)?;
    let monitor = system.own_program(PROGRAM);
    let scoped = system.has_service_manager()
        && exec::find_program("systemd-run", system.program_path()).is_some();
    let mut program = if scoped {
        in_scope(context, &monitor)
    } else {
        Program::new(&monitor)
    };
    program = program.arg("--qubesxml").arg(system.store_file());
    if let Some(root) = system.root() {
        program = program.arg("--root").arg(root);
    }
    // A record's URI that is not one of the usual ones is accepted only if it is configured, so
    // pass the configuration on.
    let configured = system.configured_uri().unwrap_or_default();
    program
        .env("QUBES_OFFLINE", "")
        .env("QUBES_LIBVIRT_URI", configured)
        .args(options)
        .arg("--")
        .arg(name.as_str())
        .arg(record.start_id.to_string())
        .spawn_detached(log, is_env_kept)
        .map_err(LifecycleError::from)
}

/// Returns whether a monitor keeps an environment variable of the command that starts it: those
/// that locate files and the hypervisor. Anything else (tokens, agents, displays) must not stay in
/// a process that lives as long as the qube.
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
    // systemd-run --user needs the bus of the session.
    NAMES.contains(&variable)
        || variable == "DBUS_SESSION_BUS_ADDRESS"
        || variable.starts_with("LIBVIRT_")
}

/// Opens the monitor's log for appending. Anything else of that name (a link, a pipe) is replaced,
/// but not a directory.
fn open_log(context: &Context, name: &VmName) -> Result<File, LifecycleError> {
    let (run, group) = (context.system.run_dir(), context.system.qubes_group());
    let log = Path::new("log").join(format!("monitor-{name}.log"));
    let opened = run.create(&["log"], group).and_then(|directory| {
        let open = || directory.open_or_create(&log, run.access(group));
        let file = match open() {
            Err(_not_a_log) => directory.remove_file(&log).and_then(|_| open()),
            opened => opened,
        }?;
        fcntl(&file, FcntlArg::F_SETFL(OFlag::O_APPEND))?;
        if file.metadata()?.len() > MAX_LOG_BYTES {
            // The lines of earlier monitors are the ones least needed.
            file.set_len(0)?;
        }
        Ok(file)
    });
    opened.map_err(LifecycleError::cannot(
        "open",
        &run.path().join(&log).display(),
    ))
}

/// Returns the command that runs the monitor in a systemd scope of its own.
fn in_scope(context: &Context, monitor: &std::path::Path) -> Program {
    let program = Program::new("systemd-run");
    let program = if context.system.is_superuser() {
        program
    } else {
        program.arg("--user")
    };
    program
        .args(["--scope", "--quiet", "--collect", "--"])
        .arg(monitor)
}

/// Starts a monitor for a running qube that has none.
///
/// # Errors
/// As [`spawn`]; the monitor's lock cannot be tried.
pub fn ensure_monitor(
    context: &Context,
    name: &VmName,
    record: &Record,
) -> Result<(), LifecycleError> {
    match lock_monitor(context, name, Duration::ZERO) {
        Ok(free) => {
            drop(free);
            spawn(context, name, record)
        }
        Err(LifecycleError::Locked { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Takes the lock that a monitor holds while it lives.
pub(super) fn lock_monitor(
    context: &Context,
    name: &VmName,
    wait: Duration,
) -> Result<FileLock, LifecycleError> {
    let (run, group) = (context.system.run_dir(), context.system.qubes_group());
    let lock = run.lock(&format!("monitor-{name}"), LockMode::Exclusive, wait, group);
    lock.map_err(|error| qube::lock_error(name, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_monitor_drops_secrets_from_its_environment() {
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
