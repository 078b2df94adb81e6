//! qubes-recover: reconciles qubes after a crash, at boot or by hand.

use clap::Args;
use serde_json::{Value as Json, json};

use crate::lifecycle::reconcile::{Orphan, OrphanImages, QubeState, RecoveredQube};
use crate::lifecycle::{Context, reconcile};
use crate::tools::ui::arguments::JsonOption;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::hint;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::output::{confirm, print_message};
use crate::tools::{Command, Run};

/// `qubes-recover`
pub const QUBES_RECOVER: Command =
    Command::of::<RecoverArguments>("qubes-recover", "Reconcile qubes after a crash");

/// The arguments of qubes-recover.
#[derive(Args)]
struct RecoverArguments {
    /// Assume that no qube was started since boot, and remove disposables with auto_cleanup
    #[arg(long)]
    at_boot: bool,
    /// List the volumes that belong to no qube, as POOL:VID
    #[arg(long)]
    list_orphans: bool,
    /// Remove the volumes that belong to no qube, after a confirmation for each
    #[arg(long)]
    remove_orphans: bool,
    /// Do not ask for confirmation
    #[arg(long, short, requires = "remove_orphans")]
    yes: bool,
    #[command(flatten)]
    output: JsonOption,
}

impl Run for RecoverArguments {
    /// Runs qubes-recover. The exit code is 1 if a qube could not be reconciled or has leftovers.
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        if self.output.json && self.remove_orphans && !self.yes {
            return Err(Failure::usage(
                "--remove-orphans asks about each orphan: with --json, add --yes",
            ));
        }
        let context = Context::new(call.system_with_progress()?);
        if context.read()?.needs_conversion {
            let store = context.system.store_file().display();
            call.inform(
                "qubes-recover",
                &format!(
                    "{store}: written by Qubes R3 or older: no qube of it can have been started \
                     before qubes-db convert"
                ),
            );
        }
        let recovered = reconcile::recover(&context, self.at_boot)?.into_iter();
        let qubes: Vec<Json> = recovered.map(|qube| report_qube(call, qube)).collect();
        let mut orphans = Vec::new();
        let mut failed = 0;
        if self.list_orphans || self.remove_orphans {
            let found = reconcile::find_orphans(&context)?;
            for why in &found.unlisted_pools {
                print_message(&format!("Error: {why}"));
            }
            failed += found.unlisted_pools.len();
            for orphan in found.orphans {
                orphans.push(self.process_orphan(call, &context, &orphan)?);
            }
            // Without orphans nothing can be removed by mistake.
            if !self.remove_orphans && !orphans.is_empty() {
                for why in &found.unlocated_volumes {
                    let text = format!("{why}: what is listed may be its image");
                    call.warn("qubes-recover", &text);
                }
            }
        }
        let outcomes = qubes.iter().chain(&orphans);
        failed += outcomes
            .filter(|outcome| !outcome["error"].is_null())
            .count();
        if self.output.json {
            call.print_json(&json!({"qubes": qubes, "orphans": orphans}))?;
        }
        Ok(u8::from(failed > 0))
    }
}

/// Prints what became of a qube and returns it as JSON.
fn report_qube(call: &Invocation, qube: RecoveredQube) -> Json {
    let (outcome, words) = match &qube.outcome {
        Ok(QubeState::Active(_)) => ("active", "runs, and is watched"),
        Ok(QubeState::Halted) => ("halted", "halted, its volumes are in order"),
        Ok(QubeState::Gone) => (
            "removed",
            "was to be removed when it stopped, and is removed",
        ),
        Err(_) => ("failed", ""),
    };
    match &qube.outcome {
        // A line has named the leftovers.
        Ok(_) if qube.has_leftovers => {}
        Ok(_) => call.inform(qube.name.as_str(), words),
        Err(error) => print_message(&format!("Error: {}: {}", qube.name, hint::describe(error))),
    }
    let left = qube
        .has_leftovers
        .then(|| "not all of it could be deleted".to_string());
    let error = qube.outcome.err().map(|e| hint::describe(&e)).or(left);
    json!({"name": qube.name.as_str(), "outcome": outcome, "error": error})
}

impl RecoverArguments {
    /// Lists or removes an orphan as requested; returns the outcome as JSON.
    fn process_orphan(
        &self,
        call: &mut Invocation,
        context: &Context,
        found: &OrphanImages,
    ) -> Result<Json, Failure> {
        let OrphanImages { orphan, images } = found;
        let (pool, vid) = (&orphan.pool, &orphan.vid);
        if self.list_orphans && !self.output.json {
            call.out.line(&format!("{pool}:{vid}"))?;
        }
        let removes = self.remove_orphans && self.confirm_removal(call, found)?;
        let error = removes
            .then(|| reconcile::remove_orphan(context, orphan).err())
            .flatten()
            .map(|error| hint::describe(&error));
        if let Some(error) = &error {
            print_message(&format!("Error: {pool}:{vid}: {error}"));
        }
        let removed = removes && error.is_none();
        Ok(json!({"pool": pool, "vid": vid, "images": images, "removed": removed, "error": error}))
    }

    /// Asks whether to remove an orphan. The end of the input means no.
    fn confirm_removal(
        &self,
        call: &mut Invocation,
        found: &OrphanImages,
    ) -> Result<bool, Failure> {
        if self.yes {
            return Ok(true);
        }
        let Orphan { pool, vid } = &found.orphan;
        let question = format!("Remove {pool}:{vid} ({})? [y/N] ", found.images.join(", "));
        Ok(confirm(&mut call.out, &question)? == Some(true))
    }
}
