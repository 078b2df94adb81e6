//! qvm-start: starts qubes, several at a time.

use std::collections::HashMap;

use clap::{Args, ValueHint};

use crate::hypervisor::description::DeviceKind;
use crate::lifecycle::qube::Drive;
use crate::lifecycle::qube::StartOutcome;
use crate::lifecycle::qube::StopMark;
use crate::lifecycle::{Context, LifecycleError, qube};
use crate::model::VmName;
use crate::tools::completion::QubeSubset;
use crate::tools::ui::arguments::NotUpstream;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::hint::Hint;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::output::print_message;
use crate::tools::ui::parallel::run_in_parallel;
use crate::tools::ui::selection::Selection;
use crate::tools::{Command, Run};

/// `qvm-start`
pub const QVM_START: Command = Command::of::<StartArguments>("qvm-start", "Start qubes");

/// The arguments of qvm-start.
#[derive(Args)]
#[command(add = QubeSubset::Halted)]
struct StartArguments {
    #[command(flatten)]
    selection: Selection,
    /// Accept qubes that already run
    #[arg(long)]
    skip_if_running: bool,
    #[command(flatten)]
    drive: DriveOptions,
    /// Accepted for compatibility, without effect
    #[arg(long, hide = true, add = NotUpstream)]
    no_guid: bool,
}

/// The drive of the start.
#[derive(Args)]
#[group(multiple = false)]
struct DriveOptions {
    /// Attach this drive: [hd:|cdrom:]VM:PATH (default: cdrom)
    #[arg(long, value_name = "DRIVE", value_hint = ValueHint::FilePath)]
    drive: Option<String>,
    /// Attach this image as a disk
    #[arg(long, value_name = "IMAGE", value_hint = ValueHint::FilePath)]
    hddisk: Option<String>,
    /// Attach this image as a CD
    #[arg(long, value_name = "IMAGE", value_hint = ValueHint::FilePath)]
    cdrom: Option<String>,
    /// Attach the CD with the Windows tools
    #[arg(long)]
    install_windows_tools: bool,
}

impl DriveOptions {
    fn parse(&self) -> Result<Option<Drive>, Failure> {
        let (text, kind) = match (&self.drive, &self.cdrom, &self.hddisk) {
            _ if self.install_windows_tools => return Ok(Some(Drive::windows_tools())),
            (Some(text), ..) | (_, Some(text), _) => (text, DeviceKind::Cdrom),
            (.., Some(text)) => (text, DeviceKind::Disk),
            _ => return Ok(None),
        };
        Ok(Some(Drive::parse(text, kind)?))
    }
}

impl Run for StartArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        let context = Context::new(call.system_with_progress()?);
        let names = self.selection.qubes(&context)?;
        let drive = self.drive.parse()?;
        // Read all marks before the first start, so that a qube that is killed while it waits for
        // its turn is not started.
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
                Ok(StartOutcome::AlreadyRunning) if self.skip_if_running => None,
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
}
