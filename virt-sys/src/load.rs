//! Opening libvirt.

use std::ffi::c_void;
use std::sync::Once;

use crate::bindings::{virErrorPtr, virSetErrorFunc};
use crate::library::{LIBVIRT, LoadError};

/// Opens `libvirt.so.0`, once per process, and stops it from printing errors to standard error:
/// every call returns them as well. Later calls return the result of the first one.
///
/// # Errors
/// The library is not installed or cannot be used; has the dynamic loader's message.
pub fn load() -> Result<(), LoadError> {
    LIBVIRT.open().map_err(Clone::clone)?;
    static SILENCED: Once = Once::new();
    // SAFETY: the handler has the type that libvirt expects and ignores its arguments.
    SILENCED.call_once(|| unsafe { virSetErrorFunc(std::ptr::null_mut(), Some(print_nothing)) });
    Ok(())
}

unsafe extern "C" fn print_nothing(_: *mut c_void, _: virErrorPtr) {}
