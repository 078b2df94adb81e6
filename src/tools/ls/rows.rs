//! The rows of a listing: a cell for each column. Of many qubes several processors make them, each over a reading of its
//! own of the same state of the store.

use std::mem::ManuallyDrop;
use std::num::NonZero;
use std::thread;

use anstyle::Style;
use smol_str::SmolStr;

use super::columns::Column;
use crate::lifecycle::{Known, Session};
use crate::model::Vm;
use crate::store::{Read, Twin};
use crate::tools::damage::Watch;
use crate::tools::label_color;
use crate::tools::values::Values;

/// Behind the name of a qube that cannot be relied on.
const BROKEN: &str = " !";

/// How many qubes are worth a thread.
const SHARE: usize = 200;
/// Beyond that the store's bytes are not handed out faster.
const MOST_THREADS: usize = 4;

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
    pub read: &'a Read,
    pub session: &'a Session,
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
        let processors = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
        let threads = processors.min(names.len() / SHARE);
        // Whether a qube is broken depends on all of them; where it is known that none is, nobody has to look.
        if threads < 2 || !self.watch.has_nothing_to_look_for() {
            return names.iter().filter_map(|name| Some(self.row(&*self.values.glance(name)?))).collect();
        }
        self.of_many(names, threads)
    }

    fn of_many(&self, names: &[&str], threads: usize) -> Vec<Row> {
        let (first, others) = names.split_at(names.len().div_ceil(threads));
        let (columns, colored) = (self.columns, self.colored);
        let mut rows = Vec::with_capacity(names.len() + 1);
        thread::scope(|scope| {
            let shares: Vec<_> = others
                .chunks(first.len())
                .map(|share| {
                    let (twin, known) = (self.read.twin(), self.session.known());
                    let made = scope.spawn(move || rows_apart(twin, known, columns, share, colored));
                    (share, made)
                })
                .collect();
            rows.extend(first.iter().filter_map(|name| Some(self.row(&*self.values.glance(name)?))));
            for (share, made) in shares {
                match made.join() {
                    Ok(Some(made)) => rows.extend(made),
                    // What cannot be read twice is read as before.
                    _ => rows.extend(share.iter().filter_map(|name| Some(self.row(&*self.values.glance(name)?)))),
                }
            }
        });
        rows
    }
}

fn rows_apart(twin: Twin, known: Known, columns: &[Column], names: &[&str], colored: bool) -> Option<Vec<Row>> {
    // Neither is freed: that would take a tenth of the time, and the process ends soon.
    let (qubes, session) = (ManuallyDrop::new(twin.read().ok()?), ManuallyDrop::new(known.session()));
    let values = Values::new(&qubes, &session);
    let row = |name: &&str| Some(row(columns, &values, &*values.glance(name)?, colored));
    Some(names.iter().filter_map(row).collect())
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
