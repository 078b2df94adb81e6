//! One row of a table.

use anstyle::Style;

/// A usual length of a cell, so that a row rarely grows.
const CELL_LENGTH: usize = 12;

/// The cells of a row in one text: a listing of a thousand qubes has thirty thousand cells.
#[derive(Debug, Clone, Default)]
pub struct Row {
    text: String,
    /// Where each cell ends in the text.
    ends: Vec<usize>,
    /// The style of those columns that have one.
    pub style: Style,
}

impl Row {
    /// Returns an empty row with capacity for this many cells.
    pub fn with_capacity(cells: usize) -> Row {
        Row {
            text: String::with_capacity(cells * CELL_LENGTH),
            ends: Vec::with_capacity(cells),
            style: Style::new(),
        }
    }

    /// Adds a cell, whose text `append` appends.
    pub fn push(&mut self, append: impl FnOnce(&mut String)) {
        append(&mut self.text);
        self.ends.push(self.text.len());
    }

    /// Returns the cells.
    pub fn cells(&self) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let cell = self.text.get(start..*end).unwrap_or_default();
            start = *end;
            cell
        })
    }

    /// Returns the cell of a column; empty if the row is shorter.
    pub fn cell(&self, column: usize) -> &str {
        self.cells().nth(column).unwrap_or_default()
    }
}

impl<C: AsRef<str>> FromIterator<C> for Row {
    fn from_iter<I: IntoIterator<Item = C>>(cells: I) -> Row {
        let mut row = Row::default();
        for cell in cells {
            row.push(|text| text.push_str(cell.as_ref()));
        }
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_returns_the_cells_that_were_added() {
        let row: Row = ["a", "", "\u{17C}\u{17C}", "long"].into_iter().collect();
        assert_eq!(
            row.cells().collect::<Vec<_>>(),
            ["a", "", "\u{17C}\u{17C}", "long"]
        );
        assert_eq!(
            [1, 2, 4].map(|column| row.cell(column)),
            ["", "\u{17C}\u{17C}", ""]
        );
    }
}
