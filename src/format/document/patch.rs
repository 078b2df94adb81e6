//! Changes an element with the fewest edits.

use super::edit::{Addition, Edits, change_children, child_indent, insertion_point};
use super::emit::Emitter;
use super::parse::{MAX_ITEMS, NamedText, items, read_attributes, sections};
use super::schema::{Container, SortKey, rank};
use crate::format::error::FormatError;
use crate::format::xml::characters::is_space;
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

impl Patch<'_, '_> {
    /// Creates an emitter for new text.
    pub fn emitter(&self) -> Emitter {
        Emitter::new(&self.place)
    }

    /// Makes the container of a kind in `parent` hold these texts: sorted, or in the order of the
    /// map.
    pub fn set_texts(
        &mut self,
        (parent, siblings): (ElementId, &[Container]),
        container: Container,
        target: &TextMap,
        order: Option<SortKey>,
    ) -> PatchResult {
        let sections: Vec<ElementId> = sections(self.tree, parent, container).collect();
        if !sections.is_empty() {
            return self.set_named_items(&sections, container, target, order);
        }
        if !target.is_empty() {
            let mut e = self.emitter();
            e.texts(container, &child_indent(self.tree, parent), target, order)?;
            self.add_section((parent, siblings), container, e.into_text());
        }
        Ok(())
    }

    /// Removes children from whichever section they are in; additions go into the first section.
    pub fn change_sections(
        &mut self,
        sections: &[ElementId],
        removed: &[ElementId],
        mut additions: Vec<Addition>,
    ) {
        for section in sections {
            let here: Vec<ElementId> = self
                .tree
                .children(*section)
                .filter(|id| removed.contains(id))
                .collect();
            let additions = std::mem::take(&mut additions);
            change_children(self.tree, self.edits, *section, &here, additions);
        }
    }

    /// Changes the items `<item name="…">text</item>` of `sections` to `target`. New items go into
    /// the first section.
    pub fn set_named_items(
        &mut self,
        sections: &[ElementId],
        container: Container,
        target: &TextMap,
        order: Option<SortKey>,
    ) -> PatchResult {
        let tree = self.tree;
        let all: Vec<NamedText> = sections
            .iter()
            .flat_map(|section| items(tree, *section, container))
            .take(MAX_ITEMS)
            .collect();
        for stored in &all {
            // Of several items with one name the last one counts; the others stay as they are.
            let counts = all
                .iter()
                .rfind(|i| i.name == stored.name)
                .is_some_and(|i| i.id == stored.id);
            match target.get(&stored.name) {
                Some(text) if counts && text != stored.text => {
                    self.set_text(stored.id, text, &stored.name)?
                }
                _ => {}
            }
        }
        let removed = all.iter().filter(|i| !target.contains(&i.name));
        let removed: Vec<ElementId> = removed.map(|i| i.id).collect();
        let additions = self.additions(sections[0], container, &all, target, order)?;
        self.change_sections(sections, &removed, additions);
        Ok(())
    }

    /// Returns the items of `target` that no section has yet, with their places in the section
    /// `first`.
    fn additions(
        &self,
        first: ElementId,
        container: Container,
        all: &[NamedText],
        target: &TextMap,
        order: Option<SortKey>,
    ) -> Result<Vec<Addition>, FormatError> {
        let here = self.tree.subtree(first);
        let here: Vec<&NamedText> = all.iter().filter(|i| here.contains(&i.id)).collect();
        let ids: Vec<ElementId> = here.iter().map(|i| i.id).collect();
        let mut additions = Vec::new();
        let mut previous = None;
        let mut target: Vec<_> = target.iter().collect();
        if let Some(key) = order {
            target.sort_by_key(|(name, _)| key(name));
        }
        for (name, text) in target {
            if all.iter().any(|i| i.name == name) {
                let known = here.iter().rfind(|i| i.name == name).map(|i| i.id);
                previous = known.or(previous);
                continue;
            }
            let after = match order {
                Some(key) => {
                    let later = here.iter().position(|i| key(&i.name) > key(name));
                    insertion_point(self.tree, first, &ids, later)
                }
                None => previous,
            };
            let mut e = self.emitter();
            e.item(container.item, name, text)?;
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

    /// Adds a container to an element that has none of its kind: after the last child that is
    /// known to come before it.
    pub fn add_section(
        &mut self,
        (parent, siblings): (ElementId, &[Container]),
        container: Container,
        element: String,
    ) {
        let place = rank(siblings, container.name.as_bytes());
        let earlier = |id: &ElementId| {
            let rank = rank(siblings, self.tree.name(*id));
            rank.is_some() && rank <= place
        };
        let after = self.tree.children(parent).filter(earlier).last();
        let additions = vec![Addition { after, element }];
        change_children(self.tree, self.edits, parent, &[], additions);
    }
}
