//! Finding a qube of the store by its name.

use crate::lifecycle::LifecycleError;
use crate::model::{Qubes, Vm, VmName};

/// Returns the qube of this name.
///
/// # Errors
/// [`LifecycleError::NoSuchQube`].
pub(in crate::lifecycle) fn find<'a>(
    qubes: &'a Qubes,
    name: &VmName,
) -> Result<&'a Vm, LifecycleError> {
    qubes
        .get(name.as_str())
        .ok_or_else(|| LifecycleError::NoSuchQube(name.to_string()))
}
