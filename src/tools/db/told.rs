//! How damages are told: two lines each, and of many of one kind only some.

use std::collections::HashMap;

use super::one_line;
use crate::format::Damage;
use crate::model::check::{FindingKind, Harm};
use crate::tools::failure::Failure;
use crate::tools::invocation::Invocation;

/// Of a kind that there are more of, a few stand for all.
const MANY: usize = 12;
const A_FEW: usize = 3;

/// The second line of each damage.
#[derive(Clone, Copy)]
pub enum Said {
    /// What a repair would do.
    WouldDo,
    /// What it does.
    Does,
    /// What is left to do.
    Left,
}

/// Tells `damages` in their order. With `--all` or `-v` each of them.
pub fn tell(
    call: &mut Invocation,
    file: &str,
    damages: &[Damage],
    said: Said,
) -> Result<(), Failure> {
    let each = call.has("all") || crate::tools::arguments::verbosity(&call.given) > 1;
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
        if each || count <= MANY || *told <= A_FEW {
            tell_one(call, file, damage, said)?;
        } else if *told == count {
            let more = count - A_FEW;
            let text = format!(
                "{}: {more} more of this kind ({}); --all lists each",
                front(file, damage),
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

/// The first line as compilers write it, so that editors jump there.
fn tell_one(call: &mut Invocation, file: &str, damage: &Damage, said: Said) -> Result<(), Failure> {
    let qube = damage
        .qube
        .as_ref()
        .map(|name| format!("{name}: "))
        .unwrap_or_default();
    call.out.line(&format!(
        "{}: {}{}",
        front(file, damage),
        one_line(&qube),
        one_line(&damage.text)
    ))?;
    let remedy = one_line(&damage.remedy.to_string());
    call.out.line(&match said {
        Said::WouldDo => format!("    repair: {remedy}"),
        Said::Does => format!("    repaired: {remedy}"),
        Said::Left => format!("    left: {remedy}"),
    })
}

fn front(file: &str, damage: &Damage) -> String {
    let line = damage.line.map(|n| format!(":{n}")).unwrap_or_default();
    format!("{file}{line}: {}", word(damage.harm))
}

/// `error` for what qubesd refuses the file for, else `warning`.
pub fn word(harm: Harm) -> &'static str {
    match harm {
        Harm::Refused => "error",
        Harm::Misread => "warning",
    }
}

/// How many things qubesd refuses the store for.
pub fn count_of_errors(damages: &[Damage]) -> usize {
    damages
        .iter()
        .filter(|damage| damage.harm == Harm::Refused)
        .count()
}

/// `3 errors that qubesd refuses it for, 1 warning`.
pub fn summary(damages: &[Damage]) -> String {
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let errors = count_of_errors(damages);
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
