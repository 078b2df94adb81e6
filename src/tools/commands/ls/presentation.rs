//! The output forms of qvm-ls: tables and trees, plain forms for scripts, JSON.

use std::borrow::Cow;

use super::arguments::{LsArguments, OrderOptions};
use super::column::Column;
use super::layout::{self, Branches, SortOrder};
use super::rows::{self, RowBuilder};
use crate::model::Vm;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::table::{self, Row};

/// Prints the qubes of these names, which are in byte order, in the requested form. Damaged qubes
/// are shown as far as they can be read.
pub fn print(
    call: &mut Invocation,
    arguments: &LsArguments,
    rows: &RowBuilder,
    names: &[&str],
) -> Result<(), Failure> {
    let RowBuilder {
        columns,
        values,
        scan,
        ..
    } = rows;
    let order = sort_order(&arguments.order, columns);
    if arguments.layout.raw_list {
        return names.iter().try_for_each(|name| call.out.line(name));
    }
    if arguments.json {
        return print_json(call, rows, names, order);
    }
    if arguments.layout.raw_data {
        let line = |vm: &Vm| {
            // The mark for damage is not part of the names that scripts get.
            scan.inspect(vm);
            rows::line(columns, values, vm)
        };
        let mut lines = names.iter().filter_map(|name| values.inspect(name, line));
        return lines.try_for_each(|line| call.out.line(&line));
    }
    let mut shown = vec![rows.headings()];
    match arguments.layout.tree {
        true => shown.extend(tree(call, rows, names)),
        false => {
            let row = |name: &&str| values.inspect(name, |vm| rows.row("", vm));
            shown.extend(names.iter().filter_map(row));
            if let Some((at, order)) = order {
                layout::sort(&mut shown[1..], |row| row.cell(at), order);
            }
        }
    }
    if arguments.human_readable {
        let readable = |row: &mut Row| *row = human_readable_row(columns, row);
        shown[1..].iter_mut().for_each(readable);
    }
    table::print_rows(&mut call.out, &shown, |column| {
        columns[column].is_name() || columns[column].is_label()
    })
}

/// Returns the position of the column that `--sort` names among the shown columns.
pub fn column_position(sort: &str, columns: &[Column]) -> Option<usize> {
    let by = sort.to_uppercase();
    columns.iter().position(|column| column.heading == by)
}

/// Returns the column to sort by and how; `None` if it is not shown.
fn sort_order(options: &OrderOptions, columns: &[Column]) -> Option<(usize, SortOrder)> {
    let at = column_position(options.sort.as_deref().unwrap_or("NAME"), columns)?;
    let order = SortOrder {
        is_numeric: columns[at].is_numeric(),
        is_reversed: options.reverse,
        ignores_case: options.ignore_case,
    };
    Some((at, order))
}

fn tree(call: &Invocation, rows: &RowBuilder, names: &[&str]) -> Vec<Row> {
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
    let branches = layout::branches(&levels, branches);
    let row = |((_, vm), branch): (&(usize, &Vm), &String)| rows.row(branch, vm);
    tree.iter().zip(&branches).map(row).collect()
}

/// Returns a row with sizes that are easy to read.
fn human_readable_row(columns: &[Column], row: &Row) -> Row {
    let cells = columns.iter().zip(row.cells()).map(|(column, cell)| {
        let mib = cell.parse().ok().filter(|_| column.is_mib());
        mib.map_or(Cow::Borrowed(cell), |mib| human_readable(mib).into())
    });
    let mut readable: Row = cells.collect();
    readable.style = row.style;
    readable
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

/// Prints an object for each qube, sorted as the table: its name and the columns with real types;
/// `broken` lists what is wrong with a damaged qube.
fn print_json(
    call: &mut Invocation,
    rows: &RowBuilder,
    names: &[&str],
    order: Option<(usize, SortOrder)>,
) -> Result<(), Failure> {
    let RowBuilder {
        columns,
        values,
        scan,
        ..
    } = rows;
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
        layout::sort(&mut list, |listed| &listed.cell, order);
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
