//! A safe connection for what crate `virt` does not wrap: domain events and suspending to RAM.

use std::ffi::{CStr, CString};

use crate::bindings::*;
use crate::event_loop::start_loop;
use crate::link_error::LinkError;
use crate::load::load;

/// A connection to libvirt, closed when dropped.
#[derive(Debug)]
pub struct Link {
    pub(crate) connection: virConnectPtr,
}

impl Link {
    /// Opens a connection.
    ///
    /// # Errors
    /// The library is missing, or libvirt cannot connect to `uri`.
    pub fn open(uri: &str) -> Result<Link, LinkError> {
        load()?;
        let Ok(uri) = CString::new(uri) else {
            return Err(LinkError {
                code: VIR_ERR_INVALID_ARG,
                message: "the URI contains a NUL".to_string(),
            });
        };
        // SAFETY: the argument is a C string.
        let connection = unsafe { virConnectOpen(uri.as_ptr()) };
        if connection.is_null() {
            Err(LinkError::last())
        } else {
            Ok(Link { connection })
        }
    }

    /// Opens a connection that delivers events. libvirt requires the event loop to run before.
    ///
    /// # Errors
    /// The same as [`Link::open`], or the event loop cannot be started.
    pub fn open_with_events(uri: &str) -> Result<Link, LinkError> {
        load()?;
        start_loop()?;
        Link::open(uri)
    }

    /// Returns the name of the domain of this uuid; `None` if it is not defined or does not run. A
    /// paused domain counts as running.
    ///
    /// # Errors
    /// libvirt refuses, or the connection is lost.
    pub fn running_name(&self, uuid: &[u8; 16]) -> Result<Option<String>, LinkError> {
        // SAFETY: the connection is open, the uuid is 16 bytes long.
        let domain = unsafe { virDomainLookupByUUID(self.connection, uuid.as_ptr()) };
        let name = if domain.is_null() {
            Err(LinkError::last())
        } else {
            // SAFETY: a domain handle from libvirt.
            let active = unsafe { virDomainIsActive(domain) };
            let name = if active < 0 {
                Err(LinkError::last())
            } else {
                Ok((active == 1).then(|| read_name(domain)))
            };
            // SAFETY: the only reference, freed once.
            unsafe { virDomainFree(domain) };
            name
        };
        match name {
            Err(error) if error.code == VIR_ERR_NO_DOMAIN => Ok(None),
            other => other,
        }
    }

    /// Suspends a running domain to RAM (S3). `virDomainPMWakeup` wakes it.
    ///
    /// # Errors
    /// libvirt refuses; the guest or the driver may not support it.
    pub fn suspend_to_ram(&self, uuid: &[u8; 16]) -> Result<(), LinkError> {
        // SAFETY: the connection is open, the uuid is 16 bytes long.
        let domain = unsafe { virDomainLookupByUUID(self.connection, uuid.as_ptr()) };
        if domain.is_null() {
            return Err(LinkError::last());
        }
        // SAFETY: a domain handle from libvirt; duration and flags must be 0.
        let done =
            unsafe { virDomainPMSuspendForDuration(domain, VIR_NODE_SUSPEND_TARGET_MEM, 0, 0) };
        let result = if done < 0 {
            Err(LinkError::last())
        } else {
            Ok(())
        };
        // SAFETY: the only reference, freed once.
        unsafe { virDomainFree(domain) };
        result
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // SAFETY: the only reference, freed once. A lost connection is closed like any other.
        unsafe { virConnectClose(self.connection) };
    }
}

/// Returns the name of a domain handle; empty if it has none.
fn read_name(domain: virDomainPtr) -> String {
    // SAFETY: a domain handle from libvirt; the name lives as long as the handle.
    let name = unsafe { virDomainGetName(domain) };
    if name.is_null() {
        return String::new();
    }
    // SAFETY: not null, so it is libvirt's C string, copied before the handle is freed.
    unsafe { CStr::from_ptr(name) }
        .to_string_lossy()
        .into_owned()
}
