//! qubes-recover: brings qubes into order after a crash, at boot or by hand.

use serde_json::{Value as Json, json};

use super::arguments::{self, flag};
use super::failure::Failure;
use super::invocation::Invocation;
use super::output::say;
use crate::lifecycle::Session;
use crate::lifecycle::recover::Orphan;
use crate::lifecycle::settle::Settled;

pub fn define(line: clap::Command) -> clap::Command {
    line.arg(flag(
        "at-boot",
        None,
        "nothing was started since the machine booted: disposables that go when they stop go",
    ))
    .arg(flag("list-orphans", None, "list the volumes that belong to no qube, as POOL:VID"))
    .arg(flag("remove-orphans", None, "remove the volumes that belong to no qube"))
    .arg(arguments::json())
}

/// Exit code 1 when some qube could not be brought into order; the others are.
pub fn run(call: &mut Invocation) -> Result<u8, Failure> {
    let session = Session::new(call.system_with_bars()?);
    if session.read()?.needs_conversion {
        let store = session.system.store_file().display();
        call.inform(
            "qubes-recover",
            &format!(
                "{store}: written by Qubes R3 or older: no qube of it can have been started before qubes-db convert"
            ),
        );
    }
    let mut failed = 0;
    let mut qubes = Vec::new();
    for qube in session.recover(call.has("at-boot"))? {
        let (outcome, words) = match &qube.outcome {
            Ok(Settled::Active(_)) => ("active", "runs, and is watched"),
            Ok(Settled::Halted) => ("halted", "halted, its volumes are in order"),
            Ok(Settled::Gone) => ("removed", "was to be removed when it stopped, and is removed"),
            Err(_) => ("failed", ""),
        };
        match &qube.outcome {
            Ok(_) => call.inform(qube.name.as_str(), words),
            Err(error) => say(&format!("Error: {}: {error}", qube.name)),
        }
        failed += usize::from(qube.outcome.is_err());
        let error = qube.outcome.err().map(|e| e.to_string());
        qubes.push(json!({"name": qube.name.as_str(), "outcome": outcome, "error": error}));
    }
    let mut orphans = Vec::new();
    if call.has("list-orphans") || call.has("remove-orphans") {
        let (found, unlisted) = session.orphans()?;
        unlisted.iter().for_each(|why| say(&format!("Error: {why}")));
        failed += unlisted.len();
        for orphan in found {
            orphans.push(treated(call, &session, &orphan)?);
        }
        failed += orphans.iter().filter(|orphan| !orphan["error"].is_null()).count();
    }
    if call.has("json") {
        call.print_json(&json!({"qubes": qubes, "orphans": orphans}))?;
    }
    Ok(u8::from(failed > 0))
}

/// Lists or removes an orphan, as it was asked for; what became of it, in JSON.
fn treated(call: &mut Invocation, session: &Session, orphan: &Orphan) -> Result<Json, Failure> {
    let (pool, vid) = (&orphan.pool, &orphan.vid);
    if call.has("list-orphans") && !call.has("json") {
        call.out.line(&format!("{pool}:{vid}"))?;
    }
    let removes = call.has("remove-orphans");
    let error = removes.then(|| session.remove_orphan(orphan).err()).flatten().map(|e| e.to_string());
    if let Some(error) = &error {
        say(&format!("Error: {pool}:{vid}: {error}"));
    }
    Ok(json!({"pool": pool, "vid": vid, "removed": removes && error.is_none(), "error": error}))
}
