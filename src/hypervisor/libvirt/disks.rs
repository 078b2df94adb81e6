//! The disks of domains.

use std::path::Path;

use uuid::Uuid;

use super::Hypervisor;
use super::connection::is_no_domain;
use super::device_xml;
use super::domain::is_active;
use crate::hypervisor::{AttachedDisk, HypervisorError, Outcome};

impl Hypervisor {
    /// Returns the disks of a running domain; `None` if it does not run.
    pub fn disks(&self, uuid: Uuid) -> Result<Option<Vec<AttachedDisk>>, HypervisorError> {
        self.require_online("the disks of a qube")?;
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

    /// Returns every disk of every running domain, including domains that are not qubes of this
    /// store.
    pub fn disks_in_use(&self) -> Result<Vec<(Uuid, AttachedDisk)>, HypervisorError> {
        self.require_online("the disks of the domains")?;
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

    /// Tells a running domain the new size, in bytes, of its disk with the file or device `source`.
    pub fn resize_disk(
        &self,
        uuid: Uuid,
        source: &Path,
        bytes: u64,
    ) -> Result<Outcome, HypervisorError> {
        self.require_online("resizing a disk")?;
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

    /// Attaches the disk that `xml` describes to a running domain until it stops.
    pub fn attach_disk(&self, uuid: Uuid, xml: &str) -> Result<Outcome, HypervisorError> {
        self.require_online("attaching a disk")?;
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

    /// Asks a running domain to detach the disk `target`. The guest may take a moment: the disk is
    /// detached once [`Hypervisor::disks`] no longer lists it.
    pub fn detach_disk(&self, uuid: Uuid, target: &str) -> Result<Outcome, HypervisorError> {
        self.require_online("detaching a disk")?;
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
}
