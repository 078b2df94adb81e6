//! The hypervisor through libvirt.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use quick_xml::events::Event;
use uuid::Uuid;
use virt::domain::Domain;
use virt::error::{Error, ErrorNumber};
use virt_sys::link::{Link, Statistics};

use super::connection::{Connection, refused, says_no_domain, unreachable};
use super::uri::Family;
use super::{Hypervisor, HypervisorError, Live, LiveDisk, Outcome, device_xml, events};
use crate::model::PowerState;

/// What stands in the metadata of the domains that we define: without it, a domain that only has the same name is
/// somebody else's and left alone. (A Xen dom0 of Qubes has no domains but qubes.)
pub const OUR_METADATA: &str = "urn:qubes:domain";

/// libvirt at one URI. Connections are opened when first needed, and again after one was lost.
#[derive(Debug)]
pub struct LibvirtHypervisor {
    uri: String,
    /// For orders, through crate `virt`.
    connection: RefCell<Option<Rc<Connection>>>,
    /// For the statistics of all domains, which crate `virt` does not read.
    link: RefCell<Option<Rc<Link>>>,
}

impl LibvirtHypervisor {
    /// Nothing is opened yet.
    pub fn new(uri: impl Into<String>) -> LibvirtHypervisor {
        LibvirtHypervisor { uri: uri.into(), connection: RefCell::new(None), link: RefCell::new(None) }
    }

    fn connection(&self) -> Result<Rc<Connection>, HypervisorError> {
        if let Some(open) = &*self.connection.borrow() {
            return Ok(Rc::clone(open));
        }
        let opened = Rc::new(Connection::open(&self.uri)?);
        *self.connection.borrow_mut() = Some(Rc::clone(&opened));
        Ok(opened)
    }

    /// What a failed call means: libvirt declined, or it is not there any more. In that case the next call connects anew.
    fn sort(&self, connection: &Connection, action: &str, error: &Error) -> HypervisorError {
        if connection.is_alive() {
            return refused(action, error);
        }
        *self.connection.borrow_mut() = None;
        unreachable(&self.uri, error.message())
    }

    /// The domain of this uuid, if it is defined.
    fn find(&self, connection: &Connection, uuid: Uuid) -> Result<Option<Domain>, HypervisorError> {
        match Domain::lookup_by_uuid(connection.get(), uuid) {
            Ok(domain) => Ok(Some(domain)),
            Err(error) if says_no_domain(&error) => Ok(None),
            Err(error) => Err(self.sort(connection, &format!("look up domain {uuid}"), &error)),
        }
    }

    /// Gives one order to a domain that may be gone before, or while, it is given.
    fn order<T>(
        &self,
        uuid: Uuid,
        verb: &str,
        order: impl FnOnce(&Domain) -> Result<T, Error>,
    ) -> Result<Outcome, HypervisorError> {
        let connection = self.connection()?;
        let Some(domain) = self.find(&connection, uuid)? else {
            return Ok(Outcome::Absent);
        };
        match order(&domain) {
            Ok(_) => Ok(Outcome::Done),
            Err(error) if says_no_domain(&error) => Ok(Outcome::Absent),
            Err(error) if error.code() == ErrorNumber::OperationInvalid && !is_active(&domain) => Ok(Outcome::Absent),
            Err(error) => Err(self.sort(&connection, &format!("{verb} domain {uuid}"), &error)),
        }
    }

    /// Takes away the definitions that stand in the way of a new one: of the same uuid, and of the same name if it is ours.
    fn clear_the_way(&self, connection: &Connection, uuid: Uuid, name: Option<&str>) -> Result<(), HypervisorError> {
        let action = format!("start domain {uuid}");
        let refuse = |reason: String| HypervisorError::Refused { action: action.clone(), reason };
        if let Some(domain) = self.find(connection, uuid)? {
            if is_active(&domain) {
                return Err(refuse("it runs already".to_string()));
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
        if Family::of_uri(&self.uri) == Family::Qemu && !is_ours(&namesake) {
            return Err(refuse(format!(
                "libvirt has a domain called {name} that is no qube; rename it there (virsh domrename) or rename the qube"
            )));
        }
        self.forget(connection, &namesake, &action)
    }

    /// Undefines a domain with everything that libvirt keeps beside its definition.
    fn forget(&self, connection: &Connection, domain: &Domain, action: &str) -> Result<(), HypervisorError> {
        match undefine(domain) {
            Err(error) if !says_no_domain(&error) => Err(self.sort(connection, action, &error)),
            _ => Ok(()),
        }
    }

    /// The states where the driver has no call for the statistics of all: one call for the list, one per domain.
    fn states_one_by_one(&self) -> Result<HashMap<Uuid, Live>, HypervisorError> {
        let connection = self.connection()?;
        let action = "list the domains";
        let domains = connection
            .get()
            .list_all_domains(virt_sys::VIR_CONNECT_LIST_DOMAINS_ACTIVE)
            .map_err(|error| self.sort(&connection, action, &error))?;
        let mut states = HashMap::with_capacity(domains.len());
        for domain in &domains {
            let uuid = domain.get_uuid().map_err(|error| self.sort(&connection, action, &error))?;
            match domain.get_info() {
                Ok(info) => {
                    states.insert(uuid, live(domain.get_id(), &info));
                }
                Err(error) if says_no_domain(&error) => {}
                Err(error) => return Err(self.sort(&connection, action, &error)),
            }
        }
        Ok(states)
    }

    fn link(&self) -> Result<Rc<Link>, HypervisorError> {
        if let Some(open) = &*self.link.borrow() {
            return Ok(Rc::clone(open));
        }
        virt_sys::load().map_err(|error| HypervisorError::NoLibrary(error.to_string()))?;
        let opened = Rc::new(Link::open(&self.uri).map_err(|error| unreachable(&self.uri, &error.message))?);
        *self.link.borrow_mut() = Some(Rc::clone(&opened));
        Ok(opened)
    }
}

impl Hypervisor for LibvirtHypervisor {
    fn uri(&self) -> &str {
        &self.uri
    }

    fn states(&self) -> Result<HashMap<Uuid, Live>, HypervisorError> {
        match self.link()?.statistics() {
            // A driver may have the call and not tell everything.
            Ok(all) if all.iter().all(|one| one.memory_kib.is_some()) => {
                Ok(all.iter().map(|one| (Uuid::from_bytes(one.uuid), live_from_statistics(one))).collect())
            }
            Ok(_) => self.states_one_by_one(),
            Err(error) if error.code == virt_sys::VIR_ERR_NO_SUPPORT => self.states_one_by_one(),
            Err(error) => {
                // The next question connects anew.
                *self.link.borrow_mut() = None;
                Err(unreachable(&self.uri, &error.message))
            }
        }
    }

    fn state(&self, uuid: Uuid) -> Result<Option<Live>, HypervisorError> {
        let connection = self.connection()?;
        let Some(domain) = self.find(&connection, uuid)? else {
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
            Err(error) => Err(self.sort(&connection, &format!("tell the state of domain {uuid}"), &error)),
        }
    }

    fn create_paused(&self, uuid: Uuid, xml: &str) -> Result<(), HypervisorError> {
        let connection = self.connection()?;
        let action = format!("start domain {uuid}");
        if xml.contains('\0') {
            let reason = "its description contains a NUL character".to_string();
            return Err(HypervisorError::Refused { action, reason });
        }
        self.clear_the_way(&connection, uuid, domain_name(xml).as_deref())?;
        let domain =
            Domain::define_xml(connection.get(), xml).map_err(|error| self.sort(&connection, &action, &error))?;
        if let Err(error) = domain.create_with_flags(virt_sys::VIR_DOMAIN_START_PAUSED) {
            let error = self.sort(&connection, &action, &error);
            // Nothing of a failed start stays; if libvirt is gone too, the next start clears it.
            let _left = undefine(&domain);
            return Err(error);
        }
        Ok(())
    }

    fn resume(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.order(uuid, "unpause", Domain::resume)
    }

    fn pause(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.order(uuid, "pause", Domain::suspend)
    }

    fn shutdown(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.order(uuid, "shut down", Domain::shutdown)
    }

    fn destroy(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.order(uuid, "kill", Domain::destroy)
    }

    fn undefine(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        let connection = self.connection()?;
        let Some(domain) = self.find(&connection, uuid)? else {
            return Ok(Outcome::Absent);
        };
        let action = format!("remove domain {uuid}");
        if is_active(&domain) {
            return Err(HypervisorError::Refused { action, reason: "it runs".to_string() });
        }
        self.forget(&connection, &domain, &action).map(|()| Outcome::Done)
    }

    fn disks(&self, uuid: Uuid) -> Result<Option<Vec<LiveDisk>>, HypervisorError> {
        let connection = self.connection()?;
        let Some(domain) = self.find(&connection, uuid)? else { return Ok(None) };
        match domain.get_xml_desc(0) {
            Ok(xml) if is_active(&domain) => Ok(Some(device_xml::disks(&xml).into_iter().map(|d| d.disk).collect())),
            Ok(_) => Ok(None),
            Err(error) if says_no_domain(&error) => Ok(None),
            Err(error) => Err(self.sort(&connection, &format!("list the disks of domain {uuid}"), &error)),
        }
    }

    fn attach_disk(&self, uuid: Uuid, xml: &str) -> Result<Outcome, HypervisorError> {
        if xml.contains('\0') {
            let (action, reason) =
                ("attach a disk".to_string(), "its description contains a NUL character".to_string());
            return Err(HypervisorError::Refused { action, reason });
        }
        self.order(uuid, "attach a disk to", |domain| domain.attach_device_flags(xml, virt_sys::VIR_DOMAIN_AFFECT_LIVE))
    }

    fn detach_disk(&self, uuid: Uuid, target: &str) -> Result<Outcome, HypervisorError> {
        self.order(uuid, &format!("detach disk {target} from"), |domain| {
            let xml = domain.get_xml_desc(0)?;
            match device_xml::disks(&xml).into_iter().find(|d| d.disk.target == target) {
                Some(found) => domain.detach_device_flags(found.xml, virt_sys::VIR_DOMAIN_AFFECT_LIVE).map(drop),
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
        events::wait_while(&self.uri, uuid, limit, goes_on)
    }
}

/// Whether the domain runs; one that vanished does not.
fn is_active(domain: &Domain) -> bool {
    domain.is_active().unwrap_or(false)
}

/// Whether the definition says that it is a qube's.
fn is_ours(domain: &Domain) -> bool {
    domain.get_xml_desc(0).is_ok_and(|xml| xml.contains(OUR_METADATA))
}

fn undefine(domain: &Domain) -> Result<(), Error> {
    // Not every driver knows the flags; the plain call does where nothing of the kind can exist.
    let everything = virt_sys::VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        | virt_sys::VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        | virt_sys::VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
        | virt_sys::VIR_DOMAIN_UNDEFINE_NVRAM;
    match domain.undefine_flags(everything) {
        Err(error) if matches!(error.code(), ErrorNumber::InvalidArg | ErrorNumber::NoSupport) => domain.undefine(),
        other => other,
    }
}

/// The text of `<domain><name>`.
fn domain_name(xml: &str) -> Option<String> {
    let mut reader = quick_xml::Reader::from_str(xml);
    let mut depth = 0_usize;
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) if depth == 1 && start.name().as_ref() == "name" => {
                let text = reader.read_text(start.name()).ok()?;
                return Some(quick_xml::escape::unescape(&text).ok()?.trim().to_string());
            }
            Event::Start(_) => depth += 1,
            Event::End(_) => depth = depth.checked_sub(1)?,
            Event::Eof => return None,
            _ => {}
        }
    }
}

/// The power state that libvirt's state means for an active domain (`spec/r4-features.md` §7).
fn power_state(state: virt_sys::virDomainState) -> PowerState {
    match state {
        virt_sys::VIR_DOMAIN_RUNNING | virt_sys::VIR_DOMAIN_BLOCKED => PowerState::Running,
        virt_sys::VIR_DOMAIN_PAUSED => PowerState::Paused,
        virt_sys::VIR_DOMAIN_SHUTDOWN => PowerState::Halting,
        virt_sys::VIR_DOMAIN_SHUTOFF => PowerState::Dying,
        virt_sys::VIR_DOMAIN_CRASHED => PowerState::Crashed,
        virt_sys::VIR_DOMAIN_PMSUSPENDED => PowerState::Suspended,
        _ => PowerState::Transient,
    }
}

/// As [`power_state`]; without a number the domain is defined and does not run.
fn state_of(id: Option<u32>, state: virt_sys::virDomainState) -> PowerState {
    if id.is_some() { power_state(state) } else { PowerState::Halted }
}

fn live(id: Option<u32>, info: &virt::domain::DomainInfo) -> Live {
    Live {
        state: state_of(id, info.state),
        id,
        memory_kib: info.memory,
        max_memory_kib: info.max_mem,
        vcpus: info.nr_virt_cpu,
        cpu_time_ns: info.cpu_time,
    }
}

fn live_from_statistics(statistics: &Statistics) -> Live {
    let state = statistics.state.map_or(PowerState::Transient, |state| state_of(statistics.id, state));
    Live {
        state,
        id: statistics.id,
        memory_kib: statistics.memory_kib.unwrap_or(0),
        max_memory_kib: statistics.max_memory_kib.unwrap_or(0),
        vcpus: statistics.vcpus.unwrap_or(0),
        cpu_time_ns: statistics.cpu_time_ns.unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_domains_own() {
        let xml = "<?xml version='1.0'?><domain><!-- <name>x</name> --><metadata><a><name>no</name></a></metadata>\
                   <name>a &amp; b</name></domain>";
        assert_eq!(domain_name(xml).as_deref(), Some("a & b"));
        assert_eq!(domain_name("<domain/>"), None);
        assert_eq!(domain_name("no xml <"), None);
    }

    #[test]
    fn a_domain_without_a_number_is_halted_whatever_its_last_state() {
        assert_eq!(state_of(None, virt_sys::VIR_DOMAIN_CRASHED), PowerState::Halted);
        assert_eq!(state_of(Some(3), virt_sys::VIR_DOMAIN_SHUTOFF), PowerState::Dying);
        assert_eq!(state_of(Some(3), virt_sys::VIR_DOMAIN_PAUSED), PowerState::Paused);
    }
}
