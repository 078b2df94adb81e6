//! Rows of tables: what is printed takes its cells from there.

/// The cells of a row.
pub trait Cells {
    fn count(&self) -> usize;

    /// The cell of a column; empty where the row is shorter.
    fn cell(&self, column: usize) -> &str;

    fn each(&self) -> impl Iterator<Item = &str> {
        (0..self.count()).map(|column| self.cell(column))
    }

    /// How many bytes each cell has.
    fn lengths(&self) -> impl Iterator<Item = usize> {
        self.each().map(str::len)
    }

    /// Each cell's bytes.
    fn each_in_bytes(&self) -> impl Iterator<Item = &[u8]> {
        self.each().map(str::as_bytes)
    }

    /// Whether something holds for the text of all cells, which may be asked for any part of it.
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

/// Rows of equally many cells in one piece of memory: a listing of a thousand qubes has thirty
/// thousand of them.
#[derive(Debug, Default)]
pub struct Grid {
    columns: usize,
    text: String,
    /// Where each cell ends in the text.
    ends: Vec<u32>,
}

impl Grid {
    /// Without a row yet; with room for so many.
    pub fn new(columns: usize, rows: usize) -> Grid {
        Grid {
            columns,
            text: String::new(),
            ends: Vec::with_capacity(columns * rows),
        }
    }

    /// The next cell, which is what `push` appends. Rows begin when the one before is full.
    pub fn cell(&mut self, push: impl FnOnce(&mut String)) {
        push(&mut self.text);
        self.ends.push(self.text.len() as u32);
    }

    /// All rows that are full.
    pub fn rows(&self) -> impl Iterator<Item = GridRow<'_>> {
        (0..self.ends.len().checked_div(self.columns).unwrap_or(0))
            .map(|at| GridRow { grid: self, at })
    }
}

/// A row of a [`Grid`].
#[derive(Debug, Clone, Copy)]
pub struct GridRow<'g> {
    grid: &'g Grid,
    /// Which one of the grid's.
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
    fn the_cells_of_a_grid_are_those_that_were_pushed() {
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
