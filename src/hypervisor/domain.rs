//! What libvirt says of a domain, in our words.

use quick_xml::events::Event;
use virt::domain::Domain;
use virt::error::{Error, ErrorNumber};

use super::DomainStatus;
use crate::model::PowerState;

/// What stands in the metadata of the domains that we define: without it, a domain that only has
/// the same name is somebody else's and left alone. (A Xen dom0 of Qubes has no domains but qubes.)
const OUR_METADATA: &str = "urn:qubes:domain";

/// Whether the domain runs; one that vanished does not.
pub(super) fn is_active(domain: &Domain) -> bool {
    domain.is_active().unwrap_or(false)
}

/// Whether the definition says that it is a qube's, of whatever store.
pub(super) fn is_qubes(domain: &Domain) -> bool {
    domain
        .get_xml_desc(0)
        .is_ok_and(|xml| xml.contains(OUR_METADATA))
}

/// The store that a domain's metadata names; `None` where they name none.
pub(super) fn stated_store(domain: &Domain) -> Option<String> {
    let element = virt_sys::VIR_DOMAIN_METADATA_ELEMENT as i32;
    store_attribute(&domain.get_metadata(element, Some(OUR_METADATA), 0).ok()?)
}

/// The attribute `store` of our element.
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

pub(super) fn undefine(domain: &Domain) -> Result<(), Error> {
    // Not every driver knows the flags; the plain call does where nothing of the kind can exist.
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

/// The text of `<domain><name>`.
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

/// The power state that libvirt's state means for an active domain (`docs/spec/r4-features.md` §7).
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
    if id.is_some() {
        power_state(state)
    } else {
        PowerState::Halted
    }
}

pub(super) fn live(id: Option<u32>, info: &virt::domain::DomainInfo) -> DomainStatus {
    DomainStatus {
        state: state_of(id, info.state),
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
    fn the_name_is_the_domains_own() {
        let xml = "<?xml version='1.0'?><domain><!-- <name>x</name> --><metadata><a><name>no</name></a></metadata>\
                   <name>a &amp; b</name></domain>";
        assert_eq!(domain_name(xml).as_deref(), Some("a & b"));
        assert_eq!(domain_name("<domain/>"), None);
        assert_eq!(domain_name("no xml <"), None);
    }

    #[test]
    fn the_store_is_read_from_our_element() {
        let xml = r#"<qubes:domain xmlns:qubes="urn:qubes:domain" qube="f0" store="/a&amp;b/qubes.xml"/>"#;
        assert_eq!(store_attribute(xml).as_deref(), Some("/a&b/qubes.xml"));
        assert_eq!(store_attribute(r#"<domain qube="f0"/>"#), None);
        assert_eq!(store_attribute("no xml <"), None);
    }

    #[test]
    fn a_domain_without_a_number_is_halted_whatever_its_last_state() {
        assert_eq!(
            state_of(None, virt_sys::VIR_DOMAIN_CRASHED),
            PowerState::Halted
        );
        assert_eq!(
            state_of(Some(3), virt_sys::VIR_DOMAIN_SHUTOFF),
            PowerState::Dying
        );
        assert_eq!(
            state_of(Some(3), virt_sys::VIR_DOMAIN_PAUSED),
            PowerState::Paused
        );
    }
}
