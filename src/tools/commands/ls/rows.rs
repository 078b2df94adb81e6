//! The rows of a listing: a cell for each column.

use super::column::Column;
use crate::model::Vm;
use crate::tools::ui::damage_scan::DamageScan;
use crate::tools::ui::label_color;
use crate::tools::ui::table::Row;
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

impl RowBuilder<'_> {
    /// Returns the row of headings.
    pub fn headings(&self) -> Row {
        self.columns.iter().map(|column| &column.heading).collect()
    }

    /// Returns the row of a qube in the style of its label, with a prefix before its name and a
    /// mark after it if it is damaged.
    pub fn row(&self, before: &str, vm: &Vm) -> Row {
        let mut row = Row::with_capacity(self.columns.len());
        if let Some(label) = self.values.label(vm).filter(|_| self.colored) {
            row.style = label_color::label_style(&label.color);
        }
        let is_broken = !self.scan.inspect(vm).is_empty();
        for column in self.columns {
            row.push(|cell| match column.is_name() {
                true => {
                    cell.push_str(before);
                    push(cell, column, self.values, vm);
                    cell.push_str(if is_broken { BROKEN } else { "" });
                }
                false => push(cell, column, self.values, vm),
            });
        }
        row
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
