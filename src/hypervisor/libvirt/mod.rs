//! The hypervisor through libvirt.

mod connection;
mod definitions;
mod device_xml;
mod disks;
mod domain;
mod events;
mod operations;
mod states;

use std::cell::RefCell;
use std::rc::Rc;

use uuid::Uuid;
use virt::domain::Domain;
use virt::error::Error;
use virt_sys::link::Link;

use super::{HypervisorError, StoreIdentity};
use connection::{Connection, is_no_domain, refused, unreachable};
use domain::read_metadata_store;

/// The hypervisor behind libvirt at one URI. A domain is identified by its uuid in qubes.xml.
///
/// Connections are opened when first needed, and again after a loss. In offline mode none is ever
/// opened, and every operation returns [`HypervisorError::Offline`].
#[derive(Debug)]
pub struct Hypervisor {
    uri: String,
    is_offline: bool,
    /// The store that the domains belong to; `None` accepts every domain.
    identity: Option<StoreIdentity>,
    /// The connection of crate `virt`.
    connection: RefCell<Option<Rc<Connection>>>,
    /// The connection for what crate `virt` has no wrapper for.
    link: RefCell<Option<Rc<Link>>>,
}

impl Hypervisor {
    /// Creates the hypervisor at `uri` without opening a connection.
    pub fn new(uri: impl Into<String>) -> Hypervisor {
        Hypervisor {
            uri: uri.into(),
            is_offline: false,
            identity: None,
            connection: RefCell::new(None),
            link: RefCell::new(None),
        }
    }

    /// Creates the hypervisor of offline mode, which never connects to `uri`.
    pub fn offline(uri: impl Into<String>) -> Hypervisor {
        Hypervisor {
            is_offline: true,
            ..Hypervisor::new(uri)
        }
    }

    /// Limits the domains to those of one store. A copy of a store has the same uuids.
    pub fn for_store(self, identity: StoreIdentity) -> Hypervisor {
        Hypervisor {
            identity: Some(identity),
            ..self
        }
    }

    /// Returns the URI of the connection, as the record of a started qube stores it.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Returns an error with `purpose` ("starting a qube") in offline mode.
    fn require_online(&self, purpose: &'static str) -> Result<(), HypervisorError> {
        match self.is_offline {
            true => Err(HypervisorError::Offline(purpose)),
            false => Ok(()),
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

#[cfg(test)]
mod tests;
