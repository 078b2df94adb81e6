//! Domain events: libvirt's own event loop in a thread, its callbacks as messages.

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::bindings::*;
use crate::link::{Link, LinkError};

/// What a watch hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The domain of this uuid was defined, started, stopped, or else changed its state.
    Domain([u8; 16]),
    /// The connection is gone. That says nothing of any domain.
    Lost,
}

/// Starts libvirt's event loop in a thread of its own, once per process; it runs as long as the
/// process.
///
/// Only connections opened afterwards take part in it. They also answer the daemon's keepalive
/// messages, which a connection that promised to and never runs the loop would be cut off for.
pub(crate) fn start_loop() -> Result<(), LinkError> {
    static STARTED: OnceLock<Result<(), LinkError>> = OnceLock::new();
    let started = STARTED.get_or_init(|| {
        // SAFETY: called once, before any connection that is to use it.
        if unsafe { virEventRegisterDefaultImpl() } < 0 {
            return Err(LinkError::last());
        }
        let run = || {
            // SAFETY: the implementation is registered, and only this thread runs it.
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

/// A registration for the lifecycle events of all domains of one connection, ended when dropped.
#[derive(Debug)]
pub struct Watch<'l> {
    link: &'l Link,
    callback: c_int,
    news: Receiver<News>,
}

impl Link {
    /// Registers for the lifecycle events of all domains and for the loss of the connection. What
    /// happens after this call is not missed; look at the state only after it. One watch at a time
    /// per link.
    ///
    /// # Errors
    /// What libvirt says, for instance when the link was not opened with
    /// [`Link::open_with_events`].
    pub fn watch(&self) -> Result<Watch<'_>, LinkError> {
        let (sender, news) = channel();
        let closing = keep(sender.clone());
        // SAFETY: the callback gets the sender, which lives until libvirt calls `forget` for it.
        let registered = unsafe {
            virConnectRegisterCloseCallback(self.connection, Some(on_close), closing, Some(forget))
        };
        if registered < 0 {
            let error = LinkError::last();
            // SAFETY: libvirt did not take it.
            unsafe { forget(closing) };
            return Err(error);
        }
        let changing = keep(sender);
        // SAFETY: libvirt calls a lifecycle callback with exactly these parameters
        // (libvirt-domain.h, virConnectDomainEventCallback), whatever the generic type says.
        let callback = unsafe {
            let generic = std::mem::transmute::<
                unsafe extern "C" fn(
                    virConnectPtr,
                    virDomainPtr,
                    c_int,
                    c_int,
                    *mut c_void,
                ) -> c_int,
                unsafe extern "C" fn(virConnectPtr, virDomainPtr, *mut c_void),
            >(on_change);
            virConnectDomainEventRegisterAny(
                self.connection,
                std::ptr::null_mut(),
                VIR_DOMAIN_EVENT_ID_LIFECYCLE as c_int,
                Some(generic),
                changing,
                Some(forget),
            )
        };
        if callback < 0 {
            let error = LinkError::last();
            // SAFETY: libvirt did not take the sender; the close callback is ours.
            unsafe {
                forget(changing);
                virConnectUnregisterCloseCallback(self.connection, Some(on_close));
            }
            return Err(error);
        }
        Ok(Watch {
            link: self,
            callback,
            news,
        })
    }
}

impl Watch<'_> {
    /// The next message, or `None` when none came within `limit`.
    pub fn next(&self, limit: Duration) -> Option<News> {
        match self.news.recv_timeout(limit) {
            Ok(news) => Some(news),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(News::Lost),
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        // SAFETY: both registrations are ours and end here; libvirt frees the senders when it is
        // done with them.
        unsafe {
            virConnectDomainEventDeregisterAny(self.link.connection, self.callback);
            virConnectUnregisterCloseCallback(self.link.connection, Some(on_close));
        }
    }
}

/// Hands a sender to libvirt.
fn keep(sender: Sender<News>) -> *mut c_void {
    Box::into_raw(Box::new(sender)).cast()
}

/// Takes back what [`keep`] handed out.
unsafe extern "C" fn forget(opaque: *mut c_void) {
    // SAFETY: libvirt calls this once, with the pointer that `keep` made.
    drop(unsafe { Box::from_raw(opaque.cast::<Sender<News>>()) });
}

unsafe extern "C" fn on_close(_: virConnectPtr, _: c_int, opaque: *mut c_void) {
    // SAFETY: the pointer that `keep` made, alive until `forget`.
    let sender = unsafe { &*opaque.cast::<Sender<News>>() };
    // Nobody listens any more: nothing is lost.
    let _ = sender.send(News::Lost);
}

unsafe extern "C" fn on_change(
    _: virConnectPtr,
    domain: virDomainPtr,
    _event: c_int,
    _detail: c_int,
    opaque: *mut c_void,
) -> c_int {
    let mut uuid = [0; 16];
    // SAFETY: libvirt's handle is valid during the call; the buffer has VIR_UUID_BUFLEN bytes.
    if unsafe { virDomainGetUUID(domain, uuid.as_mut_ptr()) } == 0 {
        // SAFETY: the pointer that `keep` made, alive until `forget`.
        let sender = unsafe { &*opaque.cast::<Sender<News>>() };
        let _ = sender.send(News::Domain(uuid));
    }
    0
}
