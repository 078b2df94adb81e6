//! The order of rows: sorted by a column, or as a tree of netvms and their clients.

use std::collections::{HashMap, HashSet};

use crate::model::Vm;
use crate::tools::ui::values::Values;

/// How rows are sorted.
#[derive(Debug, Clone, Copy)]
pub struct SortOrder {
    pub is_numeric: bool,
    pub is_reversed: bool,
    pub ignores_case: bool,
}

/// Sorts rows by a cell. Equal rows keep their order, also when reversed.
pub fn sort<R>(rows: &mut [R], cell: impl Fn(&R) -> &str, by: SortOrder) {
    let compare = |a: &R, b: &R| {
        let (a, b) = (cell(a), cell(b));
        let order = match by.is_numeric {
            true => number(a).total_cmp(&number(b)),
            false if by.ignores_case => a.to_lowercase().cmp(&b.to_lowercase()),
            false => a.cmp(b),
        };
        if by.is_reversed {
            order.reverse()
        } else {
            order
        }
    };
    rows.sort_by(compare);
}

/// Returns a cell as a number, without its `%`; 0 if it is not a number.
fn number(cell: &str) -> f64 {
    cell.trim_end_matches('%').parse().unwrap_or(0.0)
}

/// Returns the rows of a tree with their depth. First the qubes without a network; then each qube
/// that provides a network and has no netvm, with its clients below it; last the qubes in loops of
/// netvms with their clients. A qube whose netvm is not listed is left out.
pub fn tree<'a>(values: &Values, vms: &[&'a Vm]) -> Vec<(usize, &'a Vm)> {
    let netvm = |vm: &'a Vm| {
        values
            .text(vm, "netvm")
            .filter(|n| !n.is_empty() && !vm.name.is_dom0())
            .map(String::from)
    };
    let netvms: HashMap<&str, String> = vms
        .iter()
        .filter_map(|vm| Some((vm.name.as_str(), netvm(vm)?)))
        .collect();
    let has_netvm = |vm: &Vm| netvms.contains_key(vm.name.as_str());
    let provides = |vm: &Vm| !vm.name.is_dom0() && values.is_true(vm, "provides_network");
    let alone = vms.iter().filter(|vm| !has_netvm(vm) && !provides(vm));
    let mut rows: Vec<(usize, &'a Vm)> = alone.map(|vm| (0, *vm)).collect();
    let mut clients: HashMap<&str, Vec<&'a Vm>> = HashMap::new();
    for vm in vms {
        if let Some(netvm) = netvms.get(vm.name.as_str()) {
            clients.entry(netvm).or_default().push(vm);
        }
    }
    let mut seen = HashSet::new();
    let roots = vms.iter().filter(|vm| !has_netvm(vm) && provides(vm));
    let in_loops = in_loops(&netvms);
    let loops = vms.iter().filter(|vm| in_loops.contains(vm.name.as_str()));
    for root in roots.chain(loops) {
        let mut open = vec![(0, *root)];
        while let Some((level, vm)) = open.pop() {
            // A qube is reached twice only in a loop.
            if seen.insert(vm.name.as_str()) {
                rows.push((level, vm));
                let below = clients.get(vm.name.as_str()).into_iter().flatten();
                open.extend(below.rev().map(|client| (level + 1, *client)));
            }
        }
    }
    rows
}

/// Returns the qubes that are in a loop of netvms.
fn in_loops<'n>(netvms: &'n HashMap<&'n str, String>) -> HashSet<&'n str> {
    let mut seen: HashSet<&str> = HashSet::new();
    let mut found = HashSet::new();
    for name in netvms.keys() {
        let mut way: Vec<&str> = Vec::new();
        let mut at = Some(*name);
        while let Some(qube) = at.filter(|qube| seen.insert(qube)) {
            way.push(qube);
            at = netvms.get(qube).map(String::as_str);
        }
        // The chain ends at a qube of this chain or an earlier one, or without a netvm.
        let back = way.iter().position(|qube| at == Some(*qube));
        found.extend(
            back.into_iter()
                .flat_map(|start| way[start..].iter().copied()),
        );
    }
    found
}

/// The style of the branches of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Branches {
    /// As upstream: every branch like the last one.
    AsUpstream,
    /// With box-drawing characters.
    Drawn,
    Ascii,
}

/// Returns the prefix of each name in a tree whose rows have these depths.
pub fn branches(levels: &[usize], look: Branches) -> Vec<String> {
    let [go_on, blank, between, last] = match look {
        Branches::AsUpstream => ["  ", "  ", "└─", "└─"],
        Branches::Drawn => ["│ ", "  ", "├─", "└─"],
        Branches::Ascii => ["| ", "  ", "|-", "`-"],
    };
    let mut branches = vec![String::new(); levels.len()];
    // Goes from the end, and keeps for each depth whether a row of the same branch follows.
    let mut follows: Vec<bool> = Vec::new();
    for (branch, level) in branches.iter_mut().zip(levels).rev() {
        follows.truncate(*level);
        follows.resize(*level, false);
        if let Some((own, above)) = follows.split_last_mut() {
            branch.extend(
                above
                    .iter()
                    .map(|goes_on| if *goes_on { go_on } else { blank }),
            );
            branch.push_str(if *own { between } else { last });
            *own = true;
        }
    }
    branches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(cells: &[&str], numeric: bool, reverse: bool) -> Vec<String> {
        let mut rows: Vec<(usize, &str)> = cells.iter().copied().enumerate().collect();
        let order = SortOrder {
            is_numeric: numeric,
            is_reversed: reverse,
            ignores_case: false,
        };
        sort(&mut rows, |(_, cell)| cell, order);
        rows.into_iter()
            .map(|(at, cell)| format!("{cell}{at}"))
            .collect()
    }

    #[test]
    fn equal_rows_keep_their_order_in_both_directions() {
        assert_eq!(sorted(&["b", "a", "a"], false, false), ["a1", "a2", "b0"]);
        assert_eq!(sorted(&["a", "b", "a"], false, true), ["b1", "a0", "a2"]);
        assert_eq!(
            sorted(&["9%", "10%", "-"], true, false),
            ["-2", "9%0", "10%1"]
        );
    }

    #[test]
    fn branches_are_connected_on_a_terminal() {
        let levels = [0, 0, 1, 2, 2, 1, 2, 0];
        assert_eq!(
            branches(&levels, Branches::AsUpstream),
            ["", "", "└─", "  └─", "  └─", "└─", "  └─", ""]
        );
        assert_eq!(
            branches(&levels, Branches::Drawn),
            ["", "", "├─", "│ ├─", "│ └─", "└─", "  └─", ""]
        );
        assert_eq!(
            branches(&levels, Branches::Ascii),
            ["", "", "|-", "| |-", "| `-", "`-", "  `-", ""]
        );
    }

    #[test]
    fn a_qube_that_only_leads_into_a_loop_is_not_in_it() {
        let netvms = [
            ("a", "b"),
            ("b", "c"),
            ("c", "b"),
            ("d", "e"),
            ("f", "f"),
            ("g", "a"),
        ];
        let netvms: HashMap<&str, String> = netvms
            .into_iter()
            .map(|(vm, netvm)| (vm, netvm.to_owned()))
            .collect();
        assert_eq!(in_loops(&netvms), HashSet::from(["b", "c", "f"]));
    }
}
