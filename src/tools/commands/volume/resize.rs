//! qvm-volume resize, which qvm-grow-private and qvm-grow-root do as well.

use super::{find_volume, invalid_size, volume_failure};
use crate::lifecycle::volume::{ResizeOutcome, Shrinking};
use crate::lifecycle::{Context, LifecycleError, volume};
use crate::model::VmName;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::output::print_message;
use crate::tools::ui::size;

pub fn resize(
    call: &Invocation,
    context: &Context,
    text: &str,
    wanted: &str,
    force: bool,
) -> Result<u8, Failure> {
    let (name, volume) = find_volume(context, text)?;
    let bytes = size::parse(wanted).ok_or_else(|| invalid_size(wanted))?;
    let shrinking = match force {
        true => Shrinking::Allowed,
        false => Shrinking::Refused,
    };
    resize_to(call, context, (&name, &volume), (bytes, wanted), shrinking)
}

/// Resizes a volume of a qube, and prints what is left to do. The size is given in bytes and as on
/// the command line.
pub fn resize_to(
    call: &Invocation,
    context: &Context,
    (name, volume): (&VmName, &str),
    (bytes, wanted): (u64, &str),
    shrinking: Shrinking,
) -> Result<u8, Failure> {
    match volume::resize(context, name, volume, bytes, shrinking) {
        Ok(ResizeOutcome::Halted) => Ok(0),
        Ok(ResizeOutcome::Running) => {
            call.warn(
                name.as_str(),
                &format!(
                    "its disk has {bytes} bytes now; its file system is made larger by running in \
                     it: \
                     echo {volume} | sudo /etc/qubes-rpc/qubes.ResizeDisk"
                ),
            );
            Ok(0)
        }
        Ok(ResizeOutcome::NextStart) => {
            call.inform(
                name.as_str(),
                &format!("its {volume} volume has {bytes} bytes from its next start on"),
            );
            Ok(0)
        }
        Err(refused @ LifecycleError::WouldShrink { .. }) => {
            print_message(&format!("Error: {refused}"));
            print_message(&format!(
                "If you really know what you are doing: Manually shrink the filesystem on the \
                 volume first, and repartition the volume if it is partitioned. Do this in a VM, \
                 not in dom0. Then use 'qvm-volume resize --force {name}:{volume} {wanted}'"
            ));
            Err(Failure::AlreadyReported(1))
        }
        Err(other) => Err(volume_failure(other)),
    }
}
