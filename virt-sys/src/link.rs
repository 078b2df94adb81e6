//! A safe connection for what crate `virt` has no wrapper for: the statistics of all domains, and their events.

use std::ffi::{CStr, CString, c_uint};
use std::fmt;
use std::ptr::null_mut;

use crate::bindings::*;
use crate::events;
use crate::library::{LoadError, load};

/// What libvirt said when it refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkError {
    /// libvirt's number, `VIR_ERR_*`.
    pub code: virErrorNumber,
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
        LinkError { code: VIR_ERR_NO_SUPPORT, message: error.to_string() }
    }
}

impl LinkError {
    /// The last error of this thread.
    pub(crate) fn last() -> LinkError {
        // SAFETY: the function takes nothing; it returns null or this thread's error, valid until the next call.
        let error = unsafe { virGetLastError() };
        if error.is_null() {
            return LinkError { code: VIR_ERR_INTERNAL_ERROR, message: "libvirt gave no reason".to_string() };
        }
        // SAFETY: not null, so it points to libvirt's error record, whose message is null or a C string.
        let (code, message) = unsafe { ((*error).code, (*error).message) };
        let message = if message.is_null() {
            "libvirt gave no reason".to_string()
        } else {
            // SAFETY: see above.
            unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned()
        };
        LinkError { code: code as virErrorNumber, message }
    }
}

/// One running domain, as the statistics call reports it. What the driver does not tell is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    pub uuid: [u8; 16],
    pub name: String,
    /// The hypervisor's number; `None` once the domain is gone.
    pub id: Option<u32>,
    /// `VIR_DOMAIN_RUNNING` and its like.
    pub state: Option<virDomainState>,
    /// KiB the domain has now.
    pub memory_kib: Option<u64>,
    /// KiB it may have.
    pub max_memory_kib: Option<u64>,
    pub vcpus: Option<u32>,
    /// Nanoseconds of processor time.
    pub cpu_time_ns: Option<u64>,
}

/// A connection to libvirt, closed when dropped.
#[derive(Debug)]
pub struct Link {
    pub(crate) connection: virConnectPtr,
}

impl Link {
    /// Opens a connection.
    ///
    /// # Errors
    /// The library is missing, or libvirt cannot reach what `uri` names.
    pub fn open(uri: &str) -> Result<Link, LinkError> {
        load()?;
        let Ok(uri) = CString::new(uri) else {
            return Err(LinkError { code: VIR_ERR_INVALID_ARG, message: "the URI contains a NUL".to_string() });
        };
        // SAFETY: the argument is a C string.
        let connection = unsafe { virConnectOpen(uri.as_ptr()) };
        if connection.is_null() { Err(LinkError::last()) } else { Ok(Link { connection }) }
    }

    /// Opens a connection that can deliver events: libvirt decides at the opening whether one can.
    ///
    /// # Errors
    /// As [`Link::open`]; also when the event loop cannot be started.
    pub fn open_with_events(uri: &str) -> Result<Link, LinkError> {
        load()?;
        events::start_loop()?;
        Link::open(uri)
    }

    /// The name of the domain of this uuid if it runs (paused ones run too); `None` for one that is not
    /// defined or does not run.
    ///
    /// # Errors
    /// What libvirt says, a lost connection among it.
    pub fn running_name(&self, uuid: &[u8; 16]) -> Result<Option<String>, LinkError> {
        // SAFETY: the connection is open, the uuid is 16 bytes long.
        let domain = unsafe { virDomainLookupByUUID(self.connection, uuid.as_ptr()) };
        let name = if domain.is_null() {
            Err(LinkError::last())
        } else {
            // SAFETY: a domain handle from libvirt.
            let active = unsafe { virDomainIsActive(domain) };
            let name = if active < 0 { Err(LinkError::last()) } else { Ok((active == 1).then(|| name_of(domain))) };
            // SAFETY: our only reference, given back once.
            unsafe { virDomainFree(domain) };
            name
        };
        match name {
            Err(error) if error.code == VIR_ERR_NO_DOMAIN => Ok(None),
            other => other,
        }
    }

    /// Sends a running domain to sleep (S3); it lives on in its memory and is woken by `virDomainPMWakeup`.
    ///
    /// # Errors
    /// What libvirt says; the guest, or the driver, may not be able to.
    pub fn suspend_to_ram(&self, uuid: &[u8; 16]) -> Result<(), LinkError> {
        // SAFETY: the connection is open, the uuid is 16 bytes long.
        let domain = unsafe { virDomainLookupByUUID(self.connection, uuid.as_ptr()) };
        if domain.is_null() {
            return Err(LinkError::last());
        }
        // SAFETY: a domain handle from libvirt; duration and flags must be 0.
        let done = unsafe { virDomainPMSuspendForDuration(domain, VIR_NODE_SUSPEND_TARGET_MEM, 0, 0) };
        let result = if done < 0 { Err(LinkError::last()) } else { Ok(()) };
        // SAFETY: our only reference, given back once.
        unsafe { virDomainFree(domain) };
        result
    }

    /// All running domains with their memory, processors and time, in one call.
    ///
    /// # Errors
    /// What libvirt says; `VIR_ERR_NO_SUPPORT` where the driver has no such call (Xen's).
    pub fn statistics(&self) -> Result<Vec<Statistics>, LinkError> {
        let wanted =
            VIR_DOMAIN_STATS_STATE | VIR_DOMAIN_STATS_CPU_TOTAL | VIR_DOMAIN_STATS_BALLOON | VIR_DOMAIN_STATS_VCPU;
        // Not waiting: a domain that is busy starting or stopping still reports its state.
        let flags = VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT;
        let mut records: *mut virDomainStatsRecordPtr = null_mut();
        // SAFETY: the connection is open; libvirt stores an array of its own in `records`.
        let count = unsafe { virConnectGetAllDomainStats(self.connection, wanted, &mut records, flags as c_uint) };
        let Ok(count) = usize::try_from(count) else {
            return Err(LinkError::last());
        };
        // SAFETY: libvirt's array has `count` pointers to records that live until the list is freed below.
        let found = (0..count).filter_map(|at| unsafe { (*records.add(at)).as_ref() }.and_then(read_record)).collect();
        // SAFETY: the array is libvirt's and nobody keeps a pointer into it.
        unsafe { virDomainStatsRecordListFree(records) };
        Ok(found)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // SAFETY: our reference, given back once. A connection that was lost is closed like any other.
        unsafe { virConnectClose(self.connection) };
    }
}

/// The name that a domain handle carries; empty if it has none.
fn name_of(domain: virDomainPtr) -> String {
    // SAFETY: a domain handle from libvirt; the name lives as long as the handle.
    let name = unsafe { virDomainGetName(domain) };
    if name.is_null() {
        return String::new();
    }
    // SAFETY: not null, so it is libvirt's C string, copied before the handle is given back.
    unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()
}

/// Reads one record; `None` when libvirt cannot even tell its uuid.
fn read_record(record: &virDomainStatsRecord) -> Option<Statistics> {
    let mut uuid = [0; 16];
    // SAFETY: the record's domain handle lives as long as the record; the buffer has VIR_UUID_BUFLEN bytes.
    if unsafe { virDomainGetUUID(record.dom, uuid.as_mut_ptr()) } < 0 {
        return None;
    }
    // SAFETY: as above. Without an id (u32::MAX) the domain does not run any more.
    let id = unsafe { virDomainGetID(record.dom) };
    let parameters: &[virTypedParameter] = match usize::try_from(record.nparams) {
        Ok(count) if !record.params.is_null() => {
            // SAFETY: libvirt's array of `nparams` parameters, alive as long as the record.
            unsafe { std::slice::from_raw_parts(record.params, count) }
        }
        _ => &[],
    };
    let number = |name: &CStr| parameters.iter().find(|p| is_named(p, name)).and_then(read_number);
    let small = |name: &CStr| number(name).and_then(|n| u32::try_from(n).ok());
    Some(Statistics {
        uuid,
        name: name_of(record.dom),
        id: (id != c_uint::MAX).then_some(id),
        state: small(c"state.state"),
        memory_kib: number(c"balloon.current"),
        max_memory_kib: number(c"balloon.maximum"),
        vcpus: small(c"vcpu.current"),
        cpu_time_ns: number(c"cpu.time"),
    })
}

fn is_named(parameter: &virTypedParameter, name: &CStr) -> bool {
    let wanted = name.to_bytes_with_nul();
    parameter.field.len() >= wanted.len() && parameter.field.iter().zip(wanted).all(|(a, b)| *a as u8 == *b)
}

/// The value of a parameter that holds a whole number, not negative.
fn read_number(parameter: &virTypedParameter) -> Option<u64> {
    // SAFETY: the type tells which member of the union is set.
    unsafe {
        match parameter.type_ as virTypedParameterType {
            VIR_TYPED_PARAM_INT => u64::try_from(parameter.value.i).ok(),
            VIR_TYPED_PARAM_UINT => Some(u64::from(parameter.value.ui)),
            VIR_TYPED_PARAM_LLONG => u64::try_from(parameter.value.l).ok(),
            VIR_TYPED_PARAM_ULLONG => Some(parameter.value.ul),
            _ => None,
        }
    }
}
