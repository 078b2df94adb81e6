//! qvm-init-storage: R3's name for qubes-create.

use crate::lifecycle::{Context, LifecycleError, new_system};
use crate::store::StoreError;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::output::print_message;

pub fn define(line: clap::Command) -> clap::Command {
    line
}

pub fn run(call: &mut Invocation) -> Result<u8, Failure> {
    match new_system::create(&Context::new(call.system()?)) {
        Ok(()) => Ok(0),
        Err(LifecycleError::Store(StoreError::Exists { .. })) => {
            print_message("Storage exists, not overwriting.");
            Ok(1)
        }
        Err(error) => Err(error.into()),
    }
}
