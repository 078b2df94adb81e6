//! qubes-create: creates a store with labels, the first pools and dom0.

use crate::lifecycle::{Context, new_system};
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;

pub fn define(line: clap::Command) -> clap::Command {
    line
}

pub fn run(call: &mut Invocation) -> Result<u8, Failure> {
    new_system::create(&Context::new(call.system()?))?;
    Ok(0)
}
