//! qubes-db diff: compares two versions of the store.

use clap::Args;
use serde_json::{Value as Json, json};

use super::copies::{self, Version};
use super::{complete_copy, one_line};
use crate::format::{self, Bytes};
use crate::lifecycle::Context;
use crate::model::Qubes;
use crate::model::differences;
use crate::model::differences::{Difference, DifferenceKind};
use crate::store::{StoreError, read_bytes};
use crate::tools::completion::Completer;
use crate::tools::ui::arguments::JsonOption;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::hint;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::store_copies;

/// The arguments of `diff`.
#[derive(Args)]
pub struct DiffArguments {
    /// Copy of the store: its time, its name, or a file (default: last)
    #[arg(value_name = "OLD", add = Completer(complete_copy))]
    old: Option<String>,
    /// Copy to compare it with (default: the store)
    #[arg(value_name = "NEW", add = Completer(complete_copy))]
    new: Option<String>,
    #[command(flatten)]
    output: JsonOption,
}

pub fn run(
    call: &mut Invocation,
    context: &Context,
    arguments: &DiffArguments,
) -> Result<u8, Failure> {
    let old = copies::find(context, arguments.old.as_deref().unwrap_or("last"))?;
    let new = match &arguments.new {
        Some(word) => copies::find(context, word)?,
        None => copies::current_store(context),
    };
    let is_store = arguments.new.is_none();
    let (old_bytes, new_bytes) = (read_bytes(&old.path)?, read_bytes(&new.path));
    let new_bytes = match new_bytes {
        Err(error) if is_store => {
            let way = store_copies::recovery_advice_for(context, &error);
            return Err(Failure::error(format!("{}; {way}", hint::describe(&error))));
        }
        read => read?,
    };
    let lines = match (load(&old, &old_bytes), load(&new, &new_bytes)) {
        (Ok(old), Ok(new)) if arguments.output.json => {
            let differences = differences::find_differences(&old, &new);
            call.print_json(&differences.iter().map(difference_json).collect())?;
            return Ok(u8::from(!differences.is_empty()));
        }
        (Ok(old), Ok(new)) => describe_differences(&old, &new),
        (Err(why), _) | (_, Err(why)) if arguments.output.json => return Err(why.into()),
        (Err(why), _) | (_, Err(why)) => {
            call.warn(
                "qubes-db",
                &format!("{why}; the lines that differ, old and new:"),
            );
            changed_lines(&old_bytes, &new_bytes)
        }
    };
    for line in &lines {
        call.out.line(line)?;
    }
    if lines.is_empty() {
        let how = if *old_bytes == *new_bytes {
            ""
        } else {
            ", though not in the same bytes"
        };
        call.inform(
            "qubes-db",
            &format!("{} and {} say the same{how}", old.title, new.title),
        );
    }
    Ok(u8::from(!lines.is_empty()))
}

fn load(version: &Version, bytes: &Bytes) -> Result<Qubes, StoreError> {
    let wrong = StoreError::format(&version.path);
    format::check_any_release(bytes).map_err(wrong)?;
    format::read(bytes.clone()).map_err(wrong)
}

/// Returns the differences, one line each: `work: memory 400 → 800`.
pub fn describe_differences(old: &Qubes, new: &Qubes) -> Vec<String> {
    differences::find_differences(old, new)
        .iter()
        .map(|difference| one_line(&difference.to_string()))
        .collect()
}

fn difference_json(difference: &Difference) -> Json {
    let (change, old, new) = match &difference.kind {
        DifferenceKind::Changed { old, new, .. } => ("changed", old.as_ref(), new.as_ref()),
        DifferenceKind::Added(about) => ("added", None, about.as_ref()),
        DifferenceKind::Removed(about) => ("removed", about.as_ref(), None),
    };
    let what = (!difference.item.is_empty()).then_some(&difference.item);
    json!({"of": difference.subject, "what": what, "change": change, "old": old, "new": new})
}

/// Returns the lines between the first and the last that differ, for texts that cannot be loaded.
fn changed_lines(old: &[u8], new: &[u8]) -> Vec<String> {
    let lines = |bytes: &[u8]| {
        String::from_utf8_lossy(bytes)
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (old, new) = (lines(old), lines(new));
    let shorter = old.len().min(new.len());
    let front = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let back = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take_while(|(a, b)| a == b)
        .count()
        .min(shorter - front);
    let side = |lines: &[String], sign: char| {
        let differing = lines[front..lines.len() - back].iter().enumerate();
        differing
            .map(|(n, text)| format!("{sign}{}: {}", front + n + 1, one_line(text)))
            .collect::<Vec<_>>()
    };
    [side(&old, '-'), side(&new, '+')].concat()
}
