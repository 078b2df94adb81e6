//! qubes-db repair: repairs what check reports, after a copy. It never guesses: it asks, or an
//! option decides.

use super::repair_run::{Repair, RepairArguments};
use std::collections::BTreeSet;

use super::damage_report::{RepairStage, print_damages, summary};
use super::salvage::RepairInput;
use crate::format::{self, Bytes, Damage, FormatError};
use crate::lifecycle::Context;
use crate::store::{RestoreOutcome, read_bytes};
use crate::tools::ui::failure::Failure;
use crate::tools::ui::hint;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::output::confirm;
use crate::tools::ui::store_copies;

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
        let way = store_copies::recovery_advice_for(context, &error);
        Failure::error(format!("{}; {way}", hint::describe(&error)))
    })?;
    match repair.readable_text(call, &bytes)? {
        Some(text) => repair.run(call, &bytes, &text),
        None => Ok(1),
    }
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
    pub(super) fn inform(&self, call: &Invocation, text: &str) {
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
    pub(super) fn unchanged(&self, text: &str) -> Failure {
        Failure::error(format!("{}: {text}", self.file))
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
    pub(super) fn write(
        &self,
        call: &mut Invocation,
        old: &Bytes,
        new: &Bytes,
    ) -> Result<(), Failure> {
        match self.context.replace_store(old, new.to_vec())? {
            RestoreOutcome::Unchanged => call.out.line("nothing was written"),
            RestoreOutcome::Written { store, kept } => {
                call.out.line(&format!(
                    "{} is repaired ({} qubes)",
                    self.file,
                    store.len()
                ))?;
                let Some(kept) = kept else { return Ok(()) };
                let time = store_copies::copy_time(&kept).to_owned();
                call.out
                    .line(&format!("what was there was kept as {}", kept.display()))?;
                call.out.line(&format!(
                    "qubes-db diff {time} tells what changed, qubes-db restore {time} goes back"
                ))
            }
        }
    }
}
