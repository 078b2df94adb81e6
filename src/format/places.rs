//! Where in the file something stands: the lines that a person opens in an editor.

use super::index::{self, Index, Section};
use super::tree::{Id, Tree};
use crate::model::check::Part;
use crate::model::{At, VmName};

/// The lines of one file.
pub struct Places<'a> {
    bytes: &'a [u8],
    index: Index,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl<'a> Places<'a> {
    /// Of a file that is not well-formed all around its domains, nothing but numbers of lines is known.
    pub fn of(bytes: &'a [u8]) -> Places<'a> {
        let lines = std::iter::once(0).chain(memchr::memchr_iter(b'\n', bytes).map(|n| n + 1)).collect();
        Places { bytes, index: index::index(bytes).unwrap_or_default(), lines }
    }

    /// The line, from 1, of an offset.
    pub(super) fn line_of(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset)
    }

    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    pub(super) fn tree(&self, range: std::ops::Range<usize>) -> Option<Tree<'a>> {
        Tree::of_element(self.bytes, range).ok()
    }

    /// The sections of one kind, parsed.
    pub(super) fn sections(&self, kind: Section) -> impl Iterator<Item = Tree<'a>> {
        let spans = self.index.sections.iter().filter(move |(section, _)| *section == kind);
        spans.filter_map(|(_, span)| self.tree(span.range()))
    }

    /// The line that a finding is about; that of what surrounds it where the thing itself is missing.
    pub fn line(&self, at: &At) -> Option<usize> {
        let offset = match at {
            At::Label(number) => {
                self.nth_line(Section::Labels, "label", |tree, id| label_number(tree, id) == Some(*number), 0)
            }
            At::Pool(position) => {
                let has_name = |tree: &Tree, id| tree.attribute(id, "name").is_some_and(|n| !n.is_empty());
                self.nth_line(Section::Pools, "pool", has_name, *position)
            }
            At::Global(name) => self.nth_line(
                Section::Properties,
                "property",
                |tree, id| tree.attribute(id, "name").as_deref() == Some(name),
                0,
            ),
            At::Qube { name, part } => self.of_qube(name, part),
        };
        offset.map(|offset| self.line_of(offset))
    }

    fn nth_line(&self, kind: Section, item: &str, fits: impl Fn(&Tree, Id) -> bool, nth: usize) -> Option<usize> {
        let mut starts = Vec::new();
        for tree in self.sections(kind) {
            let fitting = tree.children_named(Tree::ROOT, item.as_bytes()).filter(|id| fits(&tree, *id));
            starts.extend(fitting.map(|id| tree.whole(id).start));
        }
        starts.get(nth).copied()
    }

    fn of_qube(&self, name: &VmName, part: &Part) -> Option<usize> {
        let entry = self.index.domains.iter().find(|entry| entry.name.as_ref() == Ok(name))?;
        let found = self.tree(entry.span.range()).and_then(|tree| within(&tree, part));
        Some(found.unwrap_or(entry.span.start as usize))
    }
}

/// Where a part of a qube begins.
fn within(tree: &Tree, part: &Part) -> Option<usize> {
    let named = |section: &str, item: &str, name: &str| {
        let sections = tree.children_named(Tree::ROOT, section.as_bytes());
        let items = sections.flat_map(|s| tree.children_named(s, item.as_bytes()).collect::<Vec<_>>());
        items.filter(|id| tree.attribute(*id, "name").as_deref() == Some(name)).last()
    };
    let id = match part {
        Part::Domain => Some(Tree::ROOT),
        Part::Property(name) => named("properties", "property", name),
        Part::Tag(name) => named("tags", "tag", name),
        Part::Volume(name) => named("volume-config", "volume", name),
        Part::Device { class, position } => {
            let classes = tree.children_named(Tree::ROOT, b"devices");
            let mut fitting = classes.filter(|id| tree.attribute(*id, "class").as_deref() == Some(class));
            fitting.find_map(|id| tree.children_named(id, b"device").nth(*position))
        }
    };
    id.map(|id| tree.whole(id).start)
}

/// N of `label-N`.
pub(super) fn label_number(tree: &Tree, id: Id) -> Option<u32> {
    tree.attribute(id, "id")?.split_once('-')?.1.parse().ok()
}
