//! qvm-check: checks whether qubes exist and meet conditions. The exit code is the answer.

use clap::Args;
use serde_json::json;

use crate::lifecycle::Context;
use crate::model::{Class, PowerState, Qubes, Vm, VmName};
use crate::tools::ui::arguments::JsonOption;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::hint::{Hint, NameKind};
use crate::tools::ui::invocation::{Invocation, read_until_exit};
use crate::tools::ui::output::Output;
use crate::tools::ui::selection::{Selection, is_pattern};
use crate::tools::ui::values::Values;
use crate::tools::{Command, Run};

/// All qubes meet the conditions.
const EXIT_ALL: u8 = 0;
/// No qube does, or a name does not exist.
const EXIT_NONE: u8 = 1;
/// Some qubes do, others do not.
const EXIT_SOME: u8 = 3;

/// The word for a qube without conditions.
const EXISTS: &str = "exists";

/// A condition besides existence.
struct Condition {
    name: &'static str,
    is_satisfied: Test,
}

/// `qvm-check`
pub const QVM_CHECK: Command = Command::of::<CheckArguments>(
    "qvm-check",
    "Check whether qubes exist, run or are templates",
);

/// The arguments of qvm-check.
#[derive(Args)]
struct CheckArguments {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    conditions: Conditions,
    #[command(flatten)]
    output: JsonOption,
}

#[derive(Args)]
#[command(next_help_heading = "Conditions")]
struct Conditions {
    /// Check whether the qubes run, are paused or are about to run
    #[arg(long)]
    running: bool,
    /// Check whether the qubes are paused
    #[arg(long)]
    paused: bool,
    /// Check whether the qubes are templates
    #[arg(long)]
    template: bool,
    /// Check whether the qubes have a netvm or provide a network
    #[arg(long)]
    networked: bool,
}

/// Decides whether a qube meets a condition.
type Test = fn(&Values, &Vm) -> bool;

impl Conditions {
    /// Returns the conditions of the command line.
    fn given(&self) -> Vec<Condition> {
        let all: [(bool, &'static str, Test); 4] = [
            (self.running, "running", |v, vm| {
                !matches!(v.state(vm), PowerState::Halted | PowerState::Unknown)
            }),
            (self.paused, "paused", |v, vm| {
                v.state(vm) == PowerState::Paused
            }),
            (self.template, "template", |_, vm| {
                vm.class == Class::TemplateVM
            }),
            (self.networked, "networked", |v, vm| {
                v.is_true(vm, "provides_network") || v.text(vm, "netvm").is_some()
            }),
        ];
        let given = all.into_iter().filter(|(is_given, ..)| *is_given);
        given
            .map(|(_, name, is_satisfied)| Condition { name, is_satisfied })
            .collect()
    }
}

impl Run for CheckArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        let given = &self.selection;
        given.check()?;
        let context = Context::new(call.system()?);
        let qubes = read_until_exit(&context)?;
        let (present, missing) = sorted_names(given, &qubes)?;
        let conditions = self.conditions.given();
        let values = Values::new(&qubes, &context);
        if (self.conditions.running || self.conditions.paused)
            && let Some(error) = values.state_error(&present)
        {
            return Err(Failure::error(format!(
                "power states are not available: {error}"
            )));
        }
        let fits = |name: &&str| {
            let meets_all = |vm: &Vm| conditions.iter().all(|c| (c.is_satisfied)(&values, vm));
            conditions.is_empty() || qubes.get(name).is_some_and(meets_all)
        };
        let satisfied: Vec<&str> = present.iter().copied().filter(fits).collect();
        if self.output.json {
            print_json(&mut call.out, &satisfied, &present, &missing)?;
        } else {
            let names: Vec<&str> = conditions.iter().map(|c| c.name).collect();
            let word = match names.as_slice() {
                [] => EXISTS.to_owned(),
                names => names.join(", "),
            };
            print_results(call, &word, &satisfied, &missing);
        }
        Ok(match (satisfied.len(), present.len(), missing.len()) {
            (_, _, 1..) => EXIT_NONE,
            (0, 0, 0) if !conditions.is_empty() => EXIT_ALL,
            (0, _, _) => EXIT_NONE,
            (some, all, _) if some < all => EXIT_SOME,
            _ => EXIT_ALL,
        })
    }
}

/// Returns the selected names that exist, and the others, both sorted.
fn sorted_names<'a>(
    given: &'a Selection,
    qubes: &'a Qubes,
) -> Result<(Vec<&'a str>, Vec<&'a str>), Failure> {
    let (mut present, mut missing): (Vec<&str>, Vec<&str>) = match given.all {
        true => {
            let all: Vec<&str> = qubes.names().map(VmName::as_str).collect();
            (given.resolve(&all, false)?, Vec::new())
        }
        false => {
            let names = given.names.iter().map(String::as_str);
            names.partition(|name| qubes.contains(name))
        }
    };
    for names in [&mut present, &mut missing] {
        names.sort_unstable();
        names.dedup();
    }
    Ok((present, missing))
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
