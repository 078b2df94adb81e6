//! The rows of a listing: a cell for each column.

use anstyle::Style;
use smol_str::SmolStr;

use super::columns::Column;
use crate::model::Vm;
use crate::tools::damage::Watch;
use crate::tools::label_color;
use crate::tools::values::Values;

/// Behind the name of a qube that cannot be relied on.
const BROKEN: &str = " !";

/// One row of a table.
pub struct Row {
    pub cells: Vec<SmolStr>,
    /// The colour of the qube's label.
    pub label: Style,
}

impl AsRef<[SmolStr]> for Row {
    fn as_ref(&self) -> &[SmolStr] {
        &self.cells
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
        let mut row = row(self.columns, self.values, vm, self.colored);
        if !self.watch.look(vm).is_empty() {
            let names = row.cells.iter_mut().zip(self.columns).filter(|(_, column)| column.is_name());
            names.for_each(|(cell, _)| *cell = format!("{cell}{BROKEN}").into());
        }
        row
    }

    /// The rows of the qubes of these names, in their order.
    pub fn of(&self, names: &[&str]) -> Vec<Row> {
        let mut rows = Vec::with_capacity(names.len() + 1);
        self.values.glance_at_each(names, |vm| rows.push(self.row(vm)));
        rows
    }
}

fn row(columns: &[Column], values: &Values, vm: &Vm, colored: bool) -> Row {
    let label = colored.then(|| values.label(vm)).flatten();
    let label = label.map_or(Style::new(), |label| label_color::style_of(&label.color));
    Row { cells: cells(columns, values, vm), label }
}

/// The cells of a qube.
pub fn cells(columns: &[Column], values: &Values, vm: &Vm) -> Vec<SmolStr> {
    columns.iter().map(|c| shown(c.cell(values, vm))).collect()
}

/// A cell as it is printed: `-` for nothing.
fn shown(cell: SmolStr) -> SmolStr {
    if cell.is_empty() { SmolStr::new_static("-") } else { cell }
}
