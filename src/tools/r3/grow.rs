//! qvm-grow-private and qvm-grow-root: R3's commands to extend a volume.

use clap::Args;

use crate::lifecycle::Context;
use crate::lifecycle::volume::Shrinking;
use crate::tools::commands::volume::resize_to;
use crate::tools::completion;
use crate::tools::ui::arguments::NotUpstream;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::quoted::quoted;
use crate::tools::ui::size;
use crate::tools::{Command, Run};

/// The qube whose volume is extended, and the new size.
#[derive(Args)]
struct NewSize {
    /// Name of the qube
    #[arg(value_name = "VMNAME", add = completion::GUESTS)]
    qube: String,
    /// New size in bytes, or a number with K, M or G (powers of 1024)
    #[arg(value_name = "SIZE")]
    size: String,
}

/// `qvm-grow-private`
pub const QVM_GROW_PRIVATE: Command =
    Command::of::<GrowPrivateArguments>("qvm-grow-private", "Extend the private volume of a qube");

/// The arguments of qvm-grow-private.
#[derive(Args)]
struct GrowPrivateArguments {
    #[command(flatten)]
    new: NewSize,
}

impl Run for GrowPrivateArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        self.new.grow(call, "private")
    }
}

/// `qvm-grow-root`
pub const QVM_GROW_ROOT: Command =
    Command::of::<GrowRootArguments>("qvm-grow-root", "Extend the root volume of a qube");

/// The arguments of qvm-grow-root.
#[derive(Args)]
struct GrowRootArguments {
    #[command(flatten)]
    new: NewSize,
    /// Accepted for compatibility, without effect
    #[arg(long, hide = true, add = NotUpstream)]
    allow_start: bool,
}

impl Run for GrowRootArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        let done = self.new.grow(call, "root")?;
        if self.allow_start {
            call.inform(
                call.command.name,
                "the qube was not started: it makes its root file system larger at its next start",
            );
        }
        Ok(done)
    }
}

impl NewSize {
    fn grow(&self, call: &mut Invocation, volume: &str) -> Result<u8, Failure> {
        let bytes = size::parse_as_r3(&self.size).ok_or_else(|| {
            Failure::usage(format!(
                "{} is not a size: bytes, or a number with K, M or G",
                quoted(&self.size)
            ))
        })?;
        let context = Context::new(call.system_with_progress()?);
        let name = {
            let qubes = context.read()?;
            call.named_qube(&qubes, &self.qube)?.name.clone()
        };
        resize_to(
            call,
            &context,
            (&name, volume),
            (bytes, &bytes.to_string()),
            Shrinking::Refused,
        )
    }
}
