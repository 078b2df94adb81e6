//! Rows of tables.

/// The cells of a row.
pub trait Cells {
    /// Returns the number of cells.
    fn count(&self) -> usize;

    /// Returns the cell of a column; empty if the row is shorter.
    fn cell(&self, column: usize) -> &str;

    /// Returns every cell.
    fn each(&self) -> impl Iterator<Item = &str> {
        (0..self.count()).map(|column| self.cell(column))
    }

    /// Returns the length of each cell in bytes.
    fn lengths(&self) -> impl Iterator<Item = usize> {
        self.each().map(str::len)
    }

    /// Returns the bytes of each cell.
    fn each_in_bytes(&self) -> impl Iterator<Item = &[u8]> {
        self.each().map(str::as_bytes)
    }

    /// Whether `holds` is true for the text of all cells. It may be called with any part of the
    /// text.
    fn all_text(&self, holds: impl Fn(&str) -> bool) -> bool {
        self.each().all(holds)
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

/// Rows of the same number of cells in one allocation: a listing of a thousand qubes has thirty
/// thousand cells.
#[derive(Debug, Default)]
pub struct Grid {
    columns: usize,
    text: String,
    /// Where each cell ends in the text.
    ends: Vec<u32>,
}

impl Grid {
    /// Returns an empty grid with capacity for this many rows.
    pub fn new(columns: usize, rows: usize) -> Grid {
        Grid {
            columns,
            text: String::new(),
            ends: Vec::with_capacity(columns * rows),
        }
    }

    /// Adds a cell, whose text `push` appends. A row begins when the one before is full.
    pub fn cell(&mut self, push: impl FnOnce(&mut String)) {
        push(&mut self.text);
        self.ends.push(self.text.len() as u32);
    }

    /// Returns all complete rows.
    pub fn rows(&self) -> impl Iterator<Item = GridRow<'_>> {
        (0..self.ends.len().checked_div(self.columns).unwrap_or(0))
            .map(|at| GridRow { grid: self, at })
    }
}

/// A row of a [`Grid`].
#[derive(Debug, Clone, Copy)]
pub struct GridRow<'g> {
    grid: &'g Grid,
    /// Its index in the grid.
    pub at: usize,
}

impl<'g> GridRow<'g> {
    fn ends(&self) -> &'g [u32] {
        self.grid
            .ends
            .chunks_exact(self.grid.columns)
            .nth(self.at)
            .unwrap_or_default()
    }

    /// Where its first cell starts.
    fn start(&self) -> u32 {
        (self.at * self.grid.columns)
            .checked_sub(1)
            .and_then(|before| self.grid.ends.get(before))
            .map_or(0, |end| *end)
    }

    fn text(&self, start: u32, end: u32) -> &'g str {
        self.grid
            .text
            .get(start as usize..end as usize)
            .unwrap_or_default()
    }
}

impl Cells for GridRow<'_> {
    fn count(&self) -> usize {
        self.grid.columns
    }

    fn cell(&self, column: usize) -> &str {
        let ends = self.ends();
        let start = column.checked_sub(1).map_or(self.start(), |before| {
            ends.get(before).map_or(0, |end| *end)
        });
        ends.get(column).map_or("", |end| self.text(start, *end))
    }

    fn each(&self) -> impl Iterator<Item = &str> {
        let mut start = self.start();
        self.ends()
            .iter()
            .map(move |end| self.text(std::mem::replace(&mut start, *end), *end))
    }

    fn each_in_bytes(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = self.start() as usize;
        let text = self.grid.text.as_bytes();
        self.ends().iter().map(move |end| {
            text.get(std::mem::replace(&mut start, *end as usize)..*end as usize)
                .unwrap_or_default()
        })
    }

    fn lengths(&self) -> impl Iterator<Item = usize> {
        let mut start = self.start();
        self.ends()
            .iter()
            .map(move |end| (end - std::mem::replace(&mut start, *end)) as usize)
    }

    fn all_text(&self, holds: impl Fn(&str) -> bool) -> bool {
        self.ends()
            .last()
            .is_none_or(|end| holds(self.text(self.start(), *end)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_returns_the_cells_that_were_added() {
        let mut grid = Grid::new(3, 1);
        for cell in ["a", "", "\u{17C}\u{17C}", "long", "", "d", "half"] {
            grid.cell(|text| text.push_str(cell));
        }
        let rows: Vec<GridRow> = grid.rows().collect();
        let cells: Vec<Vec<&str>> = rows.iter().map(|row| row.each().collect()).collect();
        assert_eq!(cells, [["a", "", "\u{17C}\u{17C}"], ["long", "", "d"]]);
        assert_eq!(
            [0, 1, 2, 3].map(|column| rows[1].cell(column)),
            ["long", "", "d", ""]
        );
        assert_eq!(rows[1].lengths().collect::<Vec<_>>(), [4, 0, 1]);
        assert!(rows[0].all_text(|text| text == "a\u{17C}\u{17C}"));
        assert_eq!(Grid::new(0, 0).rows().count(), 0);
    }
}
