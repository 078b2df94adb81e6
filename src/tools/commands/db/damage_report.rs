//! Prints damage: two lines each, and only some of many of one kind.

use std::collections::HashMap;

use super::one_line;
use crate::format::Damage;
use crate::model::check::{FindingKind, Harm};
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::store_copies::count_errors;

/// Of a kind with more damage than this, only some is printed.
const GROUP_LIMIT: usize = 12;
const SHOWN_PER_GROUP: usize = 3;

/// What the second line of each damage says.
#[derive(Clone, Copy)]
pub enum RepairStage {
    /// A repair would do it.
    Proposed,
    /// A repair does it.
    Done,
    /// A person has to do it.
    Remaining,
}

/// Prints `damages` in their order; with `all` or `-v` each of them.
pub fn print_damages(
    call: &mut Invocation,
    all: bool,
    file: &str,
    damages: &[Damage],
    stage: RepairStage,
) -> Result<(), Failure> {
    let each = all || call.common.verbosity() > 1;
    let mut counts: HashMap<(FindingKind, bool), usize> = HashMap::new();
    damages
        .iter()
        .for_each(|damage| *counts.entry(group(damage)).or_default() += 1);
    let mut told: HashMap<(FindingKind, bool), usize> = HashMap::new();
    for damage in damages {
        let (count, told) = (
            counts.get(&group(damage)).copied().unwrap_or(0),
            told.entry(group(damage)).or_default(),
        );
        *told += 1;
        if each || count <= GROUP_LIMIT || *told <= SHOWN_PER_GROUP {
            print_damage(call, file, damage, stage)?;
        } else if *told == count {
            let more = count - SHOWN_PER_GROUP;
            let text = format!(
                "{}: {more} more of this kind ({}); --all lists each",
                prefix(file, damage),
                damage.kind
            );
            call.out.line(&text)?;
        }
    }
    Ok(())
}

fn group(damage: &Damage) -> (FindingKind, bool) {
    (damage.kind, damage.remedy.is_automatic())
}

/// Prints one damage. The first line has the form of compilers, so that editors can jump there.
fn print_damage(
    call: &mut Invocation,
    file: &str,
    damage: &Damage,
    stage: RepairStage,
) -> Result<(), Failure> {
    let qube = damage
        .qube
        .as_ref()
        .map(|name| format!("{name}: "))
        .unwrap_or_default();
    call.out.line(&format!(
        "{}: {}{}",
        prefix(file, damage),
        one_line(&qube),
        one_line(&damage.text)
    ))?;
    let remedy = one_line(&damage.remedy.to_string());
    call.out.line(&match stage {
        RepairStage::Proposed => format!("    repair: {remedy}"),
        RepairStage::Done => format!("    repaired: {remedy}"),
        RepairStage::Remaining => format!("    left: {remedy}"),
    })
}

fn prefix(file: &str, damage: &Damage) -> String {
    let line = damage.line.map(|n| format!(":{n}")).unwrap_or_default();
    format!("{file}{line}: {}", severity(damage.harm))
}

/// Returns `error` for damage for which qubesd refuses the file, else `warning`.
pub fn severity(harm: Harm) -> &'static str {
    match harm {
        Harm::Refused => "error",
        Harm::Misread => "warning",
    }
}

/// Returns `3 errors that qubesd refuses it for, 1 warning`.
pub fn summary(damages: &[Damage]) -> String {
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let errors = count_errors(damages);
    let warnings = damages.len() - errors;
    match (errors, warnings) {
        (0, 0) => "nothing is wrong".to_owned(),
        (0, _) => format!("{}; qubesd loads it", count(warnings, "warning")),
        _ => format!(
            "{} that qubesd refuses it for, {}",
            count(errors, "error"),
            count(warnings, "warning")
        ),
    }
}
