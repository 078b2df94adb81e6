//! qvm-start: starts qubes, several at a time.

use std::collections::HashMap;
use std::sync::Mutex;
use std::thread;

use crate::hypervisor::description::DeviceKind;
use crate::lifecycle::qube::Drive;
use crate::lifecycle::qube::StartOutcome;
use crate::lifecycle::qube::StopMark;
use crate::lifecycle::{Context, LifecycleError, qube};
use crate::model::VmName;
use crate::tools::completion;
use crate::tools::ui::arguments::{flag, legacy_flag, mutually_exclusive, value};
use crate::tools::ui::failure::Failure;
use crate::tools::ui::hint::Hint;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::output::print_message;
use crate::tools::ui::selection;

/// The most qubes that are started at the same time.
const MAX_PARALLEL: usize = 8;

pub fn define(line: clap::Command) -> clap::Command {
    let line = selection::define(line, completion::HALTED)
        .arg(flag(
            "skip-if-running",
            None,
            "Accept qubes that already run",
        ))
        .arg(
            value(
                "drive",
                None,
                "DRIVE",
                "Attach this drive: [hd:|cdrom:]VM:PATH (default: cdrom)",
            )
            .add(completion::FILES),
        )
        .arg(value("hddisk", None, "IMAGE", "Attach this image as a disk").add(completion::FILES))
        .arg(value("cdrom", None, "IMAGE", "Attach this image as a CD").add(completion::FILES))
        .arg(legacy_flag(
            "no-guid",
            "Accepted for compatibility, without effect",
        ))
        .arg(flag(
            "install-windows-tools",
            None,
            "Attach the CD with the Windows tools",
        ));
    mutually_exclusive(
        line,
        "drive",
        &["drive", "hddisk", "cdrom", "install-windows-tools"],
    )
}

pub fn run(call: &mut Invocation) -> Result<u8, Failure> {
    let context = Context::new(call.system_with_progress()?);
    let names = super::kill::select_qubes(call, &context)?;
    let drive = drive(call)?;
    let skip = call.has("skip-if-running");
    // Read all marks before the first start, so that a qube that is killed while it waits for its
    // turn is not started.
    let marks = names
        .iter()
        .map(|name| Ok((name.clone(), StopMark::read(&context.system, name)?)));
    let marks = marks.collect::<Result<HashMap<VmName, StopMark>, LifecycleError>>()?;
    let start = |context: &Context, name: &VmName| match marks.get(name) {
        Some(mark) => qube::start_unless_stopped(context, mark, drive.as_ref()),
        None => qube::start(context, name),
    };
    let failures = run_in_parallel(&context, &names, |context, name| {
        match start(context, name) {
            Ok(StartOutcome::Started) => None,
            Ok(StartOutcome::AlreadyRunning) if skip => None,
            Ok(StartOutcome::AlreadyRunning) => {
                Some(("Domain is already running".to_string(), None))
            }
            Err(error) => Some((call.error_text(&error), Hint::for_error(&error))),
        }
    });
    for (name, (reason, hint)) in &failures {
        print_message(&format!("Error: Starting qube failed: {name}: {reason}"));
        hint.iter().for_each(|hint| call.hint(hint));
    }
    Ok(u8::from(!failures.is_empty()))
}

/// Returns the drive of the command line.
fn drive(call: &Invocation) -> Result<Option<Drive>, Failure> {
    if call.has("install-windows-tools") {
        return Ok(Some(Drive::windows_tools()));
    }
    let given = [
        ("drive", DeviceKind::Cdrom),
        ("cdrom", DeviceKind::Cdrom),
        ("hddisk", DeviceKind::Disk),
    ];
    let given = given
        .into_iter()
        .find_map(|(id, kind)| Some((call.value(id)?, kind)));
    Ok(given
        .map(|(text, kind)| Drive::parse(text, kind))
        .transpose()?)
}

/// Runs `work` for each qube in up to [`MAX_PARALLEL`] threads, each with a context of its own.
/// Returns the failures that `work` returned, in the order of the names.
pub fn run_in_parallel<T: Send>(
    context: &Context,
    names: &[VmName],
    work: impl Fn(&Context, &VmName) -> Option<T> + Sync,
) -> Vec<(VmName, T)> {
    if let [name] = names {
        return work(context, name)
            .map(|failure| (name.clone(), failure))
            .into_iter()
            .collect();
    }
    let next = Mutex::new(names.iter().enumerate());
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..MAX_PARALLEL.min(names.len()) {
            let system = context.system.clone();
            let (next, failures, work) = (&next, &failures, &work);
            scope.spawn(move || {
                let own = Context::new(system);
                while let Some((at, name)) = next.lock().ok().and_then(|mut n| n.next()) {
                    if let (Some(failure), Ok(mut all)) = (work(&own, name), failures.lock()) {
                        all.push((at, failure));
                    }
                }
            });
        }
    });
    let mut failures = failures
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    failures.sort_by_key(|(at, _)| *at);
    failures
        .into_iter()
        .map(|(at, failure)| (names[at].clone(), failure))
        .collect()
}
