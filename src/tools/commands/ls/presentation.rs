//! The output forms of qvm-ls: tables and trees, plain forms for scripts, JSON.

use anstyle::Style;

use super::column::Column;
use super::layout::{self, Branches, SortOrder};
use super::rows::{self, RowBuilder, Table};
use crate::model::Vm;
use crate::tools::ui::damage_scan::DamageScan;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::table::{self, Cells, Grid, GridRow};
use crate::tools::ui::values::Values;

/// Prints the qubes of these names, which are in byte order, in the requested form. Damaged qubes
/// are shown as far as they can be read.
pub fn print(call: &mut Invocation, rows: &RowBuilder, names: &[&str]) -> Result<(), Failure> {
    let RowBuilder {
        columns,
        values,
        scan,
        ..
    } = rows;
    if call.has("raw-list") {
        return names.iter().try_for_each(|name| call.out.line(name));
    }
    if call.has("json") {
        return print_json(call, columns, values, names, scan);
    }
    if call.has("raw-data") {
        let line = |vm: &Vm| {
            // The mark for damage is not part of the names that scripts get.
            scan.inspect(vm);
            rows::line(columns, values, vm)
        };
        let mut lines = names.iter().filter_map(|name| values.inspect(name, line));
        return lines.try_for_each(|line| call.out.line(&line));
    }
    let table = match call.has("tree") {
        true => tree(call, rows, names),
        false => rows.build(names),
    };
    let mut shown: Vec<GridRow> = table.cells.rows().collect();
    if let Some((at, order)) = sort_order(call, columns).filter(|_| !call.has("tree")) {
        layout::sort(&mut shown[1..], at, order);
    }
    let is_colored: Vec<bool> = columns
        .iter()
        .map(|c| c.is_name() || c.is_label())
        .collect();
    let label = |row: usize| table.labels.get(shown[row].at).copied().unwrap_or_default();
    let style = |row: usize, column: usize| {
        if is_colored[column] {
            label(row)
        } else {
            Style::new()
        }
    };
    match call.has("human-readable") {
        true => {
            let human_readable_rows = human_readable_rows(columns, &shown);
            table::print_colored(
                &mut call.out,
                &human_readable_rows.rows().collect::<Vec<_>>(),
                style,
            )
        }
        false => table::print_colored(&mut call.out, &shown, style),
    }
}

/// Returns the position of the column that `--sort` names among the shown columns.
pub fn column_position(sort: &str, columns: &[Column]) -> Option<usize> {
    let by = sort.to_uppercase();
    columns.iter().position(|column| column.heading == by)
}

/// Returns the column to sort by and how; `None` if it is not shown.
fn sort_order(call: &Invocation, columns: &[Column]) -> Option<(usize, SortOrder)> {
    let at = column_position(call.value("sort").unwrap_or("NAME"), columns)?;
    let order = SortOrder {
        is_numeric: columns[at].is_numeric(),
        is_reversed: call.has("reverse"),
        ignores_case: call.has("ignore-case"),
    };
    Some((at, order))
}

fn tree(call: &Invocation, rows: &RowBuilder, names: &[&str]) -> Table {
    let vms: Vec<&Vm> = names
        .iter()
        .filter_map(|name| rows.values.get(name))
        .collect();
    let tree = layout::tree(rows.values, &vms);
    let out = &call.out;
    let levels: Vec<usize> = tree.iter().map(|(level, _)| *level).collect();
    let branches = match (out.is_terminal(), out.is_unicode_terminal()) {
        (false, _) => Branches::AsUpstream,
        (true, true) => Branches::Drawn,
        (true, false) => Branches::Ascii,
    };
    let mut table = rows.headings(tree.len());
    for ((_, vm), branch) in tree.iter().zip(layout::branches(&levels, branches)) {
        rows.add(&mut table, &branch, vm);
    }
    table
}

/// Returns rows with sizes that are easy to read.
fn human_readable_rows(columns: &[Column], rows: &[GridRow]) -> Grid {
    let mut human_readable_rows = Grid::new(columns.len(), rows.len());
    for row in rows {
        for (column, cell) in columns.iter().zip(row.each()) {
            let mib = cell.parse().ok().filter(|_| column.is_mib());
            human_readable_rows
                .cell(|text| text.push_str(mib.map(human_readable).as_deref().unwrap_or(cell)));
        }
    }
    human_readable_rows
}

/// Returns a number of MiB with a unit: `750M`, `1.5G`, `20G`, `1.0T`.
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

/// An object of a JSON list with the cell that it is sorted by.
struct SortedObject {
    cell: String,
    object: serde_json::Value,
}

impl Cells for SortedObject {
    fn count(&self) -> usize {
        1
    }

    fn cell(&self, _column: usize) -> &str {
        &self.cell
    }
}

/// Prints an object for each qube, sorted as the table: its name and the columns with real types;
/// `broken` lists what is wrong with a damaged qube.
fn print_json(
    call: &mut Invocation,
    columns: &[Column],
    values: &Values,
    names: &[&str],
    scan: &DamageScan,
) -> Result<(), Failure> {
    let object = |vm: &Vm| {
        let broken = Some(scan.inspect(vm)).filter(|texts| !texts.is_empty());
        let name = (
            "name".to_string(),
            serde_json::Value::from(vm.name.as_str()),
        );
        let others = columns
            .iter()
            .filter(|c| !c.is_name() && !c.heading.is_empty());
        let fields =
            std::iter::once(name).chain(others.map(|c| (c.json_name(), c.json(values, vm))));
        let fields = fields.chain(broken.map(|texts| ("broken".to_string(), texts.into())));
        serde_json::Value::Object(fields.collect())
    };
    let order = sort_order(call, columns);
    let listed = |vm: &Vm| {
        let cell = order.map_or_else(String::new, |(at, _)| columns[at].cell(values, vm));
        SortedObject {
            cell,
            object: object(vm),
        }
    };
    let mut list: Vec<SortedObject> = names
        .iter()
        .filter_map(|name| values.inspect(name, listed))
        .collect();
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
        let shown =
            [0, 1, 750, 999, 1000, 2048, 20480, 1_048_576, 15_000_000_000].map(human_readable);
        assert_eq!(
            shown,
            [
                "0", "1M", "750M", "999M", "1.0G", "2.0G", "20G", "1.0T", "14P"
            ]
        );
    }
}
