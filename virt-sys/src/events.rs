//! Domain events: runs libvirt's event loop in a thread and turns its callbacks into messages.

use std::ffi::{c_int, c_void};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::bindings::*;
use crate::link::Link;
use crate::link_error::LinkError;

/// A message of a [`Watch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The domain of this uuid was defined, started or stopped, or changed its state otherwise.
    Domain([u8; 16]),
    /// The connection is lost. The domains may still run.
    Lost,
}

/// A registration for the lifecycle events of all domains of one connection. Dropping it
/// unregisters.
#[derive(Debug)]
pub struct Watch<'l> {
    link: &'l Link,
    callback: c_int,
    news: Receiver<News>,
}

impl Link {
    /// Registers for the lifecycle events of all domains and for the loss of the connection. No
    /// later event is missed, so read the state after this call. A link has at most one watch at a
    /// time.
    ///
    /// # Errors
    /// libvirt refuses, for instance because the link was not opened with
    /// [`Link::open_with_events`].
    pub fn watch(&self) -> Result<Watch<'_>, LinkError> {
        let (sender, news) = channel();
        let closing = leak_sender(sender.clone());
        // SAFETY: the callback gets the sender, which lives until libvirt calls `free_sender`.
        let registered = unsafe {
            virConnectRegisterCloseCallback(
                self.connection,
                Some(on_close),
                closing,
                Some(free_sender),
            )
        };
        if registered < 0 {
            let error = LinkError::last();
            // SAFETY: libvirt did not take the sender.
            unsafe { free_sender(closing) };
            return Err(error);
        }
        let changing = leak_sender(sender);
        // SAFETY: libvirt calls a lifecycle callback with exactly these parameters
        // (libvirt-domain.h, virConnectDomainEventCallback), although the generic type differs.
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
                Some(free_sender),
            )
        };
        if callback < 0 {
            let error = LinkError::last();
            // SAFETY: libvirt did not take the sender; the close callback was registered above.
            unsafe {
                free_sender(changing);
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
    /// Waits for the next message; returns `None` if none arrives within `limit`.
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
        // SAFETY: this watch made both registrations; libvirt frees the senders once it has
        // finished with them.
        unsafe {
            virConnectDomainEventDeregisterAny(self.link.connection, self.callback);
            virConnectUnregisterCloseCallback(self.link.connection, Some(on_close));
        }
    }
}

/// Returns a pointer to a sender, for libvirt. [`free_sender`] frees it.
fn leak_sender(sender: Sender<News>) -> *mut c_void {
    Box::into_raw(Box::new(sender)).cast()
}

/// Frees a sender of [`leak_sender`].
unsafe extern "C" fn free_sender(opaque: *mut c_void) {
    // SAFETY: libvirt calls this once, with the pointer from `leak_sender`.
    drop(unsafe { Box::from_raw(opaque.cast::<Sender<News>>()) });
}

unsafe extern "C" fn on_close(_: virConnectPtr, _: c_int, opaque: *mut c_void) {
    // SAFETY: the pointer comes from `leak_sender` and is valid until `free_sender`.
    let sender = unsafe { &*opaque.cast::<Sender<News>>() };
    // If the receiver is gone, nobody needs the message.
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
    // SAFETY: the handle is valid during the call; the buffer has VIR_UUID_BUFLEN bytes.
    if unsafe { virDomainGetUUID(domain, uuid.as_mut_ptr()) } == 0 {
        // SAFETY: the pointer comes from `leak_sender` and is valid until `free_sender`.
        let sender = unsafe { &*opaque.cast::<Sender<News>>() };
        let _ = sender.send(News::Domain(uuid));
    }
    0
}
