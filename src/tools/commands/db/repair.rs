//! qubes-db repair: repairs what check reports, after a copy. It never guesses: it asks, or an
//! option decides.

use std::collections::BTreeSet;

use clap::Args;

use super::damage_report::{RepairStage, print_damages, summary};
use super::{complete_copy, copies, one_line};
use crate::format::{self, Bytes, Damage, FormatError, SalvagedStore, salvage};
use crate::lifecycle::Context;
use crate::store::{RestoreOutcome, read_bytes};
use crate::tools::completion::Completer;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::hint;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::output::{ask, confirm};

/// The arguments of `repair`.
#[derive(Args)]
pub struct RepairArguments {
    /// List every problem, also many of one kind
    #[arg(long)]
    all: bool,
    /// Print what would be done and write nothing
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
    /// Keep what can be read of a damaged file and give up the rest
    #[arg(long)]
    salvage: bool,
    /// Complete a damaged file from this copy
    #[arg(long, value_name = "COPY", add = Completer(complete_copy))]
    from: Option<String>,
}

pub fn run(
    call: &mut Invocation,
    context: &Context,
    arguments: &RepairArguments,
) -> Result<u8, Failure> {
    let repair = Repair {
        context,
        arguments,
        file: context.system.store_file().display().to_string(),
    };
    let bytes = read_bytes(context.system.store_file()).map_err(|error| {
        let way = copies::recovery_advice_for(context, &error);
        Failure::error(format!("{}; {way}", hint::describe(&error)))
    })?;
    match repair.readable_text(call, &bytes)? {
        Some(text) => repair.run(call, &bytes, &text),
        None => Ok(1),
    }
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

    fn salvaged(salvage: SalvagedStore) -> RepairInput {
        RepairInput {
            bytes: Bytes::from(salvage.bytes.clone()),
            is_changed: true,
            salvage: Some(salvage),
            has_lines: true,
        }
    }

    fn completed(bytes: Bytes) -> RepairInput {
        RepairInput {
            bytes,
            is_changed: true,
            salvage: None,
            has_lines: false,
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

/// What a copy of the store adds to the readable part of the file.
struct Completion {
    time: String,
    /// The copy itself, and its number of qubes.
    copy: Bytes,
    qubes: usize,
    /// The readable part with what only the copy has.
    bytes: Bytes,
    /// The qubes that only the copy has.
    names: Vec<String>,
}

/// A way to go on with a file of which something is lost.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    Salvage,
    Complete,
    Restore,
    Nothing,
}

/// One run of `qubes-db repair`.
struct Repair<'a> {
    context: &'a Context,
    arguments: &'a RepairArguments,
    file: String,
}

impl Repair<'_> {
    /// Repairs a readable text and writes it over the store, which has these bytes.
    fn run(&self, call: &mut Invocation, store: &Bytes, text: &RepairInput) -> Result<u8, Failure> {
        let repaired = format::repair(&text.bytes, self.context.facts(), &mut uuid::Uuid::new_v4)?;
        let located = |damage| text.located(damage);
        let done: Vec<Damage> = repaired.repaired.into_iter().map(located).collect();
        let left = &repaired.remaining;
        let stage = match self.arguments.yes && !self.arguments.dry_run {
            true => RepairStage::Done,
            false => RepairStage::Proposed,
        };
        for (damages, stage) in [(&done, stage), (left, RepairStage::Remaining)] {
            print_damages(call, self.arguments.all, &self.file, damages, stage)?;
        }
        if done.is_empty() && !text.is_changed {
            let more = match left.is_empty() {
                true => String::new(),
                false => format!(" by itself; {}", summary(left)),
            };
            self.inform(call, &format!("there is nothing to repair{more}"));
            return Ok(u8::from(!left.is_empty()));
        }
        self.check_improvement(text, &repaired.bytes, done.len(), left)?;
        if self.arguments.dry_run {
            self.inform(call, "nothing was written (--dry-run)");
            return Ok(1);
        }
        if !self.confirm(call, "Write this? [y/N] ")? {
            call.inform("qubes-db", "nothing was changed");
            return Ok(1);
        }
        self.write(call, store, &repaired.bytes)?;
        self.inform(call, &summary(left));
        Ok(u8::from(!left.is_empty()))
    }

    /// Prints a notice about the store.
    fn inform(&self, call: &Invocation, text: &str) {
        call.inform("qubes-db", &format!("{}: {text}", self.file));
    }

    /// Returns a text that can be read: the store, or what is salvaged of it; `None` if the user
    /// declines or nothing is left to do.
    fn readable_text(
        &self,
        call: &mut Invocation,
        bytes: &Bytes,
    ) -> Result<Option<RepairInput>, Failure> {
        match format::check(bytes) {
            Ok(()) => Ok(Some(RepairInput::whole(bytes.clone()))),
            Err(FormatError::OldFormat) => Err(self.unchanged(
                "written by Qubes R3 or older, which no release of R4 loads: qubes-db convert \
                 converts it; nothing was changed",
            )),
            Err(error) => self.salvage(call, bytes, &error),
        }
    }

    /// Returns the failure for a store that cannot be repaired so.
    fn unchanged(&self, text: &str) -> Failure {
        Failure::error(format!("{}: {text}", self.file))
    }

    /// Salvages a file that cannot be parsed.
    fn salvage(
        &self,
        call: &mut Invocation,
        bytes: &Bytes,
        error: &FormatError,
    ) -> Result<Option<RepairInput>, Failure> {
        let file = &self.file;
        call.out.line(&format!("{file}: {error}"))?;
        let salvage = salvage(bytes).ok_or_else(|| {
            self.unchanged(&format!(
                "nothing of a store can be found in it; nothing was changed; {}",
                copies::recovery_advice(self.context)
            ))
        })?;
        for step in &salvage.steps {
            let line = step.line.map(|line| format!(":{line}")).unwrap_or_default();
            call.out
                .line(&format!("{file}{line}: {}", one_line(&step.problem)))?;
            call.out.line(&format!("    repair: {}", step.action))?;
        }
        if salvage.lost.is_empty() {
            return Ok(Some(RepairInput::salvaged(salvage)));
        }
        for lost in &salvage.lost {
            call.out
                .line(&format!("{file}:{}: {}", lost.line, one_line(&lost.text)))?;
        }
        self.choose(call, bytes, salvage)
    }

    /// Returns what a copy adds: the one of `--from`, else the newest that qubesd loads, else the
    /// newest that can be read. `None` if there is none or it does not fit.
    fn completion(&self, salvage: &SalvagedStore) -> Result<Option<Completion>, Failure> {
        let (time, copy) = match &self.arguments.from {
            Some(word) => {
                let version = copies::find(self.context, word)?;
                (version.title, copies::read_loadable(&version.path)?)
            }
            None => {
                let is_usable = |bytes: &Bytes| format::read_r4(bytes.clone()).is_ok();
                match copies::find_best(self.context, is_usable) {
                    Some(copy) => (copy.time, copy.bytes),
                    None => return Ok(None),
                }
            }
        };
        let completed = format::complete_from_copy(&salvage.bytes, &copy);
        let qubes = format::read(copy.clone()).map(|qubes| qubes.len()).ok();
        Ok(completed
            .zip(qubes)
            .map(|((bytes, names), qubes)| Completion {
                time,
                copy,
                qubes,
                bytes: bytes.into(),
                names,
            }))
    }

    /// Lets the user choose between the readable part of the file and a copy.
    fn choose(
        &self,
        call: &mut Invocation,
        bytes: &Bytes,
        salvage: SalvagedStore,
    ) -> Result<Option<RepairInput>, Failure> {
        let completion = self.completion(&salvage)?;
        let number = salvage.domains;
        let mut choices = vec![(
            Choice::Salvage,
            format!("the {number} domains that can be read, without the rest"),
        )];
        if let Some(Completion {
            time, names, qubes, ..
        }) = &completion
        {
            let names = list_names(names);
            choices.extend([
                (
                    Choice::Complete,
                    format!("the same, and from copy {time} what it has besides: {names}"),
                ),
                (
                    Choice::Restore,
                    format!("copy {time} as a whole: {qubes} qubes"),
                ),
            ]);
        }
        let chosen = if self.arguments.salvage {
            Choice::Salvage
        } else if self.arguments.from.is_some() {
            Choice::Complete
        } else {
            match self.ask_choice(call, &choices)? {
                Some(chosen) => chosen,
                None => return Ok(None),
            }
        };
        let text = choices.iter().find(|(choice, _)| *choice == chosen);
        let is_kept = matches!(chosen, Choice::Salvage | Choice::Complete);
        if let Some((_, text)) = text.filter(|_| is_kept) {
            call.out.line(&format!("taken: {text}"))?;
        }
        match (chosen, completion) {
            (Choice::Salvage, _) => Ok(Some(RepairInput::salvaged(salvage))),
            (Choice::Complete, Some(completion)) => {
                Ok(Some(RepairInput::completed(completion.bytes)))
            }
            (Choice::Restore, Some(completion)) => {
                self.write(call, bytes, &completion.copy)?;
                Ok(None)
            }
            (_, _) => {
                call.inform("qubes-db", "nothing was changed");
                Ok(None)
            }
        }
    }

    /// Lists the choices and asks for one of them. Returns `None` with `--dry-run`.
    ///
    /// # Errors
    /// `--yes` is given: it cannot choose.
    fn ask_choice(
        &self,
        call: &mut Invocation,
        choices: &[(Choice, String)],
    ) -> Result<Option<Choice>, Failure> {
        for (number, (_, text)) in (1..).zip(choices) {
            call.out.line(&format!("  {number}  {text}"))?;
        }
        if self.arguments.dry_run {
            self.inform(call, "nothing was written (--dry-run)");
            return Ok(None);
        }
        if self.arguments.yes {
            return Err(self.unchanged(
                "something is lost, and --yes cannot choose; choose: --salvage takes what can be \
                 read, --from COPY completes it, qubes-db restore COPY goes back",
            ));
        }
        let answer = ask(&mut call.out, "Which? [1-3, nothing: none of them] ")?;
        let number = answer.and_then(|answer| answer.trim().parse::<usize>().ok());
        let chosen = number.and_then(|number| choices.get(number.checked_sub(1)?));
        Ok(Some(chosen.map_or(Choice::Nothing, |(choice, _)| *choice)))
    }

    /// Checks that the repaired text is well-formed, has every qube that could be read, and less
    /// damage.
    fn check_improvement(
        &self,
        text: &RepairInput,
        new: &Bytes,
        done: usize,
        left: &[Damage],
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
        let was = format::find_damage(&text.bytes, self.context.facts()).len();
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

    fn confirm(&self, call: &mut Invocation, question: &str) -> Result<bool, Failure> {
        Ok(self.arguments.yes || confirm(&mut call.out, question)? == Some(true))
    }

    /// Replaces the store with `new` if it still is `old`.
    fn write(&self, call: &mut Invocation, old: &Bytes, new: &Bytes) -> Result<(), Failure> {
        match self.context.replace_store(old, new.to_vec())? {
            RestoreOutcome::Unchanged => call.out.line("nothing was written"),
            RestoreOutcome::Written { store, kept } => {
                call.out.line(&format!(
                    "{} is repaired ({} qubes)",
                    self.file,
                    store.len()
                ))?;
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
