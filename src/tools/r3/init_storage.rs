//! qvm-init-storage: R3's name for qubes-create.

use clap::Args;

use crate::lifecycle::{Context, LifecycleError, new_system};
use crate::store::StoreError;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::output::print_message;
use crate::tools::{Command, Run};

/// `qvm-init-storage`
pub const QVM_INIT_STORAGE: Command =
    Command::of::<InitStorageArguments>("qvm-init-storage", "Create a new store with dom0");

/// The arguments of qvm-init-storage: none of its own.
#[derive(Args)]
struct InitStorageArguments {}

impl Run for InitStorageArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        match new_system::create(&Context::new(call.system()?)) {
            Ok(()) => Ok(0),
            Err(LifecycleError::Store(StoreError::Exists { .. })) => {
                print_message("Storage exists, not overwriting.");
                Ok(1)
            }
            Err(error) => Err(error.into()),
        }
    }
}
