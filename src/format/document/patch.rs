//! Changes an element with the fewest edits.

use super::edit::{Addition, Edits, change_children, insertion_point};
use super::emit::Emitter;
use super::parse::{NamedText, items_in_sections, read_attributes};
use crate::format::error::FormatError;
use crate::format::xml::text::is_space;
use crate::format::xml::tree::{ElementId, Tree};
use crate::model::TextMap;

/// A tree, and edits of the bytes it covers. `place` names in messages what is changed: `qube
/// 'work'`.
pub(crate) struct Patch<'p, 'a> {
    pub tree: &'p Tree<'a>,
    pub edits: &'p mut Edits,
    pub place: String,
}

/// The result of a change.
pub(crate) type PatchResult = Result<(), FormatError>;

/// Where a new item is inserted among the existing ones.
#[derive(Clone, Copy)]
pub(crate) enum ItemOrder {
    /// By this sort key.
    Sorted(fn(&str) -> (bool, &str)),
    /// After the item that precedes it in the map.
    AsListed,
}

/// Sorts by name alone.
pub(crate) fn alphabetical(name: &str) -> (bool, &str) {
    (false, name)
}

impl Patch<'_, '_> {
    /// Creates an emitter for new text.
    pub fn emitter(&self) -> Emitter {
        Emitter::new(&self.place)
    }

    /// Changes the items `<item name="…">text</item>` of `sections` to `target`. New items go into
    /// the first section.
    pub fn set_named_items(
        &mut self,
        sections: &[ElementId],
        item: &'static str,
        target: &TextMap,
        order: ItemOrder,
    ) -> PatchResult {
        let tree = self.tree;
        let all = items_in_sections(tree, sections, item);
        for stored in all.iter().flatten() {
            // Of several items with one name the last one counts; the others stay as they are.
            let counts = all
                .iter()
                .flatten()
                .rfind(|i| i.name == stored.name)
                .is_some_and(|i| i.id == stored.id);
            match target.get(&stored.name) {
                Some(text) if counts && text != stored.text => {
                    self.set_text(stored.id, text, &stored.name)?
                }
                _ => {}
            }
        }
        for (n, section) in sections.iter().enumerate() {
            let removed = all[n]
                .iter()
                .filter(|i| !target.contains(&i.name))
                .map(|i| i.id);
            let removed: Vec<ElementId> = removed.collect();
            let additions = if n == 0 {
                self.additions(*section, item, &all, target, order)?
            } else {
                Vec::new()
            };
            change_children(tree, self.edits, *section, &removed, additions);
        }
        Ok(())
    }

    /// Returns the items of `target` that no section has yet, with their places in the first
    /// section.
    fn additions(
        &self,
        section: ElementId,
        item: &'static str,
        all: &[Vec<NamedText>],
        target: &TextMap,
        order: ItemOrder,
    ) -> Result<Vec<Addition>, FormatError> {
        let here = &all[0];
        let ids: Vec<ElementId> = here.iter().map(|i| i.id).collect();
        let name_of = |id: ElementId| here.iter().find(|i| i.id == id).map_or("", |i| &*i.name);
        let mut additions = Vec::new();
        let mut previous = None;
        let mut target: Vec<_> = target.iter().collect();
        if let ItemOrder::Sorted(key) = order {
            target.sort_by_key(|(name, _)| key(name));
        }
        for (name, text) in target {
            if all.iter().flatten().any(|i| i.name == name) {
                previous = here
                    .iter()
                    .rfind(|i| i.name == name)
                    .map(|i| i.id)
                    .or(previous);
                continue;
            }
            let after = match order {
                ItemOrder::Sorted(key) => {
                    insertion_point(self.tree, section, &ids, |id| key(name_of(id)) > key(name))
                }
                ItemOrder::AsListed => previous,
            };
            let mut e = self.emitter();
            e.item(item, name, text)?;
            additions.push(Addition {
                after,
                element: e.into_text(),
            });
        }
        Ok(additions)
    }

    /// Replaces the text of an element. A `ref` attribute, which would take precedence, is removed.
    pub fn set_text(&mut self, id: ElementId, text: &str, what: &str) -> PatchResult {
        let mut e = self.emitter();
        e.text(text, what)?;
        let element = self.tree.element(id);
        if self.tree.is_self_closing(id) {
            let name = String::from_utf8_lossy(self.tree.name(id));
            let end = element.tag.end as usize;
            self.edits
                .replace(end - 2..end, format!(">{}</{name}>", e.into_text()));
        } else {
            self.edits.replace(element.text.range(), e.into_text());
        }
        self.remove_attribute(id, "ref");
        Ok(())
    }

    /// Changes the attributes of an element to `target`. Existing attributes keep their order.
    pub fn set_attributes(&mut self, id: ElementId, target: &TextMap) -> PatchResult {
        let stored = read_attributes(self.tree, id);
        for name in stored.names().filter(|name| !target.contains(name)) {
            self.remove_attribute(id, name);
        }
        let mut at = self.tree.element(id).name.end as usize;
        for (name, value) in target.iter() {
            let attribute = self
                .tree
                .attributes(id)
                .iter()
                .find(|a| a.name.slice(self.tree.bytes) == name.as_bytes());
            let mut e = self.emitter();
            match attribute {
                Some(attribute) => {
                    let range = attribute.value.range();
                    at = range.end + 1;
                    if stored.get(name) != Some(value) {
                        e.value(value, char::from(self.tree.bytes[range.start - 1]), name)?;
                        self.edits.replace(range, e.into_text());
                    }
                }
                None => {
                    e.attribute(name, value)?;
                    self.edits.insert(at, e.into_text());
                }
            }
        }
        Ok(())
    }

    /// Removes an attribute together with the blanks before it.
    fn remove_attribute(&mut self, id: ElementId, name: &str) {
        let bytes = self.tree.bytes;
        let found = self
            .tree
            .attributes(id)
            .iter()
            .find(|a| a.name.slice(bytes) == name.as_bytes());
        if let Some(attribute) = found {
            let before = &bytes[..attribute.name.start as usize];
            let start = before
                .iter()
                .rposition(|b| !is_space(*b))
                .map_or(0, |n| n + 1);
            self.edits.delete(start..attribute.value.end as usize + 1);
        }
    }

    /// Adds a section to an element that has none of its kind: after the last child of the same or
    /// a lower rank.
    pub fn add_section(
        &mut self,
        parent: ElementId,
        rank: u8,
        rank_of: fn(&[u8]) -> Option<u8>,
        element: String,
    ) {
        let earlier = |id: &ElementId| rank_of(self.tree.name(*id)).is_some_and(|r| r <= rank);
        let after = self.tree.children(parent).filter(earlier).last();
        change_children(
            self.tree,
            self.edits,
            parent,
            &[],
            vec![Addition { after, element }],
        );
    }
}
