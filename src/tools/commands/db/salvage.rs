//! The first part of qubes-db repair for a file that cannot be parsed: what can be read of it,
//! alone or completed from a copy.

use super::repair_run::Repair;
use super::{copies, one_line};
use crate::format::{self, Bytes, Damage, FormatError, SalvagedStore, salvage};
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::output::ask;
use crate::tools::ui::store_copies;

/// A readable text of the store, and how it was obtained.
pub(super) struct RepairInput {
    pub bytes: Bytes,
    pub is_changed: bool,
    /// The salvage that produced it, if its lines are those of the file except for missing ones.
    salvage: Option<SalvagedStore>,
    /// Whether its line numbers are those of the file.
    has_lines: bool,
}

impl RepairInput {
    pub fn whole(bytes: Bytes) -> RepairInput {
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
    pub fn located(&self, mut damage: Damage) -> Damage {
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

impl Repair<'_> {
    /// Salvages a file that cannot be parsed.
    pub(super) fn salvage(
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
                store_copies::recovery_advice(self.context)
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
                (version.title, store_copies::read_loadable(&version.path)?)
            }
            None => {
                let is_usable = |bytes: &Bytes| format::read_r4(bytes.clone()).is_ok();
                match store_copies::find_best(self.context, is_usable) {
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
