//! Errors of libvirt.

use std::ffi::CStr;
use std::fmt;

use crate::bindings::*;
use crate::library::LoadError;

/// An error of libvirt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkError {
    /// The error code, `VIR_ERR_*`.
    pub code: virErrorNumber,
    /// libvirt's text for the user, or why the library cannot be opened.
    pub message: String,
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for LinkError {}

impl From<LoadError> for LinkError {
    fn from(error: LoadError) -> LinkError {
        LinkError {
            code: VIR_ERR_NO_SUPPORT,
            message: error.to_string(),
        }
    }
}

impl LinkError {
    /// Returns the last error of this thread.
    pub(crate) fn last() -> LinkError {
        // SAFETY: the function takes nothing; it returns null or this thread's error, valid until
        // the next call.
        let error = unsafe { virGetLastError() };
        if error.is_null() {
            return LinkError {
                code: VIR_ERR_INTERNAL_ERROR,
                message: "libvirt gave no reason".to_string(),
            };
        }
        // SAFETY: not null, so it points to libvirt's error record, whose message is null or a C
        // string.
        let (code, message) = unsafe { ((*error).code, (*error).message) };
        let message = if message.is_null() {
            "libvirt gave no reason".to_string()
        } else {
            // SAFETY: not null, so it is a C string (see above).
            unsafe { CStr::from_ptr(message) }
                .to_string_lossy()
                .into_owned()
        };
        LinkError {
            code: code as virErrorNumber,
            message,
        }
    }
}
