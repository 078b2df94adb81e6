//! Collects edits of a file, and inserts and removes children together with the blanks around them.

use std::ops::Range;

use super::indent::Indent;
use crate::format::xml::lines::count_line_ends;
use crate::format::xml::tree::{ElementId, Tree};

/// Edits of a file, in any order; none overlaps another.
#[derive(Default)]
pub(crate) struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    pub fn replace(&mut self, range: Range<usize>, text: impl Into<String>) {
        self.0.push((range, text.into()));
    }

    pub fn insert(&mut self, at: usize, text: impl Into<String>) {
        self.replace(at..at, text);
    }

    pub fn delete(&mut self, range: Range<usize>) {
        self.replace(range, "");
    }

    /// Returns the edits in the order of the file. Insertions at one position keep the order in
    /// which they were added, and come before a deletion or replacement that begins there.
    pub fn in_order(mut self) -> Vec<(Range<usize>, String)> {
        self.0.sort_by_key(|(range, _)| (range.start, range.end));
        self.0
    }

    /// Applies every edit to `bytes`.
    pub fn apply(self, bytes: &[u8]) -> Vec<u8> {
        apply_in_order(&self.in_order(), bytes)
    }

    /// Returns the mapping from lines after the edits to lines before them.
    pub fn line_shift(&self, bytes: &[u8]) -> LineShift {
        let mut order: Vec<&(Range<usize>, String)> = self.0.iter().collect();
        order.sort_by_key(|(range, _)| (range.start, range.end));
        let (mut now, mut before, mut done) = (1, 1, 0);
        let mut lines = vec![(1, 1)];
        for (range, text) in order {
            let kept = count_line_ends(&bytes[done..range.start.max(done)]);
            let removed = count_line_ends(&bytes[range.start.max(done)..range.end.max(done)]);
            now += kept + count_line_ends(text.as_bytes());
            before += kept + removed;
            done = range.end.max(done);
            // The rest of an edited line belongs to it; the next line is the first one that both
            // texts share.
            lines.push((now, before));
        }
        LineShift(lines)
    }
}

/// Applies edits that are in the order of the file.
pub(crate) fn apply_in_order(edits: &[(Range<usize>, String)], bytes: &[u8]) -> Vec<u8> {
    let growth: usize = edits.iter().map(|(_, text)| text.len()).sum();
    let mut new = Vec::with_capacity(bytes.len() + growth);
    let mut done = 0;
    for (range, text) in edits {
        // Edits do not overlap; if they did, the earlier one would win and no byte would be written
        // twice.
        new.extend_from_slice(&bytes[done..range.start.max(done)]);
        new.extend_from_slice(text.as_bytes());
        done = range.end.max(done);
    }
    new.extend_from_slice(&bytes[done..]);
    new
}

/// A child to insert.
pub(crate) struct Addition {
    /// The sibling after which the child is inserted; `None`: before all others.
    pub after: Option<ElementId>,
    /// The element, without the blanks before it.
    pub element: String,
}

/// Returns the indentation of the children of `container`, existing or future.
pub(crate) fn child_indent(tree: &Tree, container: ElementId) -> Indent {
    let mut indents = tree
        .children(container)
        .map(|child| element_indent(tree, child));
    if let Some(first) = indents.next() {
        // The first child may follow a comment; prefer one that begins a line.
        return if first.has_lines() {
            first
        } else {
            indents.find(Indent::has_lines).unwrap_or(first)
        };
    }
    let own = element_indent(tree, container);
    let element = tree.element(container);
    // `<features></features>` on a line of its own stays in this form, so that removing the child
    // restores the original bytes.
    let pair = !tree.is_self_closing(container) && element.tag.end == element.close.start;
    if pair && own.has_lines() {
        Indent::none()
    } else {
        own.deeper()
    }
}

/// Returns the indentation of an element.
pub(crate) fn element_indent(tree: &Tree, id: ElementId) -> Indent {
    let start = tree.range(id).start;
    Indent::from_blanks(&tree.bytes[tree.blank_start(start)..start])
}

/// Removes and inserts children of an element so that the opposite change restores the original
/// bytes.
pub(crate) fn change_children(
    tree: &Tree,
    edits: &mut Edits,
    container: ElementId,
    remove: &[ElementId],
    mut add: Vec<Addition>,
) {
    if remove.is_empty() && add.is_empty() {
        return;
    }
    let indent = child_indent(tree, container);
    let element = tree.element(container);
    let tag_end = element.tag.end as usize;
    if tree.is_self_closing(container) {
        let name = String::from_utf8_lossy(tree.name(container));
        let children: String = add
            .iter()
            .flat_map(|a| [indent.as_str(), &a.element])
            .collect();
        let own = element_indent(tree, container);
        edits.replace(
            tag_end - 2..tag_end,
            format!(">{children}{}</{name}>", own.as_str()),
        );
        return;
    }
    let emptied = add.is_empty()
        && tree.children(container).count() == remove.len()
        && !tree.has_mixed_content(container);
    if emptied {
        let was_expanded = !element.text.is_empty() || !element_indent(tree, container).has_lines();
        let close = element.close;
        match was_expanded {
            true => edits.replace(tag_end - 1..close.end as usize, "/>"),
            false => edits.delete(tag_end..close.start as usize),
        }
        return;
    }
    for id in remove {
        let whole = tree.range(*id);
        edits.delete(tree.blank_start(whole.start)..whole.end);
    }
    for addition in add.drain(..) {
        let at = addition.after.map_or(tag_end, |id| tree.range(id).end);
        edits.insert(at, format!("{}{}", indent.as_str(), addition.element));
    }
}

/// Returns the sibling after which to insert so that the new child comes before `items[later]`, or
/// after the last of `items`.
pub(crate) fn insertion_point(
    tree: &Tree,
    container: ElementId,
    items: &[ElementId],
    later: Option<usize>,
) -> Option<ElementId> {
    match later.map(|at| items[at]) {
        Some(later) => tree
            .children(container)
            .take_while(|id| *id != later)
            .last(),
        None => items.last().copied(),
    }
}

/// A mapping from lines of a new text to lines of the original: from each entry on, both advance
/// together.
#[derive(Debug, Clone, Default)]
pub(crate) struct LineShift(pub Vec<(usize, usize)>);

impl LineShift {
    /// Returns the original line of `line`.
    pub fn original(&self, line: usize) -> usize {
        let after = self.0.partition_point(|(now, _)| *now <= line);
        match after.checked_sub(1).and_then(|at| self.0.get(at)) {
            Some((now, before)) => line - now + before,
            None => line,
        }
    }
}
