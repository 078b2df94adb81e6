//! qvm-init-storage: R3's name for qubes-create.

use super::failure::Failure;
use super::invocation::Invocation;
use super::output::print_message;
use crate::lifecycle::{Context, LifecycleError};
use crate::store::StoreError;

pub fn define(line: clap::Command) -> clap::Command {
    line
}

pub fn run(call: &mut Invocation) -> Result<u8, Failure> {
    match Context::new(call.system()?).create_system() {
        Ok(()) => Ok(0),
        Err(LifecycleError::Store(StoreError::Exists { .. })) => {
            print_message("Storage exists, not overwriting.");
            Ok(1)
        }
        Err(error) => Err(error.into()),
    }
}
