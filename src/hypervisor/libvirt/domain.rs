//! Queries about libvirt's domains: their state, their name and their store.

use quick_xml::events::Event;
use virt::domain::Domain;
use virt::error::{Error, ErrorNumber};

use crate::hypervisor::DomainStatus;
use crate::model::PowerState;

/// The XML namespace of the metadata in the domains that we define. Under QEMU, a domain without it
/// is not a qube and is never replaced. (A Xen dom0 of Qubes has no domains but qubes.)
const METADATA_NAMESPACE: &str = "urn:qubes:domain";

/// Returns whether the domain runs; false if it no longer exists.
pub(super) fn is_active(domain: &Domain) -> bool {
    domain.is_active().unwrap_or(false)
}

/// Returns whether the domain's metadata mark it as a qube, of any store.
pub(super) fn has_qubes_metadata(domain: &Domain) -> bool {
    domain
        .get_xml_desc(0)
        .is_ok_and(|xml| xml.contains(METADATA_NAMESPACE))
}

/// Returns the path of the store in the domain's metadata, if they contain one.
pub(super) fn read_metadata_store(domain: &Domain) -> Option<String> {
    let element = virt_sys::VIR_DOMAIN_METADATA_ELEMENT as i32;
    store_attribute(
        &domain
            .get_metadata(element, Some(METADATA_NAMESPACE), 0)
            .ok()?,
    )
}

/// Returns the attribute `store` of our metadata element.
fn store_attribute(xml: &str) -> Option<String> {
    let mut reader = quick_xml::Reader::from_str(xml);
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) | Event::Empty(start) => {
                let store = start.try_get_attribute("store").ok()??;
                return Some(quick_xml::escape::unescape(&store.value).ok()?.into_owned());
            }
            Event::Eof => return None,
            _ => {}
        }
    }
}

/// Removes a definition with everything that libvirt keeps beside it: saved memory, snapshots,
/// checkpoints, NVRAM.
pub(super) fn undefine(domain: &Domain) -> Result<(), Error> {
    // Not every driver supports the flags. One that does not has none of these either, so the plain
    // call is enough.
    let everything = virt_sys::VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        | virt_sys::VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        | virt_sys::VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
        | virt_sys::VIR_DOMAIN_UNDEFINE_NVRAM;
    match domain.undefine_flags(everything) {
        Err(error)
            if matches!(
                error.code(),
                ErrorNumber::InvalidArg | ErrorNumber::NoSupport
            ) =>
        {
            domain.undefine()
        }
        other => other,
    }
}

/// Returns the text of `<domain><name>`.
pub(super) fn domain_name(xml: &str) -> Option<String> {
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

/// Returns the power state of an active domain for libvirt's state (`docs/spec/r4-features.md` §7).
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

/// Returns the power state of a domain. One without an ID is defined and does not run.
fn domain_power_state(id: Option<u32>, state: virt_sys::virDomainState) -> PowerState {
    if id.is_some() {
        power_state(state)
    } else {
        PowerState::Halted
    }
}

/// Converts libvirt's information about a domain to its status.
pub(super) fn domain_status(id: Option<u32>, info: &virt::domain::DomainInfo) -> DomainStatus {
    DomainStatus {
        state: domain_power_state(id, info.state),
        id,
        memory_kib: info.memory,
        max_memory_kib: info.max_mem,
        vcpus: info.nr_virt_cpu,
        cpu_time_ns: info.cpu_time,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_read_from_the_domain_element_only() {
        let xml = "<?xml version='1.0'?><domain><!-- <name>x</name> -->\
                   <metadata><a><name>no</name></a></metadata><name>a &amp; b</name></domain>";
        assert_eq!(domain_name(xml).as_deref(), Some("a & b"));
        assert_eq!(domain_name("<domain/>"), None);
        assert_eq!(domain_name("no xml <"), None);
    }

    #[test]
    fn the_store_is_read_from_the_metadata_element() {
        let xml = r#"<qubes:domain xmlns:qubes="urn:qubes:domain" qube="f0"
                    store="/a&amp;b/qubes.xml"/>"#;
        assert_eq!(store_attribute(xml).as_deref(), Some("/a&b/qubes.xml"));
        assert_eq!(store_attribute(r#"<domain qube="f0"/>"#), None);
        assert_eq!(store_attribute("no xml <"), None);
    }

    #[test]
    fn a_domain_without_an_id_is_halted() {
        assert_eq!(
            domain_power_state(None, virt_sys::VIR_DOMAIN_CRASHED),
            PowerState::Halted
        );
        assert_eq!(
            domain_power_state(Some(3), virt_sys::VIR_DOMAIN_SHUTOFF),
            PowerState::Dying
        );
        assert_eq!(
            domain_power_state(Some(3), virt_sys::VIR_DOMAIN_PAUSED),
            PowerState::Paused
        );
    }
}
