//! qubes-create: creates a store with labels, the first pools and dom0.

use super::failure::Failure;
use super::invocation::Invocation;
use crate::lifecycle::Context;

pub fn define(line: clap::Command) -> clap::Command {
    line
}

pub fn run(call: &mut Invocation) -> Result<u8, Failure> {
    Context::new(call.system()?).create_system()?;
    Ok(0)
}
