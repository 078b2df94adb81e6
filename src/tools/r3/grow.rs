//! qvm-grow-private and qvm-grow-root: R3's commands to extend a volume.

use clap::Arg;

use crate::lifecycle::volume::Shrinking;
use crate::tools::commands::volume::resize_to;
use crate::tools::completion;
use crate::tools::ui::arguments::{QUBE_ID, SIZE_ID, legacy_flag, qube_argument, required_value};
use crate::tools::ui::failure::{Failure, quoted};
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::size;

fn define(line: clap::Command) -> clap::Command {
    line.arg(qube_argument("Name of the qube").add(completion::GUESTS))
        .arg(
            Arg::new(SIZE_ID)
                .value_name("SIZE")
                .help("New size in bytes, or a number with K, M or G (powers of 1024)"),
        )
}

pub fn define_private(line: clap::Command) -> clap::Command {
    define(line)
}

pub fn define_root(line: clap::Command) -> clap::Command {
    define(line).arg(legacy_flag(
        "allow-start",
        "Accepted for compatibility, without effect",
    ))
}

pub fn run_private(call: &mut Invocation) -> Result<u8, Failure> {
    grow(call, "private")
}

pub fn run_root(call: &mut Invocation) -> Result<u8, Failure> {
    let done = grow(call, "root")?;
    if call.has("allow-start") {
        call.inform(
            call.command.name,
            "the qube was not started: it makes its root file system larger at its next start",
        );
    }
    Ok(done)
}

fn grow(call: &mut Invocation, volume: &str) -> Result<u8, Failure> {
    required_value(&call.matches, QUBE_ID, "VMNAME, SIZE")?;
    let wanted = required_value(&call.matches, SIZE_ID, "SIZE")?.to_string();
    let bytes = size::parse_as_r3(&wanted).ok_or_else(|| {
        Failure::usage(format!(
            "{} is not a size: bytes, or a number with K, M or G",
            quoted(&wanted)
        ))
    })?;
    let context = call.context_with_progress()?;
    let name = {
        let qubes = context.read()?;
        call.named_qube(&qubes)?.name.clone()
    };
    resize_to(
        call,
        &context,
        (&name, volume),
        (bytes, &bytes.to_string()),
        Shrinking::Refused,
    )
}
