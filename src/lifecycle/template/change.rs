//! R3's commands for a template's root volume: commit, revert and trim (`docs/spec/r3-start.md`
//! §6), with the meaning they have today (`docs/earlier.md`).

use crate::fs::holes::find_zero_runs;
use crate::lifecycle::reconcile;
use crate::lifecycle::volume::{self, VolumeContent};
use crate::lifecycle::{Context, LifecycleError, conversion, qube};
use crate::model::{Class, VmName};
use crate::storage::{Progress, VmStorage, VolumeKind};

/// Commits what a halted template wrote, if that was not done when it stopped, and checks that
/// all its images exist.
///
/// # Errors
/// The qube is not a template, it runs, or an image is missing.
pub fn commit(context: &Context, name: &VmName) -> Result<(), LifecycleError> {
    require_template(context, name)?;
    let (_lock, qubes) = reconcile::lock_halted(context, name)?;
    let vm = qube::find(&qubes, name)?;
    Ok(VmStorage::for_qube(&context.system, &qubes, vm, context.facts())?.verify()?)
}

/// Reverts the root volume of a halted template to its newest revision. The current data become
/// a revision.
///
/// # Errors
/// The qube is not a template, it runs, or it has no revision.
pub fn revert(context: &Context, name: &VmName) -> Result<(), LifecycleError> {
    require_template(context, name)?;
    volume::revert(context, name, "root", None)
}

/// Frees the blocks of a halted template's root volume that contain only zeros. Returns how
/// many bytes that are and reports the copy to `progress`. The previous data become a revision,
/// which shares all other blocks.
///
/// # Errors
/// The qube is not a template, it runs, or its image cannot be read or written.
pub fn trim(
    context: &Context,
    name: &VmName,
    progress: &dyn Progress,
) -> Result<u64, LifecycleError> {
    require_template(context, name)?;
    let (data, used) = {
        let (_lock, qubes) = reconcile::lock_halted(context, name)?;
        volume::with_volume(
            context,
            &qubes,
            qube::find(&qubes, name)?,
            "root",
            |root, driver| match root.kind() {
                VolumeKind::Origin => Ok((driver.open_committed_data(root)?, driver.usage(root)?)),
                _ => Err(volume::refused(root, "it is not kept from start to start")),
            },
        )?
    };
    let failed = LifecycleError::cannot("read", &format_args!("{name}:root"));
    let zeros = find_zero_runs(&data.file).map_err(&failed)?;
    let in_zeros = zeros.iter().map(|run| run.end - run.start).sum();
    let bytes = match data.file.metadata().map_err(&failed)?.is_file() {
        true => in_zeros,
        false => allocated_zeros(used, data.size, in_zeros),
    };
    if bytes > 0 {
        volume::replace_data(
            context,
            name,
            "root",
            VolumeContent::Trimmed {
                data: Some(data),
                zeros,
            },
            progress,
        )?;
    }
    Ok(bytes)
}

fn require_template(context: &Context, name: &VmName) -> Result<(), LifecycleError> {
    let qubes = context.read()?;
    let vm = qube::find(&qubes, name)?;
    if vm.class != Class::TemplateVM {
        return Err(LifecycleError::NotATemplate {
            qube: name.clone(),
            class: vm.class.clone(),
        });
    }
    conversion::convert_if_needed(context, &qubes)
}

/// Returns how many allocated bytes of a device are zeros. `in_zeros` also counts blocks that were
/// never written, and `used` is exact only to 0.01 % of `size`.
fn allocated_zeros(used: u64, size: u64, in_zeros: u64) -> u64 {
    let zeros = used.saturating_sub(size.saturating_sub(in_zeros));
    if zeros > size / 10_000 { zeros } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::allocated_zeros;

    #[test]
    fn unwritten_zeros_are_not_counted_as_allocated() {
        assert_eq!(
            allocated_zeros(30 << 20, 1 << 30, (1 << 30) - (10 << 20)),
            20 << 20
        );
        assert_eq!(
            allocated_zeros(10 << 20, 1 << 30, (1 << 30) - (10 << 20)),
            0
        );
        assert_eq!(
            allocated_zeros((10 << 20) + 100_000, 1 << 30, (1 << 30) - (10 << 20)),
            0,
            "the use is not known that exactly"
        );
    }
}
