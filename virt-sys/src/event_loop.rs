//! libvirt's event loop.

use std::sync::OnceLock;

use crate::bindings::*;
use crate::link_error::LinkError;

/// Starts libvirt's event loop in its own thread, once per process. It runs until the process ends.
///
/// Only connections that are opened afterwards take part in it. The loop also answers the daemon's
/// keepalive messages; without it the daemon would close such a connection.
pub(crate) fn start_loop() -> Result<(), LinkError> {
    static STARTED: OnceLock<Result<(), LinkError>> = OnceLock::new();
    let started = STARTED.get_or_init(|| {
        // SAFETY: called once, before any connection that uses it is opened.
        if unsafe { virEventRegisterDefaultImpl() } < 0 {
            return Err(LinkError::last());
        }
        let run = || {
            // SAFETY: the event loop is registered, and only this thread runs it.
            while unsafe { virEventRunDefaultImpl() } == 0 {}
        };
        match std::thread::Builder::new()
            .name("libvirt-events".to_string())
            .spawn(run)
        {
            Ok(_) => Ok(()),
            Err(error) => Err(LinkError {
                code: VIR_ERR_SYSTEM_ERROR,
                message: error.to_string(),
            }),
        }
    });
    started.clone()
}
