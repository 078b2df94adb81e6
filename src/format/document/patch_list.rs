//! Changes a container of listed items with the fewest edits.

use super::edit::{Addition, child_indent, insertion_point};
use super::listed_item::ListedItem;
use super::parse::sections;
use super::patch::{Patch, PatchResult};
use super::schema::Container;
use crate::format::xml::tree::ElementId;

impl Patch<'_, '_> {
    /// Makes the container of a kind in `parent` hold these items. `stored` are those of the file.
    pub fn set_list<T: ListedItem>(
        &mut self,
        (parent, siblings): (ElementId, &[Container]),
        stored: &[(ElementId, T)],
        target: &[&T],
    ) -> PatchResult {
        let sections: Vec<ElementId> = sections(self.tree, parent, T::CONTAINER).collect();
        if !sections.is_empty() {
            return self.set_listed_items(&sections, stored, target);
        }
        if !target.is_empty() {
            let mut e = self.emitter();
            e.list(&child_indent(self.tree, parent), target.iter().copied())?;
            self.add_section((parent, siblings), T::CONTAINER, e.into_text());
        }
        Ok(())
    }

    /// Changes the items of `sections` to `target`. New items go into the first section.
    pub fn set_listed_items<T: ListedItem>(
        &mut self,
        sections: &[ElementId],
        stored: &[(ElementId, T)],
        target: &[&T],
    ) -> PatchResult {
        let tree = self.tree;
        let first: Vec<ElementId> = tree.children(sections[0]).collect();
        let matches = match_items(stored, target);
        let mut additions = Vec::new();
        let mut previous = None;
        for (item, found) in target.iter().zip(&matches) {
            if let Some((id, old)) = found.map(|at| &stored[at]) {
                previous = Some(*id).filter(|id| first.contains(id)).or(previous);
                item.patch(self, *id, old)?;
                continue;
            }
            let mut e = self.emitter();
            item.emit(&mut e, &child_indent(tree, sections[0]))?;
            let after = match item.number() {
                Some(number) => {
                    let here = stored.iter().filter(|(id, _)| first.contains(id));
                    let (ids, numbers): (Vec<_>, Vec<_>) =
                        here.map(|(id, item)| (*id, item.number())).unzip();
                    let later = numbers.iter().position(|n| *n > Some(number));
                    insertion_point(tree, sections[0], &ids, later)
                }
                None => previous,
            };
            additions.push(Addition {
                after,
                element: e.into_text(),
            });
        }
        let is_removed = |at: &usize| !matches.contains(&Some(*at));
        let removed: Vec<ElementId> = (0..stored.len())
            .filter(is_removed)
            .map(|at| stored[at].0)
            .collect();
        self.change_sections(sections, &removed, additions);
        Ok(())
    }
}

/// Matches each item of `target` with one of the file, as a position in `stored`.
fn match_items<T: ListedItem>(stored: &[(ElementId, T)], target: &[&T]) -> Vec<Option<usize>> {
    let mut matches: Vec<Option<usize>> = vec![None; target.len()];
    for rule in 0..T::RULES {
        for (n, item) in target.iter().enumerate() {
            if matches[n].is_none() {
                matches[n] = (0..stored.len())
                    .find(|at| !matches.contains(&Some(*at)) && item.is_same(&stored[*at].1, rule));
            }
        }
    }
    matches
}
