//! qvm-check: checks whether qubes exist and meet conditions. The exit code is the answer.

use serde_json::json;

use crate::lifecycle::Context;
use crate::model::{Class, PowerState, Vm, VmName};
use crate::tools::completion;
use crate::tools::ui::arguments::{self, flag};
use crate::tools::ui::failure::Failure;
use crate::tools::ui::hint::{Hint, NameKind};
use crate::tools::ui::invocation::{Invocation, read_until_exit};
use crate::tools::ui::output::Output;
use crate::tools::ui::selection::{self, Selection, is_pattern};
use crate::tools::ui::values::Values;

/// All qubes meet the conditions.
const EXIT_ALL: u8 = 0;
/// No qube does, or a name does not exist.
const EXIT_NONE: u8 = 1;
/// Some qubes do, others do not.
const EXIT_SOME: u8 = 3;

/// The word for a qube without conditions.
const EXISTS: &str = "exists";

/// A condition besides existence.
struct Filter {
    id: &'static str,
    satisfied: fn(&Values, &Vm) -> bool,
}

const FILTERS: [Filter; 4] = [
    Filter {
        id: "running",
        satisfied: |v, vm| !matches!(v.state(vm), PowerState::Halted | PowerState::Unknown),
    },
    Filter {
        id: "paused",
        satisfied: |v, vm| v.state(vm) == PowerState::Paused,
    },
    Filter {
        id: "template",
        satisfied: |_, vm| vm.class == Class::TemplateVM,
    },
    Filter {
        id: "networked",
        satisfied: |v, vm| v.is_true(vm, "provides_network") || v.text(vm, "netvm").is_some(),
    },
];

pub fn define(line: clap::Command) -> clap::Command {
    selection::define(line, completion::QUBES)
        .arg(flag(
            "running",
            None,
            "Check whether the qubes run, are paused or are about to run",
        ))
        .arg(flag("paused", None, "Check whether the qubes are paused"))
        .arg(flag(
            "template",
            None,
            "Check whether the qubes are templates",
        ))
        .arg(flag(
            "networked",
            None,
            "Check whether the qubes have a netvm or provide a network",
        ))
        .arg(arguments::json_flag())
}

pub fn run(call: &mut Invocation) -> Result<u8, Failure> {
    let given = Selection::from_matches(&call.matches);
    given.check()?;
    let context = Context::new(call.system()?);
    let qubes = read_until_exit(&context)?;
    let (mut present, mut missing): (Vec<&str>, Vec<&str>) = if given.all {
        (
            given.resolve(
                &qubes.names().map(VmName::as_str).collect::<Vec<_>>(),
                false,
            )?,
            Vec::new(),
        )
    } else {
        given.names.iter().partition(|name| qubes.contains(name))
    };
    for names in [&mut present, &mut missing] {
        names.sort_unstable();
        names.dedup();
    }
    let filters: Vec<&Filter> = FILTERS.iter().filter(|f| call.has(f.id)).collect();
    let filter_names = filters.iter().map(|f| f.id).collect::<Vec<_>>().join(", ");
    let values = Values::new(&qubes, &context);
    if (call.has("running") || call.has("paused"))
        && let Some(error) = values.state_error(&present)
    {
        return Err(Failure::error(format!(
            "power states are not available: {error}"
        )));
    }
    let satisfied: Vec<&str> = if filters.is_empty() {
        present.clone()
    } else {
        let fits = |name: &&str| {
            qubes
                .get(name)
                .is_some_and(|vm| filters.iter().all(|f| (f.satisfied)(&values, vm)))
        };
        present.iter().copied().filter(fits).collect()
    };
    if call.has("json") {
        print_json(&mut call.out, &satisfied, &present, &missing)?;
    } else {
        print_results(
            call,
            if filters.is_empty() {
                EXISTS
            } else {
                &filter_names
            },
            &satisfied,
            &missing,
        );
    }
    Ok(match (satisfied.len(), present.len(), missing.len()) {
        (_, _, 1..) => EXIT_NONE,
        (0, 0, 0) if !filters.is_empty() => EXIT_ALL,
        (0, _, _) => EXIT_NONE,
        (some, all, _) if some < all => EXIT_SOME,
        _ => EXIT_ALL,
    })
}

fn print_results(call: &Invocation, word: &str, satisfied: &[&str], missing: &[&str]) {
    for name in satisfied {
        call.inform("qvm-check", &format!("{name}: {word}"));
    }
    if word != EXISTS && satisfied.is_empty() {
        call.inform("qvm-check", &format!("None of qubes: {word}"));
    }
    for name in missing {
        call.warn("qvm-check", &format!("{name}: non-existent!"));
        call.hint(&match is_pattern(name) {
            true => Hint::text("qvm-check takes names, not patterns"),
            false => Hint::Unknown(NameKind::Qube, name.to_string()),
        });
    }
}

/// Prints an object for each qube, sorted by name: whether it exists and meets the conditions.
fn print_json(
    out: &mut Output,
    satisfied: &[&str],
    present: &[&str],
    missing: &[&str],
) -> Result<(), Failure> {
    let mut names = [present, missing].concat();
    names.sort_unstable();
    let object = |name: &&str| {
        json!({
            "name": name,
            "exists": present.contains(name),
            "satisfied": satisfied.contains(name),
        })
    };
    out.json(&names.iter().map(object).collect())
}
