//! qubes-db repair: repairs what check reports, after a copy. It never guesses: it asks, or an
//! option decides.

use std::collections::BTreeSet;

use super::DbArguments;
use super::damage_report::{RepairStage, print_damages, summary};
use super::{copies, one_line};
use crate::format::{self, Bytes, Damage, FormatError, SalvagedStore, salvage};
use crate::lifecycle::Context;
use crate::store::{RestoreOutcome, read_bytes};
use crate::tools::ui::failure::Failure;
use crate::tools::ui::hint;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::output::ask;

pub fn run(
    call: &mut Invocation,
    context: &Context,
    arguments: &DbArguments,
) -> Result<u8, Failure> {
    let file = context.system.store_file().display().to_string();
    let bytes = read_bytes(context.system.store_file()).map_err(|error| {
        Failure::error(format!(
            "{}; {}",
            hint::describe(&error),
            copies::recovery_advice_for(context, &error)
        ))
    })?;
    let text = match format::check(&bytes) {
        Ok(()) => RepairInput::whole(bytes.clone()),
        Err(FormatError::OldFormat) => {
            let text = "written by Qubes R3 or older, which no release of R4 loads: qubes-db \
                        convert converts it";
            return Err(Failure::error(format!(
                "{file}: {text}; nothing was changed"
            )));
        }
        Err(error) => match salvage_text(call, arguments, context, &file, &bytes, &error)? {
            Some(text) => text,
            None => return Ok(1),
        },
    };
    let repaired = format::repair(&text.bytes, context.facts(), &mut uuid::Uuid::new_v4)?;
    let done: Vec<Damage> = repaired
        .repaired
        .into_iter()
        .map(|damage| text.located(damage))
        .collect();
    let is_confirmed = arguments.yes && !arguments.dry_run;
    print_damages(
        call,
        arguments,
        &file,
        &done,
        if is_confirmed {
            RepairStage::Done
        } else {
            RepairStage::Proposed
        },
    )?;
    print_damages(
        call,
        arguments,
        &file,
        &repaired.remaining,
        RepairStage::Remaining,
    )?;
    if done.is_empty() && !text.is_changed {
        let left = if repaired.remaining.is_empty() {
            String::new()
        } else {
            format!(" by itself; {}", summary(&repaired.remaining))
        };
        call.inform(
            "qubes-db",
            &format!("{file}: there is nothing to repair{left}"),
        );
        return Ok(u8::from(!repaired.remaining.is_empty()));
    }
    check_improvement(
        &text,
        &repaired.bytes,
        done.len(),
        &repaired.remaining,
        context,
    )?;
    if arguments.dry_run {
        call.inform(
            "qubes-db",
            &format!("{file}: nothing was written (--dry-run)"),
        );
        return Ok(1);
    }
    if !confirm(call, arguments, "Write this? [y/N] ")? {
        call.inform("qubes-db", "nothing was changed");
        return Ok(1);
    }
    write_repair(call, context, &bytes, &repaired.bytes)?;
    call.inform(
        "qubes-db",
        &format!("{file}: {}", summary(&repaired.remaining)),
    );
    Ok(u8::from(!repaired.remaining.is_empty()))
}

/// A readable text of the store, and how it was obtained.
struct RepairInput {
    bytes: Bytes,
    is_changed: bool,
    /// The salvage that produced it, if its lines are those of the file except for missing ones.
    salvage: Option<SalvagedStore>,
    /// Whether its line numbers are those of the file.
    has_lines: bool,
}

impl RepairInput {
    fn whole(bytes: Bytes) -> RepairInput {
        RepairInput {
            bytes,
            is_changed: false,
            salvage: None,
            has_lines: true,
        }
    }

    /// Returns a damage with the line number in the file.
    fn located(&self, mut damage: Damage) -> Damage {
        let line = damage.line.filter(|_| self.has_lines);
        damage.line = line.map(|line| {
            self.salvage
                .as_ref()
                .map_or(line, |salvage| salvage.original_line(line))
        });
        damage
    }
}

/// Salvages a file that cannot be parsed; `None` if the user declines or nothing is left to do.
fn salvage_text(
    call: &mut Invocation,
    arguments: &DbArguments,
    context: &Context,
    file: &str,
    bytes: &Bytes,
    error: &FormatError,
) -> Result<Option<RepairInput>, Failure> {
    call.out.line(&format!("{file}: {error}"))?;
    let Some(salvage) = salvage(bytes) else {
        let way = copies::recovery_advice(context);
        let text = "nothing of a store can be found in it";
        return Err(Failure::error(format!(
            "{file}: {text}; nothing was changed; {way}"
        )));
    };
    for step in &salvage.steps {
        let line = step.line.map(|line| format!(":{line}")).unwrap_or_default();
        call.out
            .line(&format!("{file}{line}: {}", one_line(&step.problem)))?;
        call.out.line(&format!("    repair: {}", step.action))?;
    }
    if salvage.lost.is_empty() {
        let bytes = Bytes::from(salvage.bytes.clone());
        return Ok(Some(RepairInput {
            bytes,
            is_changed: true,
            salvage: Some(salvage),
            has_lines: true,
        }));
    }
    for lost in &salvage.lost {
        call.out
            .line(&format!("{file}:{}: {}", lost.line, one_line(&lost.text)))?;
    }
    choose(call, arguments, context, file, bytes, salvage)
}

/// Returns the copy to complete the file from: the one of `--from`, else the newest that qubesd
/// loads, else the newest that can be read.
fn replacement_copy(
    arguments: &DbArguments,
    context: &Context,
) -> Result<Option<(String, Bytes)>, Failure> {
    if let Some(word) = &arguments.from {
        let version = copies::find(context, word)?;
        let bytes = copies::read_loadable(&version.path)?;
        return Ok(Some((version.title, bytes)));
    }
    let is_usable = |bytes: &Bytes| format::read_r4(bytes.clone()).is_ok();
    Ok(copies::find_best(context, is_usable).map(|copy| (copy.time, copy.bytes)))
}

/// Lets the user choose between the readable part of the file and a copy.
fn choose(
    call: &mut Invocation,
    arguments: &DbArguments,
    context: &Context,
    file: &str,
    bytes: &Bytes,
    salvage: SalvagedStore,
) -> Result<Option<RepairInput>, Failure> {
    let copy = replacement_copy(arguments, context)?;
    let completed = copy.as_ref().and_then(|(time, copy)| {
        let (completed, names) = format::complete_from_copy(&salvage.bytes, copy)?;
        let qubes = format::read(copy.clone()).ok()?.len();
        Some((time.clone(), completed, names, qubes))
    });
    let number = salvage.domains;
    let alone = format!("the {number} domains that can be read, without the rest");
    let with = completed.as_ref().map(|(time, _, names, _)| {
        format!(
            "the same, and from copy {time} what it has besides: {}",
            list_names(names)
        )
    });
    let back = completed
        .as_ref()
        .map(|(time, _, _, qubes)| format!("copy {time} as a whole: {qubes} qubes"));
    let chosen = if arguments.salvage {
        1
    } else if arguments.from.is_some() {
        2
    } else {
        let choices = [Some(alone.as_str()), with.as_deref(), back.as_deref()];
        match ask_choice(call, arguments, file, choices)? {
            Some(chosen) => chosen,
            None => return Ok(None),
        }
    };
    match (chosen, completed, copy) {
        (1, _, _) => {
            call.out.line(&format!("taken: {alone}"))?;
            let bytes = Bytes::from(salvage.bytes.clone());
            Ok(Some(RepairInput {
                bytes,
                is_changed: true,
                salvage: Some(salvage),
                has_lines: true,
            }))
        }
        (2, Some((_, completed, _, _)), _) => {
            call.out
                .line(&format!("taken: {}", with.unwrap_or_default()))?;
            Ok(Some(RepairInput {
                bytes: completed.into(),
                is_changed: true,
                salvage: None,
                has_lines: false,
            }))
        }
        (3, Some(_), Some((_, copy))) => {
            write_repair(call, context, bytes, &copy)?;
            Ok(None)
        }
        _ => {
            call.inform("qubes-db", "nothing was changed");
            Ok(None)
        }
    }
}

/// Lists the choices and asks for one of them, from 1; 0 for none. Returns `None` with `--dry-run`.
///
/// # Errors
/// `--yes` is given: it cannot choose.
fn ask_choice(
    call: &mut Invocation,
    arguments: &DbArguments,
    file: &str,
    choices: [Option<&str>; 3],
) -> Result<Option<usize>, Failure> {
    let numbered = (1..).zip(choices);
    for (number, text) in numbered.filter_map(|(number, text)| Some((number, text?))) {
        call.out.line(&format!("  {number}  {text}"))?;
    }
    if arguments.dry_run {
        call.inform(
            "qubes-db",
            &format!("{file}: nothing was written (--dry-run)"),
        );
        return Ok(None);
    }
    if arguments.yes {
        let ways = "choose: --salvage takes what can be read, --from COPY completes it, \
                    qubes-db restore COPY goes back";
        return Err(Failure::error(format!(
            "{file}: something is lost, and --yes cannot choose; {ways}"
        )));
    }
    let answer = ask(&mut call.out, "Which? [1-3, nothing: none of them] ")?;
    Ok(Some(match answer.as_deref().map(str::trim) {
        Some("1") => 1,
        Some("2") if choices[1].is_some() => 2,
        Some("3") if choices[2].is_some() => 3,
        _ => 0,
    }))
}

fn list_names(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [..] if names.len() > 10 => format!(
            "{} qubes, {} among them",
            names.len(),
            names[..8].join(", ")
        ),
        _ => names.join(", "),
    }
}

/// Checks that the repaired text is well-formed, has every qube that could be read, and less
/// damage.
fn check_improvement(
    text: &RepairInput,
    new: &Bytes,
    done: usize,
    left: &[Damage],
    context: &Context,
) -> Result<(), Failure> {
    let names = |bytes: &Bytes| -> Result<BTreeSet<String>, FormatError> {
        Ok(format::read(bytes.clone())?
            .names()
            .map(ToString::to_string)
            .collect())
    };
    format::check(new)?;
    let (before, after) = (names(&text.bytes)?, names(new)?);
    let gone: Vec<&String> = before.difference(&after).collect();
    let was = format::find_damage(&text.bytes, context.facts()).len();
    if gone.is_empty() && (left.len() < was || (done == 0 && left.len() == was)) {
        return Ok(());
    }
    let why = match gone.first() {
        Some(name) => format!("'{name}' would be lost"),
        None => format!("{} things would be wrong where {was} are", left.len()),
    };
    Err(Failure::error(format!(
        "the repair would not reduce the damage ({why}); nothing was changed"
    )))
}

fn confirm(
    call: &mut Invocation,
    arguments: &DbArguments,
    question: &str,
) -> Result<bool, Failure> {
    if arguments.yes {
        return Ok(true);
    }
    Ok(ask(&mut call.out, question)?.is_some_and(|answer| answer.trim().eq_ignore_ascii_case("y")))
}

/// Replaces the store with `new` if it still is `old`.
fn write_repair(
    call: &mut Invocation,
    context: &Context,
    old: &Bytes,
    new: &Bytes,
) -> Result<(), Failure> {
    let file = context.system.store_file().display();
    match context.replace_store(old, new.to_vec())? {
        RestoreOutcome::Unchanged => call.out.line("nothing was written"),
        RestoreOutcome::Written { store, kept } => {
            call.out
                .line(&format!("{file} is repaired ({} qubes)", store.len()))?;
            let Some(kept) = kept else { return Ok(()) };
            let time = copies::copy_time(&kept).to_owned();
            call.out
                .line(&format!("what was there was kept as {}", kept.display()))?;
            call.out.line(&format!(
                "qubes-db diff {time} tells what changed, qubes-db restore {time} goes back"
            ))
        }
    }
}
