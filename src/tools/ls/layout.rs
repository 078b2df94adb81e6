//! The order of rows: sorted by a column, or as a tree of who gets its network from whom.

use std::collections::HashMap;

use crate::model::Vm;
use crate::tools::values::Values;

/// Sorts rows, which come in the order of names, by the column at `at`. Equal ones keep their order, also reversed.
pub fn sort(rows: &mut [Vec<String>], at: usize, numeric: bool, reverse: bool, ignore_case: bool) {
    let compare = |a: &Vec<String>, b: &Vec<String>| {
        let order = match numeric {
            true => number(&a[at]).total_cmp(&number(&b[at])),
            false if ignore_case => a[at].to_lowercase().cmp(&b[at].to_lowercase()),
            false => a[at].cmp(&b[at]),
        };
        if reverse { order.reverse() } else { order }
    };
    rows.sort_by(compare);
}

/// A cell as a number: without its `%`; what is none counts as 0.
fn number(cell: &str) -> f64 {
    cell.trim_end_matches('%').parse().unwrap_or(0.0)
}

/// The rows of a tree with their depth. First the qubes without a network, sorted; then each that gets its network
/// from nobody but provides one, with its clients below it. A qube whose netvms do not lead to such a root, because
/// they are not listed or form a loop, is left out.
pub fn tree<'a>(values: &Values, vms: &[&'a Vm]) -> Vec<(usize, &'a Vm)> {
    let netvm = |vm: &'a Vm| values.text(vm, "netvm").filter(|n| !n.is_empty()).map(String::from);
    let with_netvm: Vec<(&'a Vm, Option<String>)> = vms.iter().map(|vm| (*vm, netvm(vm))).collect();
    let provides = |vm: &Vm| values.is_true(vm, "provides_network");
    let alone = with_netvm.iter().filter(|(vm, netvm)| vm.name.is_dom0() || (netvm.is_none() && !provides(vm)));
    let mut rows: Vec<(usize, &'a Vm)> = alone.map(|(vm, _)| (0, *vm)).collect();
    let mut clients: HashMap<&str, Vec<&'a Vm>> = HashMap::new();
    for (vm, netvm) in with_netvm.iter().filter(|(vm, _)| !vm.name.is_dom0()) {
        if let Some(netvm) = netvm {
            clients.entry(netvm.as_str()).or_default().push(*vm);
        }
    }
    for (root, _) in with_netvm.iter().filter(|(vm, netvm)| !vm.name.is_dom0() && netvm.is_none() && provides(vm)) {
        // A root has no netvm, so no loop leads back to it or is reached from it.
        let mut open = vec![(0, *root)];
        while let Some((level, vm)) = open.pop() {
            rows.push((level, vm));
            let below = clients.get(vm.name.as_str()).into_iter().flatten();
            open.extend(below.rev().map(|client| (level + 1, *client)));
        }
    }
    rows
}

/// A name in a tree.
pub fn branch(level: usize, name: &str) -> String {
    match level {
        0 => name.to_string(),
        level => format!("{}└─{name}", "  ".repeat(level - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(cells: &[&str], numeric: bool, reverse: bool) -> Vec<String> {
        let mut rows: Vec<Vec<String>> =
            cells.iter().enumerate().map(|(at, c)| vec![c.to_string(), at.to_string()]).collect();
        sort(&mut rows, 0, numeric, reverse, false);
        rows.into_iter().map(|row| row.concat()).collect()
    }

    #[test]
    fn equal_rows_keep_their_order_in_both_directions() {
        assert_eq!(sorted(&["b", "a", "a"], false, false), ["a1", "a2", "b0"]);
        assert_eq!(sorted(&["a", "b", "a"], false, true), ["b1", "a0", "a2"]);
        assert_eq!(sorted(&["9%", "10%", "-"], true, false), ["-2", "9%0", "10%1"]);
    }

    #[test]
    fn a_branch_is_indented_by_its_level() {
        assert_eq!([branch(0, "a"), branch(1, "b"), branch(3, "c")], ["a", "└─b", "    └─c"]);
    }
}
