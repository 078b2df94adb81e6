//! The rows of a listing: a cell for each column.

use anstyle::Style;
use smol_str::SmolStr;

use super::columns::Column;
use crate::model::Vm;
use crate::tools::damage::Watch;
use crate::tools::label_color;
use crate::tools::table::{Cells, Loose, Packed};
use crate::tools::values::Values;

/// Behind the name of a qube that cannot be relied on.
const BROKEN: &str = " !";

/// One row of a table.
pub struct Row {
    pub cells: Packed,
    /// The colour of the qube's label.
    pub label: Style,
}

impl Cells for Row {
    fn count(&self) -> usize {
        self.cells.count()
    }

    fn cell(&self, column: usize) -> &str {
        self.cells.cell(column)
    }
}

/// What rows are made of.
pub struct Rows<'a> {
    pub columns: &'a [Column],
    pub values: &'a Values<'a>,
    pub watch: &'a Watch<'a>,
    pub colored: bool,
}

impl Rows<'_> {
    /// The row of one qube; its name carries a mark where something is wrong with it.
    pub fn row(&self, vm: &Vm) -> Row {
        self.row_by(vm, &mut Loose::default())
    }

    fn row_by(&self, vm: &Vm, loose: &mut Loose) -> Row {
        let label = self.colored.then(|| self.values.label(vm)).flatten();
        let label = label.map_or(Style::new(), |label| label_color::style_of(&label.color));
        let is_broken = !self.watch.look(vm).is_empty();
        for column in self.columns {
            let cell = shown(column.cell(self.values, vm));
            match is_broken && column.is_name() {
                true => loose.push(&format!("{cell}{BROKEN}")),
                false => loose.push(&cell),
            }
        }
        Row { cells: loose.pack(), label }
    }

    /// The rows of the qubes of these names, in their order.
    pub fn of(&self, names: &[&str]) -> Vec<Row> {
        let mut rows = Vec::with_capacity(names.len() + 1);
        let mut loose = Loose::default();
        self.values.glance_at_each(names, |vm| rows.push(self.row_by(vm, &mut loose)));
        rows
    }
}

/// The cells of a qube.
pub fn cells(columns: &[Column], values: &Values, vm: &Vm) -> Vec<SmolStr> {
    columns.iter().map(|c| shown(c.cell(values, vm))).collect()
}

/// A cell as it is printed: `-` for nothing.
fn shown(cell: SmolStr) -> SmolStr {
    if cell.is_empty() { SmolStr::new_static("-") } else { cell }
}
