//! The smallest changes that make an element say something else.

use super::edit::{Addition, Edits, change_children, insertion_point};
use super::emit::Emitter;
use super::error::FormatError;
use super::reader::{NamedText, items_in_sections, read_attributes};
use super::text::is_space;
use super::tree::{ElementId, Tree};
use crate::model::TextMap;

/// A tree and the changes to the bytes it lies in. `place` names for messages what is changed:
/// `qube 'work'`.
pub(crate) struct Patch<'p, 'a> {
    pub tree: &'p Tree<'a>,
    pub edits: &'p mut Edits,
    pub place: String,
}

pub(crate) type PatchResult = Result<(), FormatError>;

/// Where a new item comes among those that are there.
#[derive(Clone, Copy)]
pub(crate) enum ItemOrder {
    /// Before the first that this puts behind it.
    Sorted(fn(&str) -> (bool, &str)),
    /// Behind the one that precedes it in the map.
    AsListed,
}

/// By name alone.
pub(crate) fn alphabetical(name: &str) -> (bool, &str) {
    (false, name)
}

impl Patch<'_, '_> {
    pub fn emitter(&self) -> Emitter {
        Emitter::new(&self.place)
    }

    /// Makes `<item name="…">text</item>` in `sections` say what `wanted` says; what is new goes
    /// into the first of them.
    pub fn set_named_items(
        &mut self,
        sections: &[ElementId],
        item: &'static str,
        wanted: &TextMap,
        order: ItemOrder,
    ) -> PatchResult {
        let tree = self.tree;
        let all = items_in_sections(tree, sections, item);
        for stored in all.iter().flatten() {
            // Of several of one name the last one counts; the others stay as they are.
            let counts = all
                .iter()
                .flatten()
                .rfind(|i| i.name == stored.name)
                .is_some_and(|i| i.id == stored.id);
            match wanted.get(&stored.name) {
                Some(text) if counts && text != stored.text => {
                    self.set_text(stored.id, text, &stored.name)?
                }
                _ => {}
            }
        }
        for (n, section) in sections.iter().enumerate() {
            let gone = all[n]
                .iter()
                .filter(|i| !wanted.contains(&i.name))
                .map(|i| i.id);
            let gone: Vec<ElementId> = gone.collect();
            let additions = if n == 0 {
                self.additions(*section, item, &all, wanted, order)?
            } else {
                Vec::new()
            };
            change_children(tree, self.edits, *section, &gone, additions);
        }
        Ok(())
    }

    /// What of `wanted` is in no section yet, with its place in the first one.
    fn additions(
        &self,
        section: ElementId,
        item: &'static str,
        all: &[Vec<NamedText>],
        wanted: &TextMap,
        order: ItemOrder,
    ) -> Result<Vec<Addition>, FormatError> {
        let here = &all[0];
        let ids: Vec<ElementId> = here.iter().map(|i| i.id).collect();
        let name_of = |id: ElementId| here.iter().find(|i| i.id == id).map_or("", |i| &*i.name);
        let mut additions = Vec::new();
        let mut previous = None;
        let mut wanted: Vec<_> = wanted.iter().collect();
        if let ItemOrder::Sorted(key) = order {
            wanted.sort_by_key(|(name, _)| key(name));
        }
        for (name, text) in wanted {
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

    /// Replaces the text of an element. A `ref` that stood in for it goes.
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

    /// Makes the attributes of an element say what `wanted` says. Their order in the file stays.
    pub fn set_attributes(&mut self, id: ElementId, wanted: &TextMap) -> PatchResult {
        let stored = read_attributes(self.tree, id);
        for name in stored.names().filter(|name| !wanted.contains(name)) {
            self.remove_attribute(id, name);
        }
        let mut at = self.tree.element(id).name.end as usize;
        for (name, value) in wanted.iter() {
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

    /// Takes an attribute out together with the blanks before it.
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

    /// Adds a section to an element that has none of its kind: behind the last child of at most its
    /// rank.
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
