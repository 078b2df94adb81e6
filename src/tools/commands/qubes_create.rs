//! qubes-create: creates a store with labels, the first pools and dom0.

use clap::Args;

use crate::lifecycle::{Context, new_system};
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;
use crate::tools::{Command, Run};

/// `qubes-create`
pub const QUBES_CREATE: Command =
    Command::of::<QubesCreateArguments>("qubes-create", "Create a new store with dom0");

/// The arguments of qubes-create: none of its own.
#[derive(Args)]
struct QubesCreateArguments {}

impl Run for QubesCreateArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        new_system::create(&Context::new(call.system()?))?;
        Ok(0)
    }
}
