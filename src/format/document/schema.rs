//! The schema of qubes.xml: which elements hold which items, in the one order in which they are
//! written (`docs/spec/r4-xml.md` §1). The index, the reader, the emitter, the patcher and the
//! repair take names and order from here.

use crate::model::Property;

/// An element that holds items, as `<tags>` holds `<tag>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Container {
    /// The name of the element.
    pub name: &'static str,
    /// The name of its items.
    pub item: &'static str,
}

impl Container {
    const fn new(name: &'static str, item: &'static str) -> Container {
        Container { name, item }
    }
}

pub(crate) const LABELS: Container = Container::new("labels", "label");
pub(crate) const POOLS: Container = Container::new("pools", "pool");
/// The global properties, or those of a domain.
pub(crate) const PROPERTIES: Container = Container::new("properties", "property");
pub(crate) const DOMAINS: Container = Container::new("domains", "domain");
pub(crate) const FEATURES: Container = Container::new("features", "feature");
pub(crate) const TAGS: Container = Container::new("tags", "tag");
/// The assignments of one device class; a domain has one such element for each class.
pub(crate) const DEVICES: Container = Container::new("devices", "device");
/// A device assignment with its options.
pub(crate) const DEVICE: Container = Container::new("device", "option");
pub(crate) const VOLUMES: Container = Container::new("volume-config", "volume");

/// The children of the root, in order.
pub(crate) const STORE: [Container; 4] = [LABELS, POOLS, PROPERTIES, DOMAINS];

/// The children of a domain, in the order of R4.3.
pub(crate) const DOMAIN: [Container; 5] = [PROPERTIES, FEATURES, TAGS, DEVICES, VOLUMES];

/// The children of a domain whose items must have a name.
pub(crate) const NAMED: [Container; 3] = [PROPERTIES, FEATURES, TAGS];

/// Properties whose second occurrence makes upstream refuse the store (`docs/spec/r4-xml.md` §1.3).
pub(crate) const WRITE_ONCE_PROPERTIES: [&str; 4] = ["name", "qid", "uuid", "dispid"];

/// Returns the place of an element among its siblings; `None` for an unknown one.
pub(crate) fn rank(siblings: &[Container], name: &[u8]) -> Option<usize> {
    siblings.iter().position(|c| c.name.as_bytes() == name)
}

/// Returns the sort key of a named item.
pub(crate) type SortKey = fn(&str) -> (bool, &str);

/// Returns the sort key of a domain's property.
pub(crate) fn property_order(name: &str) -> (bool, &str) {
    (Property::rows(name).any(Property::is_loaded_late), name)
}

/// Sorts by name alone: the order of the global properties.
pub(crate) fn alphabetical(name: &str) -> (bool, &str) {
    (false, name)
}
