//! qubes-monitor: started by qvm-start, watches one running qube and finishes its stop.

use std::time::Duration;

use clap::Args;
use uuid::Uuid;

use crate::lifecycle::Context;
use crate::lifecycle::qube::monitor;
use crate::model::VmName;
use crate::tools::completion;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;
use crate::tools::{Command, Run};

/// `qubes-monitor`
pub const QUBES_MONITOR: Command =
    Command::of::<MonitorArguments>("qubes-monitor", "Watch a running qube and finish its stop")
        .hidden();

/// The arguments of qubes-monitor.
#[derive(Args)]
struct MonitorArguments {
    /// Name of the qube
    #[arg(value_name = "VMNAME", add = completion::QUBES)]
    qube: String,
    /// Id of the start to watch
    #[arg(value_name = "START")]
    start: String,
    /// Repeat a shutdown request for this many seconds instead of watching
    #[arg(long, value_name = "SECONDS")]
    shutdown: Option<u32>,
}

impl Run for MonitorArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        let context = Context::new(call.system()?);
        let name = VmName::from_store(&self.qube)?;
        let start = Uuid::try_parse(&self.start)?;
        match self.shutdown {
            Some(seconds) => monitor::repeat_shutdown_until_stopped(
                &context,
                &name,
                start,
                Duration::from_secs(u64::from(seconds)),
            )?,
            None => monitor::run(&context, &name, start)?,
        }
        Ok(0)
    }
}
