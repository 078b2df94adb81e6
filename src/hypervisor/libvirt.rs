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

use super::connection::{Connection, refused, refused_words, says_no_domain, unreachable};
use super::domain::{domain_name, is_active, is_qubes, live, stated_store, undefine};
use super::store_identity::StoreIdentity;
use super::uri::Family;
use super::{AttachedDisk, DomainStatus, Hypervisor, HypervisorError, Outcome, device_xml, events};

/// How drivers say that a guest cannot sleep: QEMU's asks the guest's agent, and some have no such
/// call.
const CANNOT_SLEEP: [virt_sys::virErrorNumber; 6] = [
    virt_sys::VIR_ERR_NO_SUPPORT,
    virt_sys::VIR_ERR_OPERATION_UNSUPPORTED,
    virt_sys::VIR_ERR_ARGUMENT_UNSUPPORTED,
    virt_sys::VIR_ERR_CONFIG_UNSUPPORTED,
    virt_sys::VIR_ERR_AGENT_UNRESPONSIVE,
    virt_sys::VIR_ERR_AGENT_UNSYNCED,
];

/// How long QEMU may take to answer an order, on a machine that has much else to do.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);

/// How long a domain whose QEMU has just ended may take until libvirt counts it as inactive.
const ENDING: Duration = Duration::from_secs(2);

/// libvirt at one URI. Connections are opened when first needed, and again after one was lost.
#[derive(Debug)]
pub struct LibvirtHypervisor {
    uri: String,
    /// Whose domains these are; without one every domain counts.
    identity: Option<StoreIdentity>,
    /// For orders, through crate `virt`.
    connection: RefCell<Option<Rc<Connection>>>,
    /// For what crate `virt` cannot order.
    link: RefCell<Option<Rc<Link>>>,
}

impl LibvirtHypervisor {
    /// Nothing is opened yet.
    pub fn new(uri: impl Into<String>) -> LibvirtHypervisor {
        LibvirtHypervisor {
            uri: uri.into(),
            identity: None,
            connection: RefCell::new(None),
            link: RefCell::new(None),
        }
    }

    /// Takes only domains of this store for those of its qubes. A copy of a store has the same
    /// uuids.
    pub fn for_store(self, identity: StoreIdentity) -> LibvirtHypervisor {
        LibvirtHypervisor {
            identity: Some(identity),
            ..self
        }
    }

    fn connection(&self) -> Result<Rc<Connection>, HypervisorError> {
        if let Some(open) = &*self.connection.borrow() {
            return Ok(Rc::clone(open));
        }
        let opened = Rc::new(Connection::open(&self.uri)?);
        *self.connection.borrow_mut() = Some(Rc::clone(&opened));
        Ok(opened)
    }

    /// What a failed call means: libvirt declined, or it is not there any more. In that case the
    /// next call connects anew.
    fn sort(&self, connection: &Connection, action: &str, error: &Error) -> HypervisorError {
        if connection.is_alive() {
            return refused(action, error);
        }
        *self.connection.borrow_mut() = None;
        unreachable(&self.uri, error.message())
    }

    /// The domain of this uuid, if it is defined and belongs to our store.
    fn find(&self, connection: &Connection, uuid: Uuid) -> Result<Option<Domain>, HypervisorError> {
        let found = self.find_anybodys(connection, uuid)?;
        Ok(found.filter(|domain| self.is_of_store(domain)))
    }

    fn is_of_store(&self, domain: &Domain) -> bool {
        let Some(identity) = &self.identity else {
            return true;
        };
        // Without a name it has gone meanwhile.
        domain
            .get_name()
            .is_ok_and(|name| identity.owns_domain(&name, || stated_store(domain)))
    }

    /// The domain of this uuid, whosever it is.
    fn find_anybodys(
        &self,
        connection: &Connection,
        uuid: Uuid,
    ) -> Result<Option<Domain>, HypervisorError> {
        match Domain::lookup_by_uuid(connection.get(), uuid) {
            Ok(domain) => Ok(Some(domain)),
            Err(error) if says_no_domain(&error) => Ok(None),
            Err(error) => Err(self.sort(connection, &format!("look up domain {uuid}"), &error)),
        }
    }

    /// The domain of this uuid, if it is defined, with the connection on which it was found: a new
    /// one where the old was lost, for a daemon that was restarted is there again and knows
    /// everything.
    fn look_up(&self, uuid: Uuid) -> Result<(Rc<Connection>, Option<Domain>), HypervisorError> {
        let connection = self.connection()?;
        match self.find(&connection, uuid) {
            Err(HypervisorError::Unreachable { .. }) => {
                let anew = self.connection()?;
                let found = self.find(&anew, uuid)?;
                Ok((anew, found))
            }
            found => Ok((connection, found?)),
        }
    }

    /// Gives one order to a domain that may be gone before, or while, it is given. Whatever the
    /// words in which it failed then (a monitor that hung up, say), the domain is absent.
    fn order<T>(
        &self,
        uuid: Uuid,
        verb: &str,
        order: impl Fn(&Domain) -> Result<T, Error>,
    ) -> Result<Outcome, HypervisorError> {
        let (connection, domain) = self.look_up(uuid)?;
        let Some(domain) = domain else {
            return Ok(Outcome::Absent);
        };
        let is_missed = |error: &Error| error.code() == ErrorNumber::OperationInvalid;
        let mut answer = order(&domain);
        if answer.as_ref().is_err_and(is_missed) && is_active(&domain) {
            // It may not have run when the order came, and somebody has just started it.
            answer = order(&domain);
        }
        match answer {
            Ok(_) => Ok(Outcome::Done),
            Err(error) if says_no_domain(&error) => Ok(Outcome::Absent),
            Err(_) if becomes_inactive(&domain) => Ok(Outcome::Absent),
            Err(error) => Err(self.sort(&connection, &format!("{verb} domain {uuid}"), &error)),
        }
    }

    /// Gives an order that waits for an answer of the domain's QEMU, which may hang. On a
    /// connection of its own: the thread that waits outlives the order, and goes when QEMU answers,
    /// ends, or this process ends.
    fn order_in_time<T>(
        &self,
        uuid: Uuid,
        verb: &'static str,
        order: impl Fn(&Domain) -> Result<T, Error> + Send + 'static,
    ) -> Result<Outcome, HypervisorError> {
        let action = || format!("{verb} domain {uuid}");
        let (uri, identity) = (self.uri.clone(), self.identity.clone());
        let (send, receive) = mpsc::channel();
        let asking = thread::Builder::new().spawn(move || {
            let own = LibvirtHypervisor {
                identity,
                ..LibvirtHypervisor::new(uri)
            };
            // Whoever asked may have given up.
            let _too_late = send.send(own.order(uuid, verb, order));
        });
        asking.map_err(|error| HypervisorError::Refused {
            action: action(),
            reason: error.to_string(),
        })?;
        let no_answer = |_| HypervisorError::NoAnswer {
            action: action(),
            seconds: ANSWER_LIMIT.as_secs(),
        };
        receive.recv_timeout(ANSWER_LIMIT).map_err(no_answer)?
    }

    /// Takes away the definitions that stand in the way of a new one: of the same uuid, and of the
    /// same name if it is ours.
    fn clear_the_way(
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
        if let Some(domain) = self.find_anybodys(connection, uuid)? {
            let is_of_store = self.is_of_store(&domain);
            let its_name = || domain.get_name().unwrap_or_default();
            if is_active(&domain) {
                return Err(match is_of_store {
                    true => refuse("it runs already".to_string()),
                    false => HypervisorError::SameUuid {
                        uuid,
                        name: its_name(),
                    },
                });
            }
            if !is_of_store && Family::from_uri(&self.uri) == Family::Qemu && !is_qubes(&domain) {
                return Err(refuse(not_a_qube(&its_name())));
            }
            self.forget(connection, &domain, &action)?;
        }
        let Some(name) = name else { return Ok(()) };
        let namesake = match Domain::lookup_by_name(connection.get(), name) {
            Ok(domain) => domain,
            Err(error) if says_no_domain(&error) => return Ok(()),
            Err(error) => return Err(self.sort(connection, &action, &error)),
        };
        if is_active(&namesake) {
            return Err(refuse(format!("another domain called {name} runs")));
        }
        if Family::from_uri(&self.uri) == Family::Qemu && !is_qubes(&namesake) {
            return Err(refuse(not_a_qube(name)));
        }
        self.forget(connection, &namesake, &action)
    }

    /// Undefines a domain with everything that libvirt keeps beside its definition.
    fn forget(
        &self,
        connection: &Connection,
        domain: &Domain,
        action: &str,
    ) -> Result<(), HypervisorError> {
        match undefine(domain) {
            Err(error) if !says_no_domain(&error) => Err(self.sort(connection, action, &error)),
            _ => Ok(()),
        }
    }

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

    /// One call for the list and one for each domain: virConnectGetAllDomainStats asks each QEMU
    /// for its memory and processors, also with VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT, which
    /// only spares those that are busy. One that hangs would keep everybody waiting;
    /// virDomainGetInfo answers from what libvirt knows.
    fn states(&self) -> Result<HashMap<Uuid, DomainStatus>, HypervisorError> {
        let mut connection = self.connection()?;
        let list = |connection: &Connection| {
            let listed = connection
                .get()
                .list_all_domains(virt_sys::VIR_CONNECT_LIST_DOMAINS_ACTIVE);
            listed.map_err(|error| self.sort(connection, "list the domains", &error))
        };
        let domains = match list(&connection) {
            // Its daemon may have been restarted since.
            Err(HypervisorError::Unreachable { .. }) => {
                connection = self.connection()?;
                list(&connection)?
            }
            listed => listed?,
        };
        let mut states = HashMap::with_capacity(domains.len());
        for domain in domains.iter().filter(|domain| self.is_of_store(domain)) {
            let failed =
                |error: &Error| self.sort(&connection, "tell the state of a domain", error);
            let uuid = domain.get_uuid().map_err(|error| failed(&error))?;
            match domain.get_info() {
                Ok(info) => {
                    states.insert(uuid, live(domain.get_id(), &info));
                }
                Err(error) if says_no_domain(&error) => {}
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
                // The handle's number may be older than its end.
                let dying = info.state == virt_sys::VIR_DOMAIN_SHUTOFF;
                let id = domain.get_id().filter(|_| !dying || is_active(&domain));
                Ok(Some(live(id, &info)))
            }
            Err(error) if says_no_domain(&error) => Ok(None),
            Err(error) => Err(self.sort(
                &connection,
                &format!("tell the state of domain {uuid}"),
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
        self.clear_the_way(&connection, uuid, domain_name(xml).as_deref())?;
        let domain = Domain::define_xml(connection.get(), xml)
            .map_err(|error| self.sort(&connection, &action, &error))?;
        if let Err(error) = domain.create_with_flags(virt_sys::VIR_DOMAIN_START_PAUSED) {
            let error = self.sort(&connection, &action, &error);
            // Nothing of a failed start stays; if libvirt is gone too, the next start clears it.
            let _left = undefine(&domain);
            return Err(error);
        }
        Ok(())
    }

    fn resume(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.order_in_time(uuid, "unpause", Domain::resume)
    }

    fn pause(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.order_in_time(uuid, "pause", Domain::suspend)
    }

    fn suspend(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        let Some(domain) = self.look_up(uuid)?.1 else {
            return Ok(Outcome::Absent);
        };
        // This is seldom done: not on a link whose daemon may have been restarted since.
        *self.link.borrow_mut() = None;
        match self.link()?.suspend_to_ram(uuid.as_bytes()) {
            Ok(()) => Ok(Outcome::Done),
            Err(error) if error.code == virt_sys::VIR_ERR_NO_DOMAIN => Ok(Outcome::Absent),
            Err(error) if CANNOT_SLEEP.contains(&error.code) => self.pause(uuid),
            Err(_) if becomes_inactive(&domain) => Ok(Outcome::Absent),
            Err(error) => {
                // The next question connects anew, and tells whether there is still somebody to
                // ask.
                *self.link.borrow_mut() = None;
                match self.state(uuid)?.is_some_and(|live| live.state.is_active()) {
                    true => Err(refused_words(
                        &format!("suspend domain {uuid}"),
                        &error.message,
                    )),
                    false => Ok(Outcome::Absent),
                }
            }
        }
    }

    fn wake_up(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.order_in_time(uuid, "wake", |domain| domain.pm_wakeup(0))
    }

    fn shutdown(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.order_in_time(uuid, "shut down", Domain::shutdown)
    }

    fn destroy(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        let was_active = match self.look_up(uuid)? {
            (_, Some(domain)) => is_active(&domain),
            (_, None) => false,
        };
        match self.order(uuid, "kill", Domain::destroy)? {
            // libvirt ends the machine first and then waits for whoever works on the domain: when
            // that was somebody who noticed the end (a daemon that had just been restarted and was
            // finding its domains again), it says that the domain does not run.
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
                reason: "it runs".to_string(),
            });
        }
        self.forget(&connection, &domain, &action)
            .map(|()| Outcome::Done)
    }

    fn resize_disk(
        &self,
        uuid: Uuid,
        source: &Path,
        bytes: u64,
    ) -> Result<Outcome, HypervisorError> {
        let unnamed = || HypervisorError::Refused {
            action: "resize a disk".to_string(),
            reason: format!("{} is no text that libvirt takes", source.display()),
        };
        let source = source
            .to_str()
            .filter(|text| !text.contains('\0'))
            .ok_or_else(unnamed)?;
        let in_bytes = virt_sys::VIR_DOMAIN_BLOCK_RESIZE_BYTES;
        let source = source.to_string();
        self.order_in_time(uuid, "resize a disk of", move |domain| {
            domain.block_resize(&source, bytes, in_bytes)
        })
    }

    fn free_memory_mib(&self) -> Result<u64, HypervisorError> {
        let connection = self.connection()?;
        let bytes = connection.get().get_free_memory();
        bytes
            .map(|bytes| bytes >> 20)
            .map_err(|error| self.sort(&connection, "tell the free memory", &error))
    }

    fn disks(&self, uuid: Uuid) -> Result<Option<Vec<AttachedDisk>>, HypervisorError> {
        let connection = self.connection()?;
        let Some(domain) = self.find(&connection, uuid)? else {
            return Ok(None);
        };
        match domain.get_xml_desc(0) {
            Ok(xml) if is_active(&domain) => Ok(Some(
                device_xml::disks(&xml)
                    .into_iter()
                    .map(|d| d.disk)
                    .collect(),
            )),
            Ok(_) => Ok(None),
            Err(error) if says_no_domain(&error) => Ok(None),
            Err(error) => Err(self.sort(
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
            .map_err(|error| self.sort(&connection, action, &error))?;
        let mut in_use = Vec::new();
        for domain in &domains {
            match domain
                .get_uuid()
                .and_then(|uuid| Ok((uuid, domain.get_xml_desc(0)?)))
            {
                Ok((uuid, xml)) => {
                    in_use.extend(device_xml::disks(&xml).into_iter().map(|d| (uuid, d.disk)))
                }
                Err(error) if says_no_domain(&error) => {}
                Err(error) => return Err(self.sort(&connection, action, &error)),
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
        self.order(uuid, "attach a disk to", |domain| {
            domain.attach_device_flags(xml, virt_sys::VIR_DOMAIN_AFFECT_LIVE)
        })
    }

    fn detach_disk(&self, uuid: Uuid, target: &str) -> Result<Outcome, HypervisorError> {
        self.order(uuid, &format!("detach disk {target} from"), |domain| {
            let xml = domain.get_xml_desc(0)?;
            match device_xml::disks(&xml)
                .into_iter()
                .find(|d| d.disk.target == target)
            {
                Some(found) => domain
                    .detach_device_flags(found.xml, virt_sys::VIR_DOMAIN_AFFECT_LIVE)
                    .map(drop),
                // Somebody else was faster; gone is what was wanted.
                None => Ok(()),
            }
        })
    }

    fn wait_while(
        &self,
        uuid: Uuid,
        limit: Option<Duration>,
        goes_on: &mut dyn FnMut() -> bool,
    ) -> Result<bool, HypervisorError> {
        let is_of_store = |name: &str| {
            let stated = || {
                // Not kept open: a monitor waits here as long as its qube runs.
                let connection = Connection::open(&self.uri).ok()?;
                stated_store(&self.find_anybodys(&connection, uuid).ok()??)
            };
            self.identity
                .as_ref()
                .is_none_or(|identity| identity.owns_domain(name, stated))
        };
        events::wait_while(&self.uri, uuid, limit, &is_of_store, goes_on)
    }
}

/// Whether a domain to which an order failed is inactive, or is so within [`ENDING`]: an order that
/// meets the end of its QEMU fails before libvirt has seen that end. False where libvirt cannot
/// tell.
fn becomes_inactive(domain: &Domain) -> bool {
    let deadline = Instant::now() + ENDING;
    loop {
        match domain.is_active() {
            Ok(true) if Instant::now() < deadline => thread::sleep(Duration::from_millis(20)),
            Ok(is_active) => return !is_active,
            Err(error) => return says_no_domain(&error),
        }
    }
}

fn not_a_qube(name: &str) -> String {
    format!(
        "libvirt has a domain called {name} that is not a qube; rename it there (virsh domrename) or rename the qube"
    )
}

#[cfg(test)]
mod tests;
