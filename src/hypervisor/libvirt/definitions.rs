//! Creating domains, and removing their definitions.

use uuid::Uuid;
use virt::domain::Domain;

use super::Hypervisor;
use super::connection::{Connection, is_no_domain};
use super::domain::{domain_name, has_qubes_metadata, is_active, undefine};
use crate::hypervisor::uri::Family;
use crate::hypervisor::{HypervisorError, Outcome};

impl Hypervisor {
    /// Defines the domain from `xml`, replacing a stale definition of the same uuid or name, and
    /// starts it paused.
    pub fn create_paused(&self, uuid: Uuid, xml: &str) -> Result<(), HypervisorError> {
        self.require_online("starting a qube")?;
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

    /// Removes the definition of a domain that does not run.
    pub fn undefine(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.require_online("removing a domain")?;
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
}

/// Returns the reason why a start must not replace the definition of this name.
fn not_a_qube(name: &str) -> String {
    format!(
        "libvirt has a domain named {name} that is not a qube; rename it (virsh domrename) or \
         rename the qube"
    )
}
