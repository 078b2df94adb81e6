//! The rows of a listing: a cell for each column.

use anstyle::Style;

use super::column::Column;
use crate::model::Vm;
use crate::tools::ui::damage_scan::DamageScan;
use crate::tools::ui::label_color;
use crate::tools::ui::table::Grid;
use crate::tools::ui::values::Values;

/// The mark after the name of a damaged qube.
const BROKEN: &str = " !";

/// Builds rows.
pub struct RowBuilder<'a> {
    pub columns: &'a [Column],
    pub values: &'a Values<'a>,
    pub scan: &'a DamageScan<'a>,
    pub colored: bool,
}

/// The headings and the rows below them.
pub struct Table {
    pub cells: Grid,
    /// The style of the label of each row.
    pub labels: Vec<Style>,
}

impl RowBuilder<'_> {
    /// Returns a table with the headings and capacity for this many rows.
    pub fn headings(&self, rows: usize) -> Table {
        let mut cells = Grid::new(self.columns.len(), rows + 1);
        self.columns
            .iter()
            .for_each(|column| cells.cell(|cell| cell.push_str(&column.heading)));
        Table {
            cells,
            labels: vec![Style::new()],
        }
    }

    /// Adds the row of a qube, with a prefix before its name and a mark after it if it is damaged.
    pub fn add(&self, table: &mut Table, before: &str, vm: &Vm) {
        let label = self.colored.then(|| self.values.label(vm)).flatten();
        table
            .labels
            .push(label.map_or(Style::new(), |label| label_color::label_style(&label.color)));
        let is_broken = !self.scan.inspect(vm).is_empty();
        for column in self.columns {
            table.cells.cell(|cell| match column.is_name() {
                true => {
                    cell.push_str(before);
                    push(cell, column, self.values, vm);
                    cell.push_str(if is_broken { BROKEN } else { "" });
                }
                false => push(cell, column, self.values, vm),
            });
        }
    }

    /// Returns a table of the qubes of these names.
    pub fn build(&self, names: &[&str]) -> Table {
        let mut table = self.headings(names.len());
        for name in names {
            self.values.inspect(name, |vm| self.add(&mut table, "", vm));
        }
        table
    }
}

/// Returns the cells of a qube as a line for scripts.
pub fn line(columns: &[Column], values: &Values, vm: &Vm) -> String {
    let mut line = String::new();
    for (at, column) in columns.iter().enumerate() {
        if at > 0 {
            line.push('|');
        }
        push(&mut line, column, values, vm);
    }
    line
}

/// Appends a cell; `-` if it is empty.
fn push(text: &mut String, column: &Column, values: &Values, vm: &Vm) {
    let start = text.len();
    column.push_cell(text, values, vm);
    if text.len() == start {
        text.push('-');
    }
}
