//! qubes-recover: reconciles qubes after a crash, at boot or by hand.

use serde_json::{Value as Json, json};

use crate::lifecycle::reconcile::QubeState;
use crate::lifecycle::reconcile::{Orphan, OrphanImages};
use crate::lifecycle::{Context, reconcile};
use crate::tools::ui::arguments::{self, flag};
use crate::tools::ui::failure::Failure;
use crate::tools::ui::hint;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::output::{ask, print_message};

pub fn define(line: clap::Command) -> clap::Command {
    line.arg(flag(
        "at-boot",
        None,
        "Assume that no qube was started since boot, and remove disposables with auto_cleanup",
    ))
    .arg(flag(
        "list-orphans",
        None,
        "List the volumes that belong to no qube, as POOL:VID",
    ))
    .arg(flag(
        "remove-orphans",
        None,
        "Remove the volumes that belong to no qube, after a confirmation for each",
    ))
    .arg(flag("yes", Some('y'), "Do not ask for confirmation").requires("remove-orphans"))
    .arg(arguments::json_flag())
}

/// Runs qubes-recover. The exit code is 1 if a qube could not be reconciled or has leftovers.
pub fn run(call: &mut Invocation) -> Result<u8, Failure> {
    if call.has("json") && call.has("remove-orphans") && !call.has("yes") {
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
    let mut failed = 0;
    let mut qubes = Vec::new();
    for qube in reconcile::recover(&context, call.has("at-boot"))? {
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
            Err(error) => {
                print_message(&format!("Error: {}: {}", qube.name, hint::describe(error)));
            }
        }
        let left = qube
            .has_leftovers
            .then(|| "not all of it could be deleted".to_string());
        let error = qube.outcome.err().map(|e| hint::describe(&e)).or(left);
        failed += usize::from(error.is_some());
        qubes.push(json!({"name": qube.name.as_str(), "outcome": outcome, "error": error}));
    }
    let mut orphans = Vec::new();
    if call.has("list-orphans") || call.has("remove-orphans") {
        let found = reconcile::find_orphans(&context)?;
        found
            .unlisted_pools
            .iter()
            .for_each(|why| print_message(&format!("Error: {why}")));
        failed += found.unlisted_pools.len();
        for orphan in found.orphans {
            orphans.push(process_orphan(call, &context, &orphan)?);
        }
        failed += orphans
            .iter()
            .filter(|orphan| !orphan["error"].is_null())
            .count();
        // Without orphans nothing can be removed by mistake.
        if !call.has("remove-orphans") && !orphans.is_empty() {
            found.unlocated_volumes.iter().for_each(|why| {
                call.warn(
                    "qubes-recover",
                    &format!("{why}: what is listed may be its image"),
                );
            });
        }
    }
    if call.has("json") {
        call.print_json(&json!({"qubes": qubes, "orphans": orphans}))?;
    }
    Ok(u8::from(failed > 0))
}

/// Lists or removes an orphan as requested; returns the outcome as JSON.
fn process_orphan(
    call: &mut Invocation,
    context: &Context,
    found: &OrphanImages,
) -> Result<Json, Failure> {
    let OrphanImages { orphan, images } = found;
    let (pool, vid) = (&orphan.pool, &orphan.vid);
    if call.has("list-orphans") && !call.has("json") {
        call.out.line(&format!("{pool}:{vid}"))?;
    }
    let removes = call.has("remove-orphans") && confirm_removal(call, found)?;
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
fn confirm_removal(call: &mut Invocation, found: &OrphanImages) -> Result<bool, Failure> {
    if call.has("yes") {
        return Ok(true);
    }
    let Orphan { pool, vid } = &found.orphan;
    let question = format!("Remove {pool}:{vid} ({})? [y/N] ", found.images.join(", "));
    Ok(
        ask(&mut call.out, &question)?
            .is_some_and(|answer| answer.trim().eq_ignore_ascii_case("y")),
    )
}
