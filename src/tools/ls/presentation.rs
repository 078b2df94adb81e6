//! How qvm-ls shows what it lists: tables and trees for people, plain forms for scripts, JSON for programs.

use anstyle::Style;
use smol_str::SmolStr;

use super::columns::Column;
use super::layout::{self, Branches, Order};
use super::rows::{self, Row, Rows};
use crate::model::Vm;
use crate::tools::damage::Watch;
use crate::tools::failure::Failure;
use crate::tools::invocation::Invocation;
use crate::tools::table::{self, Cells, Packed};
use crate::tools::values::Values;

/// Prints the qubes of these names, in byte order, in the form that was asked for. Those that can be read in part are
/// shown as far as they can.
pub fn print(call: &mut Invocation, rows: &Rows, names: &[&str]) -> Result<(), Failure> {
    let Rows { columns, values, watch, .. } = rows;
    if call.has("raw-list") {
        return names.iter().try_for_each(|name| call.out.line(name));
    }
    if call.has("json") {
        return print_json(call, columns, values, names, watch);
    }
    if call.has("raw-data") {
        let mut result = Ok(());
        values.glance_at_each(names, |vm| {
            // Scripts get names that are names: only people see the mark.
            watch.look(vm);
            if result.is_ok() {
                result = call.out.line(&rows::cells(columns, values, vm).join("|"));
            }
        });
        return result;
    }
    let mut rows = match call.has("tree") {
        true => tree(call, rows, names),
        false => sorted(call, rows, names),
    };
    if call.has("human-readable") {
        rows.iter_mut().for_each(|row| measure(columns, &mut row.cells));
    }
    rows.insert(0, Row { cells: Packed::of(columns.iter().map(|c| c.heading.as_str())), label: Style::new() });
    let is_colored: Vec<bool> = columns.iter().map(|c| c.is_name() || c.is_label()).collect();
    let style = |row: usize, column: usize| if is_colored[column] { rows[row].label } else { Style::new() };
    table::print_colored(&mut call.out, &rows, style)
}

fn sorted(call: &Invocation, rows: &Rows, names: &[&str]) -> Vec<Row> {
    let order = order(call, rows.columns);
    let mut rows = rows.of(names);
    if let Some((at, order)) = order {
        layout::sort(&mut rows, at, order);
    }
    rows
}

/// By which column to sort, and how; nothing where it is not shown.
fn order(call: &Invocation, columns: &[Column]) -> Option<(usize, Order)> {
    let by = call.value("sort").unwrap_or("NAME").to_uppercase();
    let at = columns.iter().position(|c| c.heading == by)?;
    let order = Order {
        is_numeric: columns[at].is_numeric(),
        is_reversed: call.has("reverse"),
        ignores_case: call.has("ignore-case"),
    };
    Some((at, order))
}

fn tree(call: &Invocation, of: &Rows, names: &[&str]) -> Vec<Row> {
    let vms: Vec<&Vm> = names.iter().filter_map(|name| of.values.get(name)).collect();
    let tree = layout::tree(of.values, &vms);
    let out = &call.out;
    let levels: Vec<usize> = tree.iter().map(|(level, _)| *level).collect();
    let branches = match (out.is_terminal(), out.is_unicode_terminal()) {
        (false, _) => Branches::AsUpstream,
        (true, true) => Branches::Drawn,
        (true, false) => Branches::Ascii,
    };
    let mut rows: Vec<Row> = tree.iter().map(|(_, vm)| of.row(vm)).collect();
    for (row, branch) in rows.iter_mut().zip(layout::branches(&levels, branches)) {
        for (at, _) in of.columns.iter().enumerate().filter(|(_, column)| column.is_name()) {
            row.cells.replace(at, &format!("{branch}{}", row.cells.cell(at)));
        }
    }
    rows
}

/// Makes the MiB of a row's cells easy to read.
fn measure(columns: &[Column], cells: &mut Packed) {
    for (at, _) in columns.iter().enumerate().filter(|(_, column)| column.is_mib()) {
        if let Ok(mib) = cells.cell(at).parse() {
            cells.replace(at, &human_readable(mib));
        }
    }
}

/// A number of MiB with the unit that leaves at most four digits: `750M`, `1.5G`, `20G`, `1.0T`.
fn human_readable(mib: u64) -> String {
    let (mut amount, mut unit) = (mib as f64, "M");
    for larger in ["G", "T", "P"] {
        if amount < 1000.0 {
            break;
        }
        (amount, unit) = (amount / 1024.0, larger);
    }
    match (mib, unit) {
        (0, _) => "0".to_string(),
        (_, "M") => format!("{mib}M"),
        _ if amount < 10.0 => format!("{amount:.1}{unit}"),
        _ => format!("{amount:.0}{unit}"),
    }
}

/// What stands in a list of JSON, with the cell that it is sorted by.
struct Listed {
    cell: SmolStr,
    object: serde_json::Value,
}

impl Cells for Listed {
    fn count(&self) -> usize {
        1
    }

    fn cell(&self, _column: usize) -> &str {
        &self.cell
    }
}

/// One object for each qube, sorted as a table would be: its name, and the columns with real types; `broken` says what is wrong with
/// one that cannot be relied on.
fn print_json(
    call: &mut Invocation,
    columns: &[Column],
    values: &Values,
    names: &[&str],
    watch: &Watch,
) -> Result<(), Failure> {
    let object = |vm: &Vm| {
        let broken = Some(watch.look(vm)).filter(|texts| !texts.is_empty());
        let name = ("name".to_string(), serde_json::Value::from(vm.name.as_str()));
        let others = columns.iter().filter(|c| !c.is_name() && !c.heading.is_empty());
        let fields = std::iter::once(name).chain(others.map(|c| (c.json_name(), c.json(values, vm))));
        let fields = fields.chain(broken.map(|texts| ("broken".to_string(), texts.into())));
        serde_json::Value::Object(fields.collect())
    };
    let order = order(call, columns);
    let mut list: Vec<Listed> = Vec::with_capacity(names.len());
    values.glance_at_each(names, |vm| {
        let cell = order.map_or_else(SmolStr::default, |(at, _)| columns[at].cell(values, vm));
        list.push(Listed { cell, object: object(vm) });
    });
    if let Some((_, order)) = order {
        layout::sort(&mut list, 0, order);
    }
    let list: serde_json::Value = list.into_iter().map(|listed| listed.object).collect();
    call.out.line(&serde_json::to_string_pretty(&list)?)
}

#[cfg(test)]
mod tests {
    use super::human_readable;

    #[test]
    fn sizes_are_short_and_of_the_right_unit() {
        let shown = [0, 1, 750, 999, 1000, 2048, 20480, 1_048_576, 15_000_000_000].map(human_readable);
        assert_eq!(shown, ["0", "1M", "750M", "999M", "1.0G", "2.0G", "20G", "1.0T", "14P"]);
    }
}
