//! Writes a whole file, given the bytes it was read from and the changed collection.

use super::edit::{Addition, Edits, change_children, child_indent};
use super::emit::Emitter;
use super::emit_store::{describe_qube, is_bare};
use super::parse::{self, sections};
use super::parse_outline;
use super::patch::{Patch, PatchResult};
use super::patch_domain::patch_domain;
use super::schema::{Container, DOMAINS, LABELS, POOLS, PROPERTIES, STORE, alphabetical};
use crate::format::error::FormatError;
use crate::format::xml::tree::{ElementId, Tree};
use crate::model::{Class, Qubes, SavedDomain, Vm};

const ROOT: ElementId = Tree::ROOT;

/// Collects the edits that turn `source`, from which `qubes` was read, into `qubes`.
///
/// # Errors
/// The source is not well-formed (such a file is never overwritten), does not belong to `qubes`, or
/// a value cannot be written in XML.
pub(crate) fn collect_edits(source: &[u8], qubes: &Qubes) -> Result<Edits, FormatError> {
    let outline = parse_outline(source)?;
    let mut edits = Edits::default();
    let mut patch = Patch {
        tree: &outline,
        edits: &mut edits,
        place: "the store".to_string(),
    };
    for container in STORE {
        patch.patch_section(container, qubes)?;
    }
    Ok(edits)
}

/// A domain of the source: its element, and the section it is in.
struct DomainElement {
    id: ElementId,
    section: ElementId,
}

impl Patch<'_, '_> {
    /// Changes the sections of one kind.
    fn patch_section(&mut self, container: Container, qubes: &Qubes) -> PatchResult {
        let (tree, place) = (self.tree, (ROOT, &STORE[..]));
        let mut diagnosed = Vec::new();
        match container {
            LABELS => {
                let stored: Vec<_> = sections(tree, ROOT, LABELS)
                    .flat_map(|section| parse::read_labels(tree, section, &mut diagnosed))
                    .collect();
                self.set_list(place, &stored, &qubes.labels.iter().collect::<Vec<_>>())
            }
            POOLS => {
                let stored: Vec<_> = sections(tree, ROOT, POOLS)
                    .flat_map(|section| parse::read_pools(tree, section, &mut diagnosed))
                    .collect();
                self.set_list(place, &stored, &qubes.pools.iter().collect::<Vec<_>>())
            }
            PROPERTIES => self.set_texts(place, PROPERTIES, &qubes.globals, Some(alphabetical)),
            _ => self.patch_domains(qubes),
        }
    }

    fn patch_domains(&mut self, qubes: &Qubes) -> PatchResult {
        let sections: Vec<ElementId> = sections(self.tree, ROOT, DOMAINS).collect();
        let mut stored = Vec::new();
        for section in &sections {
            stored.extend(self.tree.children_named(*section, DOMAINS.item).map(|id| {
                DomainElement {
                    id,
                    section: *section,
                }
            }));
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
        let class = Class::from_store(&tree.attribute(ROOT, "class").unwrap_or_default());
        let old = parse::read_vm(&tree, vm.name.clone(), class);
        patch_domain(&tree, self.edits, &old, vm)
    }

    /// Adds the section of a store that has none for domains.
    fn add_domains_section(&mut self, added: &[(usize, &Vm)]) -> PatchResult {
        if added.is_empty() {
            return Ok(());
        }
        let mut e = self.emitter();
        let vms = added.iter().map(|(_, vm)| *vm);
        e.domains(&child_indent(self.tree, ROOT), vms)?;
        self.add_section((ROOT, &STORE), DOMAINS, e.into_text());
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
