//! The hypervisor through libvirt.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use uuid::Uuid;
use virt::domain::Domain;
use virt::error::{Error, ErrorNumber};
use virt_sys::link::Link;

use super::connection::{Connection, is_no_domain, refused, refused_with_reason, unreachable};
use super::domain::{
    domain_name, domain_status, has_qubes_metadata, is_active, read_metadata_store, undefine,
};
use super::store_identity::StoreIdentity;
use super::uri::Family;
use super::{AttachedDisk, DomainStatus, Hypervisor, HypervisorError, Outcome, device_xml, events};

/// The error codes of drivers if a guest cannot suspend: QEMU's driver needs the guest's agent, and
/// some drivers do not support the call.
const CANNOT_SUSPEND: [virt_sys::virErrorNumber; 6] = [
    virt_sys::VIR_ERR_NO_SUPPORT,
    virt_sys::VIR_ERR_OPERATION_UNSUPPORTED,
    virt_sys::VIR_ERR_ARGUMENT_UNSUPPORTED,
    virt_sys::VIR_ERR_CONFIG_UNSUPPORTED,
    virt_sys::VIR_ERR_AGENT_UNRESPONSIVE,
    virt_sys::VIR_ERR_AGENT_UNSYNCED,
];

/// The time limit for QEMU to answer an operation, on a busy host.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// The time limit for libvirt to report a domain as inactive after its QEMU has ended.
const INACTIVE_TIMEOUT: Duration = Duration::from_secs(2);

/// The time between two looks at a domain that is to become inactive.
const INACTIVE_POLL: Duration = Duration::from_millis(20);

/// The hypervisor behind libvirt at one URI. Connections are opened when first needed, and again
/// after a loss.
#[derive(Debug)]
pub struct LibvirtHypervisor {
    uri: String,
    /// The store that the domains belong to; `None` accepts every domain.
    identity: Option<StoreIdentity>,
    /// The connection of crate `virt`.
    connection: RefCell<Option<Rc<Connection>>>,
    /// The connection for what crate `virt` has no wrapper for.
    link: RefCell<Option<Rc<Link>>>,
}

impl LibvirtHypervisor {
    /// Creates the hypervisor at `uri` without opening a connection.
    pub fn new(uri: impl Into<String>) -> LibvirtHypervisor {
        LibvirtHypervisor {
            uri: uri.into(),
            identity: None,
            connection: RefCell::new(None),
            link: RefCell::new(None),
        }
    }

    /// Limits the domains to those of one store. A copy of a store has the same uuids.
    pub fn for_store(self, identity: StoreIdentity) -> LibvirtHypervisor {
        LibvirtHypervisor {
            identity: Some(identity),
            ..self
        }
    }

    /// Returns the open connection, or opens it.
    fn connection(&self) -> Result<Rc<Connection>, HypervisorError> {
        if let Some(open) = &*self.connection.borrow() {
            return Ok(Rc::clone(open));
        }
        let opened = Rc::new(Connection::open(&self.uri)?);
        *self.connection.borrow_mut() = Some(Rc::clone(&opened));
        Ok(opened)
    }

    /// Converts the error of a call: libvirt refused it, or the connection is lost. If it is lost,
    /// the next call reconnects.
    fn convert_error(
        &self,
        connection: &Connection,
        action: &str,
        error: &Error,
    ) -> HypervisorError {
        if connection.is_alive() {
            return refused(action, error);
        }
        *self.connection.borrow_mut() = None;
        unreachable(&self.uri, error.message())
    }

    /// Returns the domain of this uuid, if it is defined and belongs to our store.
    fn find(&self, connection: &Connection, uuid: Uuid) -> Result<Option<Domain>, HypervisorError> {
        let found = self.find_in_any_store(connection, uuid)?;
        Ok(found.filter(|domain| self.belongs_to_store(domain)))
    }

    fn belongs_to_store(&self, domain: &Domain) -> bool {
        let Some(identity) = &self.identity else {
            return true;
        };
        // A domain without a name has been removed meanwhile.
        domain
            .get_name()
            .is_ok_and(|name| identity.owns_domain(&name, || read_metadata_store(domain)))
    }

    /// Returns the domain of this uuid, of any store.
    fn find_in_any_store(
        &self,
        connection: &Connection,
        uuid: Uuid,
    ) -> Result<Option<Domain>, HypervisorError> {
        match Domain::lookup_by_uuid(connection.get(), uuid) {
            Ok(domain) => Ok(Some(domain)),
            Err(error) if is_no_domain(&error) => Ok(None),
            Err(error) => {
                Err(self.convert_error(connection, &format!("look up domain {uuid}"), &error))
            }
        }
    }

    /// Returns the domain of this uuid, if it is defined, and the connection that found it.
    /// Reconnects if the connection was lost: a restarted daemon still knows its domains.
    fn look_up(&self, uuid: Uuid) -> Result<(Rc<Connection>, Option<Domain>), HypervisorError> {
        let connection = self.connection()?;
        match self.find(&connection, uuid) {
            Err(HypervisorError::Unreachable { .. }) => {
                let reconnected = self.connection()?;
                let found = self.find(&reconnected, uuid)?;
                Ok((reconnected, found))
            }
            found => Ok((connection, found?)),
        }
    }

    /// Runs an operation on a domain that may stop before or during it. If the domain stops, the
    /// outcome is [`Outcome::Absent`], whatever the error of the operation (such as a closed QEMU
    /// monitor).
    fn run<T>(
        &self,
        uuid: Uuid,
        verb: &str,
        operation: impl Fn(&Domain) -> Result<T, Error>,
    ) -> Result<Outcome, HypervisorError> {
        let (connection, domain) = self.look_up(uuid)?;
        let Some(domain) = domain else {
            return Ok(Outcome::Absent);
        };
        let is_not_running = |error: &Error| error.code() == ErrorNumber::OperationInvalid;
        let deadline = Instant::now() + INACTIVE_TIMEOUT;
        let mut answer = operation(&domain);
        // Another process is starting the domain: it is active in one moment and not in the next,
        // and the operation may meet each of them.
        while answer.as_ref().is_err_and(is_not_running)
            && is_active(&domain)
            && Instant::now() < deadline
        {
            thread::sleep(INACTIVE_POLL);
            answer = operation(&domain);
        }
        match answer {
            Ok(_) => Ok(Outcome::Done),
            Err(error) if is_no_domain(&error) => Ok(Outcome::Absent),
            Err(_) if becomes_inactive(&domain) => Ok(Outcome::Absent),
            Err(error) => {
                Err(self.convert_error(&connection, &format!("{verb} domain {uuid}"), &error))
            }
        }
    }

    /// Runs an operation that waits for the domain's QEMU, which may hang. It runs in a thread with
    /// its own connection; after a timeout the thread lives on until QEMU answers or ends, or this
    /// process ends.
    fn run_with_timeout<T>(
        &self,
        uuid: Uuid,
        verb: &'static str,
        operation: impl Fn(&Domain) -> Result<T, Error> + Send + 'static,
    ) -> Result<Outcome, HypervisorError> {
        let action = || format!("{verb} domain {uuid}");
        let (uri, identity) = (self.uri.clone(), self.identity.clone());
        let (send, receive) = mpsc::channel();
        let spawned = thread::Builder::new().spawn(move || {
            let own = LibvirtHypervisor {
                identity,
                ..LibvirtHypervisor::new(uri)
            };
            // After a timeout the receiver is gone.
            let _too_late = send.send(own.run(uuid, verb, operation));
        });
        spawned.map_err(|error| HypervisorError::Refused {
            action: action(),
            reason: error.to_string(),
        })?;
        let no_answer = |_| HypervisorError::NoAnswer {
            action: action(),
            seconds: ANSWER_TIMEOUT.as_secs(),
        };
        receive.recv_timeout(ANSWER_TIMEOUT).map_err(no_answer)?
    }

    /// Removes the stale definitions of the same uuid or name that would prevent a new one. Under
    /// QEMU, refuses to remove domains that are not qubes.
    fn remove_stale_definitions(
        &self,
        connection: &Connection,
        uuid: Uuid,
        name: Option<&str>,
    ) -> Result<(), HypervisorError> {
        let action = format!("start domain {uuid}");
        let refuse = |reason: String| HypervisorError::Refused {
            action: action.clone(),
            reason,
        };
        if let Some(domain) = self.find_in_any_store(connection, uuid)? {
            let belongs_to_store = self.belongs_to_store(&domain);
            let domain_name = || domain.get_name().unwrap_or_default();
            if is_active(&domain) {
                return Err(match belongs_to_store {
                    true => refuse("it is already running".to_string()),
                    false => HypervisorError::SameUuid {
                        uuid,
                        name: domain_name(),
                    },
                });
            }
            if !belongs_to_store
                && Family::from_uri(&self.uri) == Family::Qemu
                && !has_qubes_metadata(&domain)
            {
                return Err(refuse(not_a_qube(&domain_name())));
            }
            self.remove_definition(connection, &domain, &action)?;
        }
        let Some(name) = name else { return Ok(()) };
        let namesake = match Domain::lookup_by_name(connection.get(), name) {
            Ok(domain) => domain,
            Err(error) if is_no_domain(&error) => return Ok(()),
            Err(error) => return Err(self.convert_error(connection, &action, &error)),
        };
        if is_active(&namesake) {
            return Err(refuse(format!("another domain named {name} is running")));
        }
        if Family::from_uri(&self.uri) == Family::Qemu && !has_qubes_metadata(&namesake) {
            return Err(refuse(not_a_qube(name)));
        }
        self.remove_definition(connection, &namesake, &action)
    }

    /// Removes the definition of a domain, with everything that libvirt keeps beside it.
    fn remove_definition(
        &self,
        connection: &Connection,
        domain: &Domain,
        action: &str,
    ) -> Result<(), HypervisorError> {
        match undefine(domain) {
            Err(error) if !is_no_domain(&error) => {
                Err(self.convert_error(connection, action, &error))
            }
            _ => Ok(()),
        }
    }

    /// Returns the open link, or opens it.
    fn link(&self) -> Result<Rc<Link>, HypervisorError> {
        if let Some(open) = &*self.link.borrow() {
            return Ok(Rc::clone(open));
        }
        virt_sys::load().map_err(|error| HypervisorError::NoLibrary(error.to_string()))?;
        let opened =
            Rc::new(Link::open(&self.uri).map_err(|error| unreachable(&self.uri, &error.message))?);
        *self.link.borrow_mut() = Some(Rc::clone(&opened));
        Ok(opened)
    }
}

impl Hypervisor for LibvirtHypervisor {
    fn uri(&self) -> &str {
        &self.uri
    }

    // This lists the domains, then calls virDomainGetInfo for each, which answers from libvirt's
    // own data. virConnectGetAllDomainStats would query each QEMU and block on one that hangs, even
    // with VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT, which skips only busy ones.
    fn states(&self) -> Result<HashMap<Uuid, DomainStatus>, HypervisorError> {
        let mut connection = self.connection()?;
        let list = |connection: &Connection| {
            let listed = connection
                .get()
                .list_all_domains(virt_sys::VIR_CONNECT_LIST_DOMAINS_ACTIVE);
            listed.map_err(|error| self.convert_error(connection, "list the domains", &error))
        };
        let domains = match list(&connection) {
            // The daemon may have been restarted since the last call.
            Err(HypervisorError::Unreachable { .. }) => {
                connection = self.connection()?;
                list(&connection)?
            }
            listed => listed?,
        };
        let mut states = HashMap::with_capacity(domains.len());
        for domain in domains
            .iter()
            .filter(|domain| self.belongs_to_store(domain))
        {
            let failed = |error: &Error| {
                self.convert_error(&connection, "read the state of a domain", error)
            };
            let uuid = domain.get_uuid().map_err(|error| failed(&error))?;
            match domain.get_info() {
                Ok(info) => {
                    states.insert(uuid, domain_status(domain.get_id(), &info));
                }
                Err(error) if is_no_domain(&error) => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        Ok(states)
    }

    fn state(&self, uuid: Uuid) -> Result<Option<DomainStatus>, HypervisorError> {
        let (connection, domain) = self.look_up(uuid)?;
        let Some(domain) = domain else {
            return Ok(None);
        };
        match domain.get_info() {
            Ok(info) => {
                // The ID in the handle may be older than the domain's end.
                let dying = info.state == virt_sys::VIR_DOMAIN_SHUTOFF;
                let id = domain.get_id().filter(|_| !dying || is_active(&domain));
                Ok(Some(domain_status(id, &info)))
            }
            Err(error) if is_no_domain(&error) => Ok(None),
            Err(error) => Err(self.convert_error(
                &connection,
                &format!("read the state of domain {uuid}"),
                &error,
            )),
        }
    }

    fn create_paused(&self, uuid: Uuid, xml: &str) -> Result<(), HypervisorError> {
        let (connection, _) = self.look_up(uuid)?;
        let action = format!("start domain {uuid}");
        if xml.contains('\0') {
            let reason = "its description contains a NUL character".to_string();
            return Err(HypervisorError::Refused { action, reason });
        }
        self.remove_stale_definitions(&connection, uuid, domain_name(xml).as_deref())?;
        let domain = Domain::define_xml(connection.get(), xml)
            .map_err(|error| self.convert_error(&connection, &action, &error))?;
        if let Err(error) = domain.create_with_flags(virt_sys::VIR_DOMAIN_START_PAUSED) {
            let error = self.convert_error(&connection, &action, &error);
            // Remove the definition of a failed start. If that fails too, the next start removes
            // it.
            let _left = undefine(&domain);
            return Err(error);
        }
        Ok(())
    }

    fn resume(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.run_with_timeout(uuid, "unpause", Domain::resume)
    }

    fn pause(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.run_with_timeout(uuid, "pause", Domain::suspend)
    }

    fn suspend(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        let Some(domain) = self.look_up(uuid)?.1 else {
            return Ok(Outcome::Absent);
        };
        // Suspending is rare, so the daemon may have been restarted since the link was opened: use
        // a new link.
        *self.link.borrow_mut() = None;
        match self.link()?.suspend_to_ram(uuid.as_bytes()) {
            Ok(()) => Ok(Outcome::Done),
            Err(error) if error.code == virt_sys::VIR_ERR_NO_DOMAIN => Ok(Outcome::Absent),
            Err(error) if CANNOT_SUSPEND.contains(&error.code) => self.pause(uuid),
            Err(_) if becomes_inactive(&domain) => Ok(Outcome::Absent),
            Err(error) => {
                // Query the state over a new connection, which also shows whether libvirt is still
                // reachable.
                *self.link.borrow_mut() = None;
                match self
                    .state(uuid)?
                    .is_some_and(|status| status.state.is_active())
                {
                    true => Err(refused_with_reason(
                        &format!("suspend domain {uuid}"),
                        &error.message,
                    )),
                    false => Ok(Outcome::Absent),
                }
            }
        }
    }

    fn wake_up(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.run_with_timeout(uuid, "wake", |domain| domain.pm_wakeup(0))
    }

    fn shutdown(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.run_with_timeout(uuid, "shut down", Domain::shutdown)
    }

    fn destroy(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        let was_active = match self.look_up(uuid)? {
            (_, Some(domain)) => is_active(&domain),
            (_, None) => false,
        };
        match self.run(uuid, "kill", Domain::destroy)? {
            // libvirt kills QEMU first and then waits for other jobs of the domain. If such a job
            // has noticed the end (as in a daemon that was just restarted and reconnects to its
            // domains), libvirt reports that the domain does not run.
            Outcome::Absent if was_active => Ok(Outcome::Done),
            outcome => Ok(outcome),
        }
    }

    fn undefine(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        let (connection, domain) = self.look_up(uuid)?;
        let Some(domain) = domain else {
            return Ok(Outcome::Absent);
        };
        let action = format!("remove domain {uuid}");
        if is_active(&domain) {
            return Err(HypervisorError::Refused {
                action,
                reason: "it is running".to_string(),
            });
        }
        self.remove_definition(&connection, &domain, &action)
            .map(|()| Outcome::Done)
    }

    fn resize_disk(
        &self,
        uuid: Uuid,
        source: &Path,
        bytes: u64,
    ) -> Result<Outcome, HypervisorError> {
        let invalid_path = || HypervisorError::Refused {
            action: "resize a disk".to_string(),
            reason: format!(
                "{} is not valid UTF-8 or contains a NUL character",
                source.display()
            ),
        };
        let source = source
            .to_str()
            .filter(|text| !text.contains('\0'))
            .ok_or_else(invalid_path)?;
        let in_bytes = virt_sys::VIR_DOMAIN_BLOCK_RESIZE_BYTES;
        let source = source.to_string();
        self.run_with_timeout(uuid, "resize a disk of", move |domain| {
            domain.block_resize(&source, bytes, in_bytes)
        })
    }

    fn free_memory_mib(&self) -> Result<u64, HypervisorError> {
        let connection = self.connection()?;
        let bytes = connection.get().get_free_memory();
        bytes
            .map(|bytes| bytes >> 20)
            .map_err(|error| self.convert_error(&connection, "read the free memory", &error))
    }

    fn disks(&self, uuid: Uuid) -> Result<Option<Vec<AttachedDisk>>, HypervisorError> {
        let connection = self.connection()?;
        let Some(domain) = self.find(&connection, uuid)? else {
            return Ok(None);
        };
        match domain.get_xml_desc(0) {
            Ok(xml) if is_active(&domain) => Ok(Some(
                device_xml::parse_disks(&xml)
                    .into_iter()
                    .map(|d| d.disk)
                    .collect(),
            )),
            Ok(_) => Ok(None),
            Err(error) if is_no_domain(&error) => Ok(None),
            Err(error) => Err(self.convert_error(
                &connection,
                &format!("list the disks of domain {uuid}"),
                &error,
            )),
        }
    }

    fn disks_in_use(&self) -> Result<Vec<(Uuid, AttachedDisk)>, HypervisorError> {
        let connection = self.connection()?;
        let action = "list the disks of the domains";
        let domains = connection
            .get()
            .list_all_domains(virt_sys::VIR_CONNECT_LIST_DOMAINS_ACTIVE)
            .map_err(|error| self.convert_error(&connection, action, &error))?;
        let mut in_use = Vec::new();
        for domain in &domains {
            match domain
                .get_uuid()
                .and_then(|uuid| Ok((uuid, domain.get_xml_desc(0)?)))
            {
                Ok((uuid, xml)) => in_use.extend(
                    device_xml::parse_disks(&xml)
                        .into_iter()
                        .map(|d| (uuid, d.disk)),
                ),
                Err(error) if is_no_domain(&error) => {}
                Err(error) => return Err(self.convert_error(&connection, action, &error)),
            }
        }
        Ok(in_use)
    }

    fn attach_disk(&self, uuid: Uuid, xml: &str) -> Result<Outcome, HypervisorError> {
        if xml.contains('\0') {
            let (action, reason) = (
                "attach a disk".to_string(),
                "its description contains a NUL character".to_string(),
            );
            return Err(HypervisorError::Refused { action, reason });
        }
        self.run(uuid, "attach a disk to", |domain| {
            domain.attach_device_flags(xml, virt_sys::VIR_DOMAIN_AFFECT_LIVE)
        })
    }

    fn detach_disk(&self, uuid: Uuid, target: &str) -> Result<Outcome, HypervisorError> {
        self.run(uuid, &format!("detach disk {target} from"), |domain| {
            let xml = domain.get_xml_desc(0)?;
            match device_xml::parse_disks(&xml)
                .into_iter()
                .find(|d| d.disk.target == target)
            {
                Some(found) => domain
                    .detach_device_flags(found.xml, virt_sys::VIR_DOMAIN_AFFECT_LIVE)
                    .map(drop),
                // Another process has detached it already.
                None => Ok(()),
            }
        })
    }

    fn wait_while(
        &self,
        uuid: Uuid,
        limit: Option<Duration>,
        keep_waiting: &mut dyn FnMut() -> bool,
    ) -> Result<bool, HypervisorError> {
        let belongs_to_store = |name: &str| {
            let read_store = || {
                // Not kept open: a monitor waits here as long as its qube runs.
                let connection = Connection::open(&self.uri).ok()?;
                read_metadata_store(&self.find_in_any_store(&connection, uuid).ok()??)
            };
            self.identity
                .as_ref()
                .is_none_or(|identity| identity.owns_domain(name, read_store))
        };
        events::wait_while(&self.uri, uuid, limit, &belongs_to_store, keep_waiting)
    }
}

/// Returns whether a domain is inactive, or becomes inactive within [`INACTIVE_TIMEOUT`]. An
/// operation during the end of QEMU fails before libvirt has noticed that end. Returns false if
/// libvirt does not know.
fn becomes_inactive(domain: &Domain) -> bool {
    let deadline = Instant::now() + INACTIVE_TIMEOUT;
    loop {
        match domain.is_active() {
            Ok(true) if Instant::now() < deadline => thread::sleep(INACTIVE_POLL),
            Ok(is_active) => return !is_active,
            Err(error) => return is_no_domain(&error),
        }
    }
}

/// Returns the reason why a start must not replace the definition of this name.
fn not_a_qube(name: &str) -> String {
    format!(
        "libvirt has a domain named {name} that is not a qube; rename it (virsh domrename) or \
         rename the qube"
    )
}

#[cfg(test)]
mod tests;
