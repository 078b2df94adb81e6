//! Finds the lines of a file that findings are about.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::format::document::index::{self, Index};
use crate::format::document::parse::{device_classes, sections};
use crate::format::document::schema::{
    Container, DEVICES, FEATURES, POOLS, PROPERTIES, TAGS, VOLUMES,
};
use crate::format::xml::lines::LineStarts;
use crate::format::xml::tree::{ElementId, Tree};
use crate::model::check::QubePart;
use crate::model::{Location, VmName};

/// The lines of one file, with its index.
pub struct SourceLines<'a> {
    bytes: &'a [u8],
    index: Index,
    lines: LineStarts,
    /// The first domain of each name, as a position in the index.
    by_name: HashMap<VmName, usize>,
    /// The domain parsed last: findings about one qube are looked up together.
    last: RefCell<Option<(usize, Rc<Tree<'a>>)>>,
}

impl<'a> SourceLines<'a> {
    /// Creates the lines of a file. If it is not well-formed around its domains, only line numbers
    /// are known.
    pub fn new(bytes: &'a [u8]) -> SourceLines<'a> {
        let lines = LineStarts::new(bytes);
        let index = index::build(bytes).unwrap_or_default();
        let mut by_name = HashMap::new();
        for (position, entry) in index.domains.iter().enumerate() {
            if let Ok(name) = &entry.name {
                by_name.entry(name.clone()).or_insert(position);
            }
        }
        SourceLines {
            bytes,
            index,
            lines,
            by_name,
            last: RefCell::default(),
        }
    }

    /// Returns the line of an offset, counted from 1.
    pub(super) fn line_at(&self, offset: usize) -> usize {
        self.lines.line(offset)
    }

    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    /// Parses the sections of one kind.
    pub(super) fn sections(&self, kind: Container) -> impl Iterator<Item = Tree<'a>> {
        let spans = self
            .index
            .sections
            .iter()
            .filter(move |(section, _)| *section == Some(kind));
        spans.filter_map(|(_, span)| Tree::parse_element(self.bytes, span.range()).ok())
    }

    /// Parses the domain of a qube, if it is well-formed.
    pub(super) fn domain(&self, name: &VmName) -> Option<Rc<Tree<'a>>> {
        let position = *self.by_name.get(name)?;
        if let Some((_, tree)) = self
            .last
            .borrow()
            .as_ref()
            .filter(|(last, _)| *last == position)
        {
            return Some(tree.clone());
        }
        let tree = Rc::new(
            Tree::parse_element(self.bytes, self.index.domains.get(position)?.span.range()).ok()?,
        );
        self.last.replace(Some((position, tree.clone())));
        Some(tree)
    }

    /// Returns the line of a finding; if its item is missing, the line of the enclosing element.
    pub fn find_line(&self, at: &Location) -> Option<usize> {
        let offset = match at {
            Location::Pool(position) => {
                let has_name =
                    |tree: &Tree, id| tree.attribute(id, "name").is_some_and(|n| !n.is_empty());
                self.nth_offset(POOLS, has_name, *position)
            }
            Location::Global(name) => self.nth_offset(
                PROPERTIES,
                |tree, id| tree.attribute(id, "name").as_deref() == Some(name),
                0,
            ),
            Location::Qube { name, part } => self.qube_offset(name, part),
        };
        offset.map(|offset| self.line_at(offset))
    }

    /// Returns where the nth matching item of a kind of section begins.
    fn nth_offset(
        &self,
        kind: Container,
        fits: impl Fn(&Tree, ElementId) -> bool,
        nth: usize,
    ) -> Option<usize> {
        let mut starts = Vec::new();
        for tree in self.sections(kind) {
            let fitting = tree
                .children_named(Tree::ROOT, kind.item)
                .filter(|id| fits(&tree, *id));
            starts.extend(fitting.map(|id| tree.range(id).start));
        }
        starts.get(nth).copied()
    }

    /// Returns where a part of a qube begins, else where its domain begins.
    fn qube_offset(&self, name: &VmName, part: &QubePart) -> Option<usize> {
        let start = self.index.domains.get(*self.by_name.get(name)?)?.span.start as usize;
        let within = match part {
            QubePart::Domain => None,
            part => self.domain(name).and_then(|tree| part_offset(&tree, part)),
        };
        Some(within.unwrap_or(start))
    }
}

/// Returns where a part of a qube begins.
fn part_offset(tree: &Tree, part: &QubePart) -> Option<usize> {
    let named = |container: Container, name: &str| {
        sections(tree, Tree::ROOT, container)
            .flat_map(|section| tree.children_named(section, container.item))
            .filter(|id| tree.attribute(*id, "name").as_deref() == Some(name))
            .last()
    };
    let id = match part {
        QubePart::Domain => Some(Tree::ROOT),
        QubePart::Property(name) => named(PROPERTIES, name),
        QubePart::Tag(name) => named(TAGS, name),
        QubePart::Feature(name) => named(FEATURES, name),
        QubePart::Volume(name) => named(VOLUMES, name),
        QubePart::Device { class, position } => {
            let (id, _) = device_classes(tree).nth(*class)?;
            tree.children_named(id, DEVICES.item).nth(*position)
        }
    };
    id.map(|id| tree.range(id).start)
}
