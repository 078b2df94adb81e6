//! A touched domain: what differs from the file is changed there, the rest of its bytes stays.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use super::edit::{Addition, Edits, change_children, child_indent, place_before};
use super::emit::{Indent, place_of, property_order};
use super::error::FormatError;
use super::patch::{Order, Patch, Patched};
use super::reader::{assignment, attributes, device_classes, devices, items_of, volumes};
use super::tree::{ElementId, Tree};
use crate::model::device::{Assignment, DeviceClass};
use crate::model::{TextMap, Vm, VolumeConfig};

const ROOT: ElementId = Tree::ROOT;

/// Changes the domain element at the root of `tree`, which reads as `old`, so that it reads as
/// `new`.
pub(crate) fn patch_domain(
    tree: &Tree,
    edits: &mut Edits,
    old: &Vm,
    new: &Vm,
) -> Result<(), FormatError> {
    let mut patch = Patch {
        tree,
        edits,
        place: place_of(new),
    };
    patch.identity(old, new)?;
    if old.properties != new.properties {
        patch.texts(
            ("properties", "property"),
            &new.properties,
            Order::By(property_order),
        )?;
    }
    if old.features != new.features {
        patch.texts(("features", "feature"), &new.features, Order::Given)?;
    }
    if old.tags != new.tags {
        patch.tags(&old.tags, &new.tags)?;
    }
    if old.devices != new.devices {
        patch.devices(&new.devices)?;
    }
    if old.volumes != new.volumes {
        patch.volumes(&new.volumes)?;
    }
    Ok(())
}

/// The order of a domain's children in R4.3.
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
    /// The attributes of the domain itself.
    fn identity(&mut self, old: &Vm, new: &Vm) -> Patched {
        let mut wanted = attributes(self.tree, ROOT);
        if old.class != new.class {
            wanted.set("class", new.class.as_str());
        }
        if let (true, Some(qid)) = (old.qid() != new.qid(), new.qid()) {
            wanted.set("id", &format!("domain-{}", qid.number()));
        }
        self.attributes(ROOT, &wanted)
    }

    fn sections(&self, name: &str) -> Vec<ElementId> {
        self.tree.children_named(ROOT, name.as_bytes()).collect()
    }

    /// How a new section of the domain is indented.
    fn section_indent(&self) -> Indent {
        child_indent(self.tree, ROOT)
    }

    fn texts(
        &mut self,
        (section, item): (&'static str, &'static str),
        wanted: &TextMap,
        order: Order,
    ) -> Patched {
        let sections = self.sections(section);
        if !sections.is_empty() {
            return self.named_items(&sections, item, wanted, order);
        }
        let mut e = self.emitter();
        let mut items: Vec<_> = wanted.iter().collect();
        if let Order::By(key) = order {
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

    fn tags(&mut self, old: &[SmolStr], wanted: &[SmolStr]) -> Patched {
        let sections = self.sections("tags");
        let Some(first) = sections.first() else {
            let mut e = self.emitter();
            e.tags(&self.section_indent(), wanted)?;
            self.add_section(ROOT, 2, rank, e.into_text());
            return Ok(());
        };
        let stored = items_of(self.tree, &sections, "tag");
        let renamed = renamed(old, wanted);
        for (tag, name) in stored
            .iter()
            .flatten()
            .filter_map(|t| Some((t, renamed.get(&*t.name)?)))
        {
            let mut attributes = attributes(self.tree, tag.id);
            attributes.set("name", name);
            self.attributes(tag.id, &attributes)?;
        }
        let mut added: Vec<&str> = wanted
            .iter()
            .map(|t| &**t)
            .filter(|tag| renamed.values().all(|n| n != tag))
            .collect();
        added.retain(|tag| !stored.iter().flatten().any(|s| s.name == *tag));
        added.sort_unstable();
        added.dedup();
        for (section, here) in sections.iter().zip(&stored) {
            let gone =
                |name: &str| !wanted.iter().any(|w| **w == *name) && !renamed.contains_key(name);
            let gone = here.iter().filter(|t| gone(&t.name)).map(|t| t.id);
            let gone: Vec<ElementId> = gone.collect();
            let ids: Vec<ElementId> = here.iter().map(|t| t.id).collect();
            let mut additions = Vec::new();
            for tag in added.iter().filter(|_| section == first) {
                let behind = |id: ElementId| here.iter().any(|t| t.id == id && *t.name > **tag);
                let after = place_before(self.tree, *section, &ids, behind);
                let mut e = self.emitter();
                e.tag(tag)?;
                additions.push(Addition {
                    after,
                    element: e.into_text(),
                });
            }
            change_children(self.tree, self.edits, *section, &gone, additions);
        }
        Ok(())
    }

    fn devices(&mut self, wanted: &[DeviceClass]) -> Patched {
        let stored: Vec<_> = device_classes(self.tree, ROOT).collect();
        let mut unmatched: Vec<ElementId> = stored.iter().map(|(id, _)| *id).collect();
        let earlier = |id: &ElementId| rank(self.tree.name(*id)).is_some_and(|r| r < 3);
        let mut after = self.tree.children(ROOT).filter(earlier).last();
        let mut additions = Vec::new();
        for class in wanted {
            let same = stored
                .iter()
                .find(|(id, name)| *name == *class.class && unmatched.contains(id));
            match same {
                Some((id, _)) => {
                    unmatched.retain(|u| u != id);
                    after = Some(*id);
                    self.assignments(*id, &class.assignments)?;
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

    /// Changes one `<devices>` element. An assignment is recognised by being equal, else by what it
    /// assigns.
    fn assignments(&mut self, class: ElementId, wanted: &[Assignment]) -> Patched {
        let tree = self.tree;
        let stored: Vec<(ElementId, Assignment)> = devices(tree, class)
            .map(|id| (id, assignment(tree, id)))
            .collect();
        let mut matches: Vec<Option<usize>> = vec![None; wanted.len()];
        let same: [fn(&Assignment, &Assignment) -> bool; 3] = [
            |a, b| a == b,
            |a, b| key(a) == key(b),
            |a, b| key(a)[..2] == key(b)[..2],
        ];
        for same in same {
            for (n, assignment) in wanted
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
        let gone = stored
            .iter()
            .enumerate()
            .filter(|(at, _)| !matches.contains(&Some(*at)))
            .map(|(_, (id, _))| *id);
        let gone: Vec<ElementId> = gone.collect();
        let mut additions = Vec::new();
        let mut after = None;
        for (assignment, found) in wanted.iter().zip(&matches) {
            if let Some(at) = found {
                let (id, old) = &stored[*at];
                after = Some(*id);
                self.attributes(*id, &assignment.attributes)?;
                if old.options != assignment.options {
                    self.named_items(&[*id], "option", &assignment.options, Order::Given)?;
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
        change_children(tree, self.edits, class, &gone, additions);
        Ok(())
    }

    fn volumes(&mut self, wanted: &[VolumeConfig]) -> Patched {
        let sections = self.sections("volume-config");
        let Some(first) = sections.first() else {
            let mut e = self.emitter();
            e.volume_config(&self.section_indent(), wanted)?;
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
        for volume in wanted {
            match unmatched.iter().position(|(_, name)| name == volume.name()) {
                Some(at) => {
                    let (id, _) = unmatched.remove(at);
                    if in_first.contains(&id) {
                        after = Some(id);
                    }
                    self.attributes(id, &volume.attributes)?;
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
            let gone = self
                .tree
                .children(*section)
                .filter(|id| unmatched.iter().any(|(u, _)| u == id));
            let gone: Vec<ElementId> = gone.collect();
            let additions = if section == first {
                std::mem::take(&mut additions)
            } else {
                Vec::new()
            };
            change_children(self.tree, self.edits, *section, &gone, additions);
        }
        Ok(())
    }
}

/// What an assignment assigns: backend, port, device.
fn key(assignment: &Assignment) -> [Option<&str>; 3] {
    ["backend-domain", "id", "identity"].map(|name| assignment.attributes.get(name))
}

/// Tags in whose place another one stands now. The order of tags means nothing; keeping it keeps
/// the file what it was when a qube's guivm, say, is changed and changed back.
fn renamed<'a>(old: &'a [SmolStr], new: &'a [SmolStr]) -> BTreeMap<&'a str, &'a str> {
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
