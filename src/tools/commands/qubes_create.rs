//! qubes-create: creates a store with labels, the first pools and dom0.

use crate::lifecycle::Context;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;

pub fn define(line: clap::Command) -> clap::Command {
    line
}

pub fn run(call: &mut Invocation) -> Result<u8, Failure> {
    Context::new(call.system()?).create_system()?;
    Ok(0)
}
