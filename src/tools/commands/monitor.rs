//! qubes-monitor: started by qvm-start, watches one running qube and finishes its stop.

use std::time::Duration;

use clap::Arg;
use uuid::Uuid;

use crate::lifecycle::Context;
use crate::lifecycle::qube::monitor;
use crate::model::VmName;
use crate::tools::ui::arguments::value;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;

pub fn define(line: clap::Command) -> clap::Command {
    line.arg(
        Arg::new("vmname")
            .value_name("VMNAME")
            .required(true)
            .help("Name of the qube"),
    )
    .arg(
        Arg::new("start")
            .value_name("START")
            .required(true)
            .help("Id of the start to watch"),
    )
    .arg(
        value(
            "shutdown",
            None,
            "SECONDS",
            "Repeat a shutdown request for this many seconds instead of watching",
        )
        .value_parser(clap::value_parser!(u32)),
    )
}

pub fn run(call: &mut Invocation) -> Result<u8, Failure> {
    let context = Context::new(call.system()?);
    let name = VmName::from_store(call.value("vmname").unwrap_or_default())?;
    let start = Uuid::try_parse(call.value("start").unwrap_or_default())?;
    match call.matches.get_one::<u32>("shutdown") {
        Some(seconds) => monitor::repeat_shutdown_until_stopped(
            &context,
            &name,
            start,
            Duration::from_secs(u64::from(*seconds)),
        )?,
        None => monitor::run(&context, &name, start)?,
    }
    Ok(0)
}
