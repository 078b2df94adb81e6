//! Changes a touched domain in place: only the differences are edited.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use super::edit::{Addition, Edits, change_children, child_indent, insertion_point};
use super::emit::{Indent, describe_qube, property_order};
use super::parse::{
    device_classes, devices, items_in_sections, read_assignment, read_attributes, volumes,
};
use super::patch::{ItemOrder, Patch, PatchResult};
use crate::format::error::FormatError;
use crate::format::xml::tree::{ElementId, Tree};
use crate::model::device::{DeviceAssignment, DeviceClass};
use crate::model::{TextMap, Vm, VolumeConfig};

const ROOT: ElementId = Tree::ROOT;

/// Changes the domain element at the root of `tree`, which is read as `old`, so that it is read as
/// `new`.
///
/// # Errors
/// A value cannot be written in XML.
pub(crate) fn patch_domain(
    tree: &Tree,
    edits: &mut Edits,
    old: &Vm,
    new: &Vm,
) -> Result<(), FormatError> {
    let mut patch = Patch {
        tree,
        edits,
        place: describe_qube(new),
    };
    patch.patch_attributes(old, new)?;
    if old.properties != new.properties {
        patch.patch_texts(
            ("properties", "property"),
            &new.properties,
            ItemOrder::Sorted(property_order),
        )?;
    }
    if old.features != new.features {
        patch.patch_texts(("features", "feature"), &new.features, ItemOrder::AsListed)?;
    }
    if old.tags != new.tags {
        patch.patch_tags(&old.tags, &new.tags)?;
    }
    if old.devices != new.devices {
        patch.patch_devices(&new.devices)?;
    }
    if old.volumes != new.volumes {
        patch.patch_volumes(&new.volumes)?;
    }
    Ok(())
}

/// Returns the rank of a domain's child in the order of R4.3.
fn rank(section: &[u8]) -> Option<u8> {
    Some(match section {
        b"properties" => 0,
        b"features" => 1,
        b"tags" => 2,
        b"devices" => 3,
        b"volume-config" => 4,
        _ => return None,
    })
}

impl Patch<'_, '_> {
    /// Changes the attributes of the domain element.
    fn patch_attributes(&mut self, old: &Vm, new: &Vm) -> PatchResult {
        let mut target = read_attributes(self.tree, ROOT);
        if old.class != new.class {
            target.set("class", new.class.as_str());
        }
        if let (true, Some(qid)) = (old.qid() != new.qid(), new.qid()) {
            target.set("id", &format!("domain-{}", qid.number()));
        }
        self.set_attributes(ROOT, &target)
    }

    /// Returns the sections of one name.
    fn sections(&self, name: &str) -> Vec<ElementId> {
        self.tree.children_named(ROOT, name.as_bytes()).collect()
    }

    /// Returns the indentation of a new section.
    fn section_indent(&self) -> Indent {
        child_indent(self.tree, ROOT)
    }

    fn patch_texts(
        &mut self,
        (section, item): (&'static str, &'static str),
        target: &TextMap,
        order: ItemOrder,
    ) -> PatchResult {
        let sections = self.sections(section);
        if !sections.is_empty() {
            return self.set_named_items(&sections, item, target, order);
        }
        let mut e = self.emitter();
        let mut items: Vec<_> = target.iter().collect();
        if let ItemOrder::Sorted(key) = order {
            items.sort_by_key(|(name, _)| key(name));
        }
        e.items(section, item, &self.section_indent(), items)?;
        self.add_section(
            ROOT,
            rank(section.as_bytes()).unwrap_or(u8::MAX),
            rank,
            e.into_text(),
        );
        Ok(())
    }

    fn patch_tags(&mut self, old: &[SmolStr], target: &[SmolStr]) -> PatchResult {
        let sections = self.sections("tags");
        let Some(first) = sections.first() else {
            let mut e = self.emitter();
            e.tags(&self.section_indent(), target)?;
            self.add_section(ROOT, 2, rank, e.into_text());
            return Ok(());
        };
        let stored = items_in_sections(self.tree, &sections, "tag");
        let renamed = find_renamed_tags(old, target);
        for (tag, name) in stored
            .iter()
            .flatten()
            .filter_map(|t| Some((t, renamed.get(&*t.name)?)))
        {
            let mut attributes = read_attributes(self.tree, tag.id);
            attributes.set("name", name);
            self.set_attributes(tag.id, &attributes)?;
        }
        let mut added: Vec<&str> = target
            .iter()
            .map(|t| &**t)
            .filter(|tag| renamed.values().all(|n| n != tag))
            .collect();
        added.retain(|tag| !stored.iter().flatten().any(|s| s.name == *tag));
        added.sort_unstable();
        added.dedup();
        for (section, here) in sections.iter().zip(&stored) {
            let removed =
                |name: &str| !target.iter().any(|w| **w == *name) && !renamed.contains_key(name);
            let removed = here.iter().filter(|t| removed(&t.name)).map(|t| t.id);
            let removed: Vec<ElementId> = removed.collect();
            let ids: Vec<ElementId> = here.iter().map(|t| t.id).collect();
            let mut additions = Vec::new();
            for tag in added.iter().filter(|_| section == first) {
                let is_later = |id: ElementId| here.iter().any(|t| t.id == id && *t.name > **tag);
                let after = insertion_point(self.tree, *section, &ids, is_later);
                let mut e = self.emitter();
                e.tag(tag)?;
                additions.push(Addition {
                    after,
                    element: e.into_text(),
                });
            }
            change_children(self.tree, self.edits, *section, &removed, additions);
        }
        Ok(())
    }

    fn patch_devices(&mut self, target: &[DeviceClass]) -> PatchResult {
        let stored: Vec<_> = device_classes(self.tree, ROOT).collect();
        let mut unmatched: Vec<ElementId> = stored.iter().map(|(id, _)| *id).collect();
        let earlier = |id: &ElementId| rank(self.tree.name(*id)).is_some_and(|r| r < 3);
        let mut after = self.tree.children(ROOT).filter(earlier).last();
        let mut additions = Vec::new();
        for class in target {
            let same = stored
                .iter()
                .find(|(id, name)| *name == *class.class && unmatched.contains(id));
            match same {
                Some((id, _)) => {
                    unmatched.retain(|u| u != id);
                    after = Some(*id);
                    self.patch_assignments(*id, &class.assignments)?;
                }
                None => {
                    let mut e = self.emitter();
                    e.device_class(&self.section_indent(), class)?;
                    additions.push(Addition {
                        after,
                        element: e.into_text(),
                    });
                }
            }
        }
        change_children(self.tree, self.edits, ROOT, &unmatched, additions);
        Ok(())
    }

    /// Changes one `<devices>` element. An assignment is matched with an equal one, else with one
    /// of the same device.
    fn patch_assignments(&mut self, class: ElementId, target: &[DeviceAssignment]) -> PatchResult {
        let tree = self.tree;
        let stored: Vec<(ElementId, DeviceAssignment)> = devices(tree, class)
            .map(|id| (id, read_assignment(tree, id)))
            .collect();
        let mut matches: Vec<Option<usize>> = vec![None; target.len()];
        let same: [fn(&DeviceAssignment, &DeviceAssignment) -> bool; 3] = [
            |a, b| a == b,
            |a, b| assignment_key(a) == assignment_key(b),
            |a, b| assignment_key(a)[..2] == assignment_key(b)[..2],
        ];
        for same in same {
            for (n, assignment) in target
                .iter()
                .enumerate()
                .filter(|(n, _)| matches[*n].is_none())
                .collect::<Vec<_>>()
            {
                let free = |at: &usize| !matches.contains(&Some(*at));
                matches[n] = (0..stored.len())
                    .filter(free)
                    .find(|at| same(&stored[*at].1, assignment));
            }
        }
        let removed = stored
            .iter()
            .enumerate()
            .filter(|(at, _)| !matches.contains(&Some(*at)))
            .map(|(_, (id, _))| *id);
        let removed: Vec<ElementId> = removed.collect();
        let mut additions = Vec::new();
        let mut after = None;
        for (assignment, found) in target.iter().zip(&matches) {
            if let Some(at) = found {
                let (id, old) = &stored[*at];
                after = Some(*id);
                self.set_attributes(*id, &assignment.attributes)?;
                if old.options != assignment.options {
                    self.set_named_items(
                        &[*id],
                        "option",
                        &assignment.options,
                        ItemOrder::AsListed,
                    )?;
                }
            } else {
                let mut e = self.emitter();
                e.device(&child_indent(tree, class), assignment)?;
                additions.push(Addition {
                    after,
                    element: e.into_text(),
                });
            }
        }
        change_children(tree, self.edits, class, &removed, additions);
        Ok(())
    }

    fn patch_volumes(&mut self, target: &[VolumeConfig]) -> PatchResult {
        let sections = self.sections("volume-config");
        let Some(first) = sections.first() else {
            let mut e = self.emitter();
            e.volume_config(&self.section_indent(), target)?;
            self.add_section(ROOT, 4, rank, e.into_text());
            return Ok(());
        };
        let name = |id: ElementId| self.tree.attribute(id, "name").unwrap_or_default();
        let mut unmatched: Vec<(ElementId, String)> = volumes(self.tree, ROOT)
            .map(|id| (id, name(id).into_owned()))
            .collect();
        let mut additions = Vec::new();
        let mut after = None;
        let in_first: Vec<ElementId> = self.tree.children(*first).collect();
        for volume in target {
            match unmatched.iter().position(|(_, name)| name == volume.name()) {
                Some(at) => {
                    let (id, _) = unmatched.remove(at);
                    if in_first.contains(&id) {
                        after = Some(id);
                    }
                    self.set_attributes(id, &volume.attributes)?;
                }
                None => {
                    let mut e = self.emitter();
                    e.empty("volume", &volume.attributes)?;
                    additions.push(Addition {
                        after,
                        element: e.into_text(),
                    });
                }
            }
        }
        for section in &sections {
            let removed = self
                .tree
                .children(*section)
                .filter(|id| unmatched.iter().any(|(u, _)| u == id));
            let removed: Vec<ElementId> = removed.collect();
            let additions = if section == first {
                std::mem::take(&mut additions)
            } else {
                Vec::new()
            };
            change_children(self.tree, self.edits, *section, &removed, additions);
        }
        Ok(())
    }
}

/// Returns what identifies an assignment: backend, port, device.
fn assignment_key(assignment: &DeviceAssignment) -> [Option<&str>; 3] {
    ["backend-domain", "id", "identity"].map(|name| assignment.attributes.get(name))
}

/// Finds tags that were replaced by another one at the same position. The order of tags has no
/// meaning; keeping it restores the original file when, for example, the guivm of a qube is changed
/// and changed back.
fn find_renamed_tags<'a>(old: &'a [SmolStr], new: &'a [SmolStr]) -> BTreeMap<&'a str, &'a str> {
    if old.len() != new.len() {
        return BTreeMap::new();
    }
    let replaced = old
        .iter()
        .zip(new)
        .filter(|(old_tag, new_tag)| !new.contains(old_tag) && !old.contains(new_tag));
    replaced
        .map(|(old_tag, new_tag)| (&**old_tag, &**new_tag))
        .collect()
}
