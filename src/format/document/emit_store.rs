//! Writes a store, or a qube that the file does not have yet, as XML. The form is upstream's
//! (`docs/spec/r4-xml.md` §0, §1).

use smol_str::SmolStr;

use super::emit::{EmitResult, Emitter};
use super::indent::Indent;
use super::listed_item::ListedItem;
use super::schema::{
    Container, DEVICES, DOMAIN, DOMAINS, FEATURES, LABELS, POOLS, PROPERTIES, STORE, TAGS, VOLUMES,
    alphabetical, property_order,
};
use crate::format::error::FormatError;
use crate::model::device::DeviceClass;
use crate::model::{Class, Qubes, Vm};

impl Emitter {
    /// Writes a container of listed items.
    pub fn list<'i, T: ListedItem + 'i>(
        &mut self,
        indent: &Indent,
        items: impl IntoIterator<Item = &'i T>,
    ) -> EmitResult {
        self.container(T::CONTAINER, indent, items, |e, item, indent| {
            item.emit(e, indent)
        })
    }

    pub fn tags(&mut self, indent: &Indent, tags: &[SmolStr]) -> EmitResult {
        let mut sorted: Vec<&str> = tags.iter().map(|t| &**t).collect();
        sorted.sort_unstable();
        sorted.dedup();
        self.container(TAGS, indent, sorted, |e, tag, _| e.tag(tag))
    }

    pub fn device_class(&mut self, indent: &Indent, devices: &DeviceClass) -> EmitResult {
        self.raw("<devices");
        self.attribute("class", &devices.class)?;
        self.children(DEVICES, indent, &devices.assignments, |e, a, inner| {
            a.emit(e, inner)
        })
    }

    pub fn domains<'i>(
        &mut self,
        indent: &Indent,
        vms: impl IntoIterator<Item = &'i Vm>,
    ) -> EmitResult {
        self.container(DOMAINS, indent, vms, |e, vm, indent| e.domain(indent, vm))
    }

    /// Writes a whole domain element.
    pub fn domain(&mut self, indent: &Indent, vm: &Vm) -> EmitResult {
        self.place = describe_qube(vm);
        self.raw("<domain");
        let qid = vm.qid().map_or(0, |q| q.number());
        self.attribute("id", &format!("domain-{qid}"))?;
        self.attribute("class", vm.class.as_str())?;
        self.raw(">");
        let inner = indent.deeper();
        for container in DOMAIN {
            self.part(container, &inner, vm)?;
        }
        self.raw(indent.as_str());
        self.raw("</domain>");
        Ok(())
    }

    /// Writes the containers of one kind of a domain.
    fn part(&mut self, container: Container, indent: &Indent, vm: &Vm) -> EmitResult {
        match container {
            DEVICES => {
                for devices in &vm.devices {
                    self.raw(indent.as_str());
                    self.device_class(indent, devices)?;
                }
                return Ok(());
            }
            VOLUMES if !vm.class.is_local_guest() && vm.volumes.is_empty() => return Ok(()),
            _ => self.raw(indent.as_str()),
        }
        match container {
            PROPERTIES => self.texts(container, indent, &vm.properties, Some(property_order)),
            FEATURES => self.texts(container, indent, &vm.features, None),
            TAGS => self.tags(indent, &vm.tags),
            _ => self.list(indent, &vm.volumes),
        }
    }
}

/// Names a qube in messages.
pub(crate) fn describe_qube(vm: &Vm) -> String {
    format!("qube '{}'", vm.name)
}

/// Returns the text of a whole new store.
pub(crate) fn emit_store(qubes: &Qubes) -> Result<String, FormatError> {
    let mut e = Emitter::new("the store");
    let section = Indent::level(1);
    e.raw("<qubes>");
    for container in STORE {
        e.raw(section.as_str());
        match container {
            LABELS => e.list(&section, qubes.labels.iter())?,
            POOLS => e.list(&section, qubes.pools.iter())?,
            PROPERTIES => e.texts(container, &section, &qubes.globals, Some(alphabetical))?,
            _ => e.domains(&section, qubes.iter())?,
        }
    }
    e.raw("\n</qubes>\n");
    Ok(e.into_text())
}

/// Whether a qube has no content: the dom0 that is added to a store without one.
pub(crate) fn is_bare(vm: &Vm) -> bool {
    vm.class == Class::AdminVM
        && vm.properties.is_empty()
        && vm.features.is_empty()
        && vm.tags.is_empty()
        && vm.devices.is_empty()
        && vm.volumes.is_empty()
}
