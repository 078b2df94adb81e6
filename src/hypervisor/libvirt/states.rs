//! The states of domains, and the free memory of the host.

use std::collections::HashMap;

use uuid::Uuid;
use virt::error::Error;

use super::Hypervisor;
use super::connection::{Connection, is_no_domain};
use super::domain::{domain_status, is_active};
use crate::hypervisor::{DomainStatus, HypervisorError};

impl Hypervisor {
    /// Returns the status of all running domains of our store. A domain that is not listed is
    /// halted. Does not wait for a domain that does not answer.
    pub fn states(&self) -> Result<HashMap<Uuid, DomainStatus>, HypervisorError> {
        self.require_online("the state of the qubes")?;
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
        // virDomainGetInfo answers from libvirt's own data. virConnectGetAllDomainStats would query
        // each QEMU and block on one that hangs, even with
        // VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT, which skips only busy ones.
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

    /// Returns the status of one domain; `None` if it is not defined or belongs to another store.
    pub fn state(&self, uuid: Uuid) -> Result<Option<DomainStatus>, HypervisorError> {
        self.require_online("the state of a qube")?;
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

    /// Returns the free memory of the host, MiB.
    pub fn free_memory_mib(&self) -> Result<u64, HypervisorError> {
        self.require_online("the free memory")?;
        let connection = self.connection()?;
        let bytes = connection.get().get_free_memory();
        bytes
            .map(|bytes| bytes >> 20)
            .map_err(|error| self.convert_error(&connection, "read the free memory", &error))
    }
}
