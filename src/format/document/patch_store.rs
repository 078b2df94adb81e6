//! Writes a whole file, given the bytes it was read from and the changed collection.

use super::edit::{Addition, Edits, change_children, child_indent, insertion_point};
use super::emit::{Emitter, describe_qube, is_bare};
use super::index::Section;
use super::parse;
use super::patch::{ItemOrder, Patch, PatchResult, alphabetical};
use super::patch_domain::patch_domain;
use crate::format::error::FormatError;
use crate::format::xml::document;
use crate::format::xml::tree::{ElementId, Tree};
use crate::model::{Label, Pool, Qubes, SavedDomain, Vm};

const ROOT: ElementId = Tree::ROOT;

/// Returns the rank of a child of the root.
fn rank(section: &[u8]) -> Option<u8> {
    match Section::from_name(section) {
        Section::Labels => Some(0),
        Section::Pools => Some(1),
        Section::Properties => Some(2),
        Section::Domains => Some(3),
        Section::Unknown => None,
    }
}

/// Collects the edits that turn `source`, from which `qubes` was read, into `qubes`.
///
/// # Errors
/// The source is not well-formed (such a file is never overwritten), does not belong to `qubes`, or
/// a value cannot be written in XML.
pub(crate) fn collect_edits(source: &[u8], qubes: &Qubes) -> Result<Edits, FormatError> {
    let outline = document::parse_outline(source)?;
    let mut edits = Edits::default();
    let mut patch = Patch {
        tree: &outline,
        edits: &mut edits,
        place: "the store".to_string(),
    };
    patch.patch_labels(qubes)?;
    patch.patch_pools(qubes)?;
    patch.patch_globals(qubes)?;
    patch.patch_domains(qubes)?;
    Ok(edits)
}

/// A domain of the source: its element, and the section it is in.
struct DomainElement {
    id: ElementId,
    section: ElementId,
}

impl Patch<'_, '_> {
    fn root_sections(&self, name: &str) -> Vec<ElementId> {
        self.tree.children_named(ROOT, name.as_bytes()).collect()
    }

    fn patch_globals(&mut self, qubes: &Qubes) -> PatchResult {
        let sections = self.root_sections("properties");
        if !sections.is_empty() {
            return self.set_named_items(
                &sections,
                "property",
                &qubes.globals,
                ItemOrder::Sorted(alphabetical),
            );
        }
        if !qubes.globals.is_empty() {
            let mut items: Vec<_> = qubes.globals.iter().collect();
            items.sort_unstable();
            let mut e = self.emitter();
            e.items(
                "properties",
                "property",
                &child_indent(self.tree, ROOT),
                items,
            )?;
            self.add_section(ROOT, 2, rank, e.into_text());
        }
        Ok(())
    }

    fn patch_labels(&mut self, qubes: &Qubes) -> PatchResult {
        let sections = self.root_sections("labels");
        let stored: Vec<(ElementId, Label)> = sections
            .iter()
            .flat_map(|s| parse::read_labels(self.tree, *s, &mut Vec::new()))
            .collect();
        let target: Vec<&Label> = qubes.labels.iter().collect();
        let Some(first) = sections.first() else {
            if !target.is_empty() {
                let mut e = self.emitter();
                e.raw("<labels");
                e.section(
                    "labels",
                    &child_indent(self.tree, ROOT),
                    target,
                    |e, l, _| e.label(l),
                )?;
                self.add_section(ROOT, 0, rank, e.into_text());
            }
            return Ok(());
        };
        let mut unmatched = stored.clone();
        let ids: Vec<ElementId> = parse::read_labels(self.tree, *first, &mut Vec::new())
            .into_iter()
            .map(|(id, _)| id)
            .collect();
        let index_of = |id: ElementId| {
            stored
                .iter()
                .find(|(s, _)| *s == id)
                .map_or(0, |(_, l)| l.index)
        };
        let mut additions = Vec::new();
        for label in target {
            if let Some(at) = unmatched.iter().position(|(_, l)| l.index == label.index) {
                let (id, old) = unmatched.remove(at);
                self.patch_label(id, &old, label)?;
                continue;
            }
            let mut e = self.emitter();
            e.label(label)?;
            let after = insertion_point(self.tree, *first, &ids, |id| index_of(id) > label.index);
            additions.push(Addition {
                after,
                element: e.into_text(),
            });
        }
        let removed_ids: Vec<ElementId> = unmatched.into_iter().map(|(id, _)| id).collect();
        self.change_sections(&sections, &removed_ids, additions);
        Ok(())
    }

    fn patch_label(&mut self, id: ElementId, old: &Label, new: &Label) -> PatchResult {
        if old.color != new.color {
            let mut target = parse::read_attributes(self.tree, id);
            target.set("color", &new.color);
            self.set_attributes(id, &target)?;
        }
        if old.name != new.name {
            self.set_text(id, &new.name, "label")?;
        }
        Ok(())
    }

    fn patch_pools(&mut self, qubes: &Qubes) -> PatchResult {
        let sections = self.root_sections("pools");
        let target: Vec<&Pool> = qubes.pools.iter().collect();
        let Some(first) = sections.first() else {
            if !target.is_empty() {
                let mut e = self.emitter();
                e.raw("<pools");
                e.section(
                    "pools",
                    &child_indent(self.tree, ROOT),
                    target,
                    |e, p, _| e.pool(p),
                )?;
                self.add_section(ROOT, 1, rank, e.into_text());
            }
            return Ok(());
        };
        let mut unmatched: Vec<(ElementId, Pool)> = sections
            .iter()
            .flat_map(|s| parse::read_pools(self.tree, *s, &mut Vec::new()))
            .collect();
        let in_first: Vec<ElementId> = self.tree.children(*first).collect();
        let mut additions = Vec::new();
        let mut after = None;
        for pool in target {
            if let Some(at) = unmatched.iter().position(|(_, p)| p.name() == pool.name()) {
                let (id, _) = unmatched.remove(at);
                after = Some(id).filter(|id| in_first.contains(id)).or(after);
                self.set_attributes(id, &pool.attributes)?;
                continue;
            }
            let mut e = self.emitter();
            e.pool(pool)?;
            additions.push(Addition {
                after,
                element: e.into_text(),
            });
        }
        let removed_ids: Vec<ElementId> = unmatched.into_iter().map(|(id, _)| id).collect();
        self.change_sections(&sections, &removed_ids, additions);
        Ok(())
    }

    /// Removes children from whichever section they are in; additions go into the first section.
    fn change_sections(
        &mut self,
        sections: &[ElementId],
        removed_ids: &[ElementId],
        additions: Vec<Addition>,
    ) {
        let mut additions = Some(additions);
        for section in sections {
            let here: Vec<ElementId> = self
                .tree
                .children(*section)
                .filter(|id| removed_ids.contains(id))
                .collect();
            change_children(
                self.tree,
                self.edits,
                *section,
                &here,
                additions.take().unwrap_or_default(),
            );
        }
    }

    fn patch_domains(&mut self, qubes: &Qubes) -> PatchResult {
        let sections = self.root_sections("domains");
        let mut stored = Vec::new();
        for section in &sections {
            stored.extend(
                self.tree
                    .children_named(*section, b"domain")
                    .map(|id| DomainElement {
                        id,
                        section: *section,
                    }),
            );
        }
        // The rank of each stored domain among all names, and the qubes that the source does not
        // have.
        let mut ranks: Vec<Option<usize>> = vec![None; stored.len()];
        let mut added: Vec<(usize, &Vm)> = Vec::new();
        for (rank, written) in qubes.saved_domains().enumerate() {
            match written {
                SavedDomain::Unchanged { position } if position < stored.len() => {
                    ranks[position] = Some(rank)
                }
                // The dom0 added to a store without one.
                SavedDomain::Unchanged { position } if position == stored.len() => {}
                SavedDomain::Changed { position, vm } if position < stored.len() => {
                    ranks[position] = Some(rank);
                    self.patch_changed_domain(stored[position].id, vm)?;
                }
                SavedDomain::Changed { position, vm } if position == stored.len() => {
                    added.extend((!is_bare(vm)).then_some((rank, vm)));
                }
                SavedDomain::Unchanged { .. } | SavedDomain::Changed { .. } => {
                    return Err(FormatError::SourceMismatch);
                }
                SavedDomain::New { vm } => added.push((rank, vm)),
            }
        }
        let mut removed_ids = Vec::new();
        for position in qubes
            .removed_positions()
            .iter()
            .filter(|p| **p != stored.len())
        {
            removed_ids.push(stored.get(*position).ok_or(FormatError::SourceMismatch)?.id);
        }
        self.add_and_remove_domains(&sections, &stored, &ranks, &removed_ids, &added)
    }

    fn patch_changed_domain(&mut self, id: ElementId, vm: &Vm) -> PatchResult {
        let bytes = self.tree.bytes;
        let tree = Tree::parse_element(bytes, self.tree.range(id)).map_err(|f| f.locate(bytes))?;
        let class =
            crate::model::Class::from_store(&tree.attribute(ROOT, "class").unwrap_or_default());
        let old = parse::read_vm(&tree, vm.name.clone(), class);
        patch_domain(&tree, self.edits, &old, vm)
    }

    /// Adds the section of a store that has none for domains.
    fn add_domains_section(&mut self, added: &[(usize, &Vm)]) -> PatchResult {
        if added.is_empty() {
            return Ok(());
        }
        let mut e = self.emitter();
        e.raw("<domains");
        e.section(
            "domains",
            &child_indent(self.tree, ROOT),
            added.iter().map(|(_, vm)| *vm),
            |e, vm, indent| e.domain(indent, vm),
        )?;
        self.add_section(ROOT, 3, rank, e.into_text());
        Ok(())
    }

    fn add_and_remove_domains(
        &mut self,
        sections: &[ElementId],
        stored: &[DomainElement],
        ranks: &[Option<usize>],
        removed_ids: &[ElementId],
        added: &[(usize, &Vm)],
    ) -> PatchResult {
        let Some(last) = sections.last() else {
            return self.add_domains_section(added);
        };
        let mut additions: Vec<(ElementId, Addition)> = Vec::new();
        for (rank, vm) in added {
            let later = ranks.iter().position(|r| r.is_some_and(|r| r > *rank));
            let section = later.map_or(*last, |at| stored[at].section);
            let before = later.map(|at| stored[at].id);
            let after = match before {
                Some(before) => self
                    .tree
                    .children(section)
                    .take_while(|id| *id != before)
                    .last(),
                None => self.tree.children(section).last(),
            };
            let mut e = Emitter::new(&describe_qube(vm));
            e.domain(&child_indent(self.tree, section), vm)?;
            additions.push((
                section,
                Addition {
                    after,
                    element: e.into_text(),
                },
            ));
        }
        for section in sections {
            let here: Vec<ElementId> = self
                .tree
                .children(*section)
                .filter(|id| removed_ids.contains(id))
                .collect();
            let (now, other) = additions.into_iter().partition(|(s, _)| s == section);
            additions = other;
            let now: Vec<(ElementId, Addition)> = now;
            change_children(
                self.tree,
                self.edits,
                *section,
                &here,
                now.into_iter().map(|(_, a)| a).collect(),
            );
        }
        Ok(())
    }
}
