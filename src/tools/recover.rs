//! qubes-recover: brings qubes into order after a crash, at boot or by hand.

use super::arguments::flag;
use super::failure::Failure;
use super::invocation::Invocation;
use super::output::say;
use crate::lifecycle::Session;
use crate::lifecycle::settle::Settled;

pub fn define(line: clap::Command) -> clap::Command {
    line.arg(flag("list-orphans", None, "list the volumes that belong to no qube, as POOL:VID")).arg(flag(
        "remove-orphans",
        None,
        "remove the volumes that belong to no qube",
    ))
}

/// Exit code 1 when some qube could not be brought into order; the others are.
pub fn run(call: &mut Invocation) -> Result<u8, Failure> {
    let session = Session::new(call.system()?);
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
    for qube in session.recover()? {
        match qube.outcome {
            Ok(Settled::Active(_)) => call.inform(qube.name.as_str(), "runs, and is watched"),
            Ok(Settled::Halted) => call.inform(qube.name.as_str(), "halted, its volumes are in order"),
            Ok(Settled::Gone) => call.inform(qube.name.as_str(), "was to be removed when it stopped, and is removed"),
            Err(error) => {
                say(&format!("Error: {}: {error}", qube.name));
                failed += 1;
            }
        }
    }
    if call.has("list-orphans") || call.has("remove-orphans") {
        failed += orphans(call, &session)?;
    }
    Ok(u8::from(failed > 0))
}

fn orphans(call: &mut Invocation, session: &Session) -> Result<usize, Failure> {
    let mut failed = 0;
    for orphan in session.orphans()? {
        if call.has("list-orphans") {
            call.out.line(&format!("{}:{}", orphan.pool, orphan.vid))?;
        }
        if call.has("remove-orphans")
            && let Err(error) = session.remove_orphan(&orphan)
        {
            say(&format!("Error: {}:{}: {error}", orphan.pool, orphan.vid));
            failed += 1;
        }
    }
    Ok(failed)
}
