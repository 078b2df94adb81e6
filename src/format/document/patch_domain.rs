//! Changes a touched domain in place: only the differences are edited.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use super::edit::{Addition, Edits, change_children, child_indent, insertion_point};
use super::emit_store::describe_qube;
use super::parse::{
    NamedText, all_items, device_classes, read_assignments, read_attributes, read_volumes, sections,
};
use super::patch::{Patch, PatchResult};
use super::schema::{
    Container, DEVICES, DOMAIN, FEATURES, PROPERTIES, TAGS, VOLUMES, property_order, rank,
};
use crate::format::error::FormatError;
use crate::format::xml::tree::{ElementId, Tree};
use crate::model::Vm;
use crate::model::device::DeviceClass;

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
    for container in DOMAIN {
        patch.patch_part(container, old, new)?;
    }
    Ok(())
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

    /// Changes the containers of one kind.
    fn patch_part(&mut self, container: Container, old: &Vm, new: &Vm) -> PatchResult {
        let place = (ROOT, &DOMAIN[..]);
        match container {
            PROPERTIES if old.properties != new.properties => {
                self.set_texts(place, PROPERTIES, &new.properties, Some(property_order))
            }
            FEATURES if old.features != new.features => {
                self.set_texts(place, FEATURES, &new.features, None)
            }
            TAGS if old.tags != new.tags => self.patch_tags(&old.tags, &new.tags),
            DEVICES if old.devices != new.devices => self.patch_devices(&new.devices),
            VOLUMES if old.volumes != new.volumes => {
                let stored: Vec<_> = read_volumes(self.tree).collect();
                self.set_list(place, &stored, &new.volumes.iter().collect::<Vec<_>>())
            }
            _ => Ok(()),
        }
    }

    fn patch_tags(&mut self, old: &[SmolStr], target: &[SmolStr]) -> PatchResult {
        let sections: Vec<ElementId> = sections(self.tree, ROOT, TAGS).collect();
        let Some(first) = sections.first() else {
            let mut e = self.emitter();
            e.tags(&child_indent(self.tree, ROOT), target)?;
            self.add_section((ROOT, &DOMAIN), TAGS, e.into_text());
            return Ok(());
        };
        let stored: Vec<NamedText> = all_items(self.tree, ROOT, TAGS).collect();
        let renamed = find_renamed_tags(old, target);
        for (tag, name) in stored
            .iter()
            .filter_map(|t| Some((t, renamed.get(&*t.name)?)))
        {
            let mut attributes = read_attributes(self.tree, tag.id);
            attributes.set("name", name);
            self.set_attributes(tag.id, &attributes)?;
        }
        let is_stored = |tag: &str| stored.iter().any(|s| s.name == *tag);
        let mut added: Vec<&str> = target
            .iter()
            .map(|t| &**t)
            .filter(|tag| renamed.values().all(|n| n != tag) && !is_stored(tag))
            .collect();
        added.sort_unstable();
        added.dedup();
        let is_kept =
            |name: &str| target.iter().any(|w| **w == *name) || renamed.contains_key(name);
        let removed = stored.iter().filter(|t| !is_kept(&t.name));
        let removed: Vec<ElementId> = removed.map(|t| t.id).collect();
        let here = self.tree.subtree(*first);
        let here: Vec<&NamedText> = stored.iter().filter(|t| here.contains(&t.id)).collect();
        let ids: Vec<ElementId> = here.iter().map(|t| t.id).collect();
        let mut additions = Vec::new();
        for tag in added {
            let later = here.iter().position(|t| *t.name > *tag);
            let mut e = self.emitter();
            e.tag(tag)?;
            additions.push(Addition {
                after: insertion_point(self.tree, *first, &ids, later),
                element: e.into_text(),
            });
        }
        self.change_sections(&sections, &removed, additions);
        Ok(())
    }

    fn patch_devices(&mut self, target: &[DeviceClass]) -> PatchResult {
        let stored: Vec<_> = device_classes(self.tree).collect();
        let mut unmatched: Vec<ElementId> = stored.iter().map(|(id, _)| *id).collect();
        let place = rank(&DOMAIN, DEVICES.name.as_bytes());
        let earlier = |id: &ElementId| {
            let rank = rank(&DOMAIN, self.tree.name(*id));
            rank.is_some() && rank < place
        };
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
                    let stored: Vec<_> = read_assignments(self.tree, *id).collect();
                    let assignments: Vec<_> = class.assignments.iter().collect();
                    self.set_listed_items(&[*id], &stored, &assignments)?;
                }
                None => {
                    let mut e = self.emitter();
                    e.device_class(&child_indent(self.tree, ROOT), class)?;
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
