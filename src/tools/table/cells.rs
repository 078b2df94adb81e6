//! Rows of tables: what is printed takes its cells from there.

use std::ops::Range;

/// The cells of a row.
pub trait Cells {
    fn count(&self) -> usize;

    /// The cell of a column; empty where the row is shorter.
    fn cell(&self, column: usize) -> &str;

    fn each(&self) -> impl Iterator<Item = &str> {
        (0..self.count()).map(|column| self.cell(column))
    }
}

impl<C: AsRef<str>, const N: usize> Cells for [C; N] {
    fn count(&self) -> usize {
        N
    }

    fn cell(&self, column: usize) -> &str {
        self.get(column).map_or("", AsRef::as_ref)
    }
}

impl<C: AsRef<str>> Cells for Vec<C> {
    fn count(&self) -> usize {
        self.len()
    }

    fn cell(&self, column: usize) -> &str {
        self.get(column).map_or("", AsRef::as_ref)
    }
}

/// Cells in one piece of memory: a listing of a thousand qubes has thirty thousand of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packed {
    text: Box<str>,
    /// Where each ends in the text.
    ends: Box<[u32]>,
}

/// Cells as they come, before they are packed. The same one serves for row after row.
#[derive(Debug, Default)]
pub struct Loose {
    text: String,
    ends: Vec<u32>,
}

impl Loose {
    pub fn push(&mut self, cell: &str) {
        self.text.push_str(cell);
        self.ends.push(self.text.len() as u32);
    }

    /// Packs what was pushed; nothing is left.
    pub fn pack(&mut self) -> Packed {
        let packed = Packed { text: self.text.as_str().into(), ends: self.ends.as_slice().into() };
        self.text.clear();
        self.ends.clear();
        packed
    }
}

impl Packed {
    pub fn of<'c>(cells: impl IntoIterator<Item = &'c str>) -> Packed {
        let mut loose = Loose::default();
        cells.into_iter().for_each(|cell| loose.push(cell));
        loose.pack()
    }

    /// Puts another text into a cell.
    pub fn replace(&mut self, column: usize, text: &str) {
        *self = Packed::of(self.each().enumerate().map(|(at, cell)| if at == column { text } else { cell }));
    }

    fn place(&self, column: usize) -> Option<Range<usize>> {
        let end = *self.ends.get(column)? as usize;
        let start = column.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize);
        Some(start..end)
    }
}

impl Cells for Packed {
    fn count(&self) -> usize {
        self.ends.len()
    }

    fn cell(&self, column: usize) -> &str {
        self.place(column).and_then(|place| self.text.get(place)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_cells_are_those_that_were_pushed() {
        let mut packed = Packed::of(["a", "", "\u{17C}\u{17C}", "d"]);
        assert_eq!(packed.each().collect::<Vec<_>>(), ["a", "", "\u{17C}\u{17C}", "d"]);
        packed.replace(1, "long");
        packed.replace(2, "");
        assert_eq!(packed.each().collect::<Vec<_>>(), ["a", "long", "", "d"]);
        assert_eq!((packed.count(), packed.cell(4)), (4, ""));
    }
}
