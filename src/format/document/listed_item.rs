//! The items that the file lists in containers: how each is written, and how one of the file is
//! recognised and changed.

use super::emit::{EmitResult, Emitter};
use super::indent::Indent;
use super::parse::read_attributes;
use super::patch::{Patch, PatchResult};
use super::schema::{Container, DEVICE, DEVICES, LABELS, POOLS, VOLUMES};
use crate::format::xml::tree::ElementId;
use crate::model::device::DeviceAssignment;
use crate::model::{Label, Pool, VolumeConfig};

/// An item of a container.
pub(crate) trait ListedItem: PartialEq {
    /// The container that lists it.
    const CONTAINER: Container;

    /// The number of rules of [`ListedItem::is_same`].
    const RULES: usize = 1;

    /// Whether an item of the file is this one by a rule; the rules are tried in turn, from 0.
    fn is_same(&self, stored: &Self, rule: usize) -> bool;

    /// Returns the number by which the items are sorted; `None` if they keep their order.
    fn number(&self) -> Option<u32> {
        None
    }

    /// Writes the element. `indent` is its indentation.
    fn emit(&self, e: &mut Emitter, indent: &Indent) -> EmitResult;

    /// Changes the element `id`, which is read as `stored`, to this item.
    fn patch(&self, patch: &mut Patch, id: ElementId, stored: &Self) -> PatchResult;
}

impl ListedItem for Label {
    const CONTAINER: Container = LABELS;

    fn is_same(&self, stored: &Label, _: usize) -> bool {
        self.index == stored.index
    }

    fn number(&self) -> Option<u32> {
        Some(self.index)
    }

    fn emit(&self, e: &mut Emitter, _: &Indent) -> EmitResult {
        e.raw("<label");
        e.attribute("id", &format!("label-{}", self.index))?;
        e.attribute("color", &self.color)?;
        e.raw(">");
        e.text(&self.name, "label")?;
        e.raw("</label>");
        Ok(())
    }

    fn patch(&self, patch: &mut Patch, id: ElementId, stored: &Label) -> PatchResult {
        if self.color != stored.color {
            let mut attributes = read_attributes(patch.tree, id);
            attributes.set("color", &self.color);
            patch.set_attributes(id, &attributes)?;
        }
        if self.name != stored.name {
            patch.set_text(id, &self.name, "label")?;
        }
        Ok(())
    }
}

impl ListedItem for Pool {
    const CONTAINER: Container = POOLS;

    fn is_same(&self, stored: &Pool, _: usize) -> bool {
        self.name() == stored.name()
    }

    fn emit(&self, e: &mut Emitter, _: &Indent) -> EmitResult {
        e.empty(POOLS.item, &self.attributes)
    }

    fn patch(&self, patch: &mut Patch, id: ElementId, _: &Pool) -> PatchResult {
        patch.set_attributes(id, &self.attributes)
    }
}

impl ListedItem for VolumeConfig {
    const CONTAINER: Container = VOLUMES;

    fn is_same(&self, stored: &VolumeConfig, _: usize) -> bool {
        self.name() == stored.name()
    }

    fn emit(&self, e: &mut Emitter, _: &Indent) -> EmitResult {
        e.empty(VOLUMES.item, &self.attributes)
    }

    fn patch(&self, patch: &mut Patch, id: ElementId, _: &VolumeConfig) -> PatchResult {
        patch.set_attributes(id, &self.attributes)
    }
}

impl ListedItem for DeviceAssignment {
    const CONTAINER: Container = DEVICES;

    const RULES: usize = 3;

    /// An equal one, else one of the same backend, port and device, else of the same port.
    fn is_same(&self, stored: &DeviceAssignment, rule: usize) -> bool {
        let has_same = |names: &[&str]| {
            (names.iter()).all(|n| self.attributes.get(n) == stored.attributes.get(n))
        };
        match rule {
            0 => self == stored,
            1 => has_same(&["backend-domain", "id", "identity"]),
            _ => has_same(&["backend-domain", "id"]),
        }
    }

    fn emit(&self, e: &mut Emitter, indent: &Indent) -> EmitResult {
        e.raw("<device");
        e.attributes(&self.attributes)?;
        e.children(DEVICE, indent, self.options.iter(), |e, (name, text), _| {
            e.item(DEVICE.item, name, text)
        })
    }

    fn patch(&self, patch: &mut Patch, id: ElementId, stored: &DeviceAssignment) -> PatchResult {
        patch.set_attributes(id, &self.attributes)?;
        match self.options == stored.options {
            true => Ok(()),
            false => patch.set_named_items(&[id], DEVICE, &self.options, None),
        }
    }
}
