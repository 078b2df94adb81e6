//! qvm-template-commit, qvm-revert-template-changes, qvm-trim-template: R3's words about a
//! template's root volume.

use clap::Command;

use super::arguments::{flag, qube_argument};
use super::failure::Failure;
use super::invocation::Invocation;
use super::output::ask;
use super::progress::QubeProgress;
use crate::lifecycle::Session;
use crate::model::VmName;
use crate::storage::fullness::format_bytes;

pub fn define(line: Command) -> Command {
    line.arg(qube_argument("the template"))
}

pub fn define_revert(line: Command) -> Command {
    define(line).arg(flag("force", Some('f'), "do not ask"))
}

fn open_template(call: &Invocation) -> Result<(Session, VmName), Failure> {
    let session = call.session_with_progress()?;
    let name = {
        let qubes = session.read()?;
        call.named_qube(&qubes)?.name.clone()
    };
    Ok((session, name))
}

pub fn commit(call: &mut Invocation) -> Result<u8, Failure> {
    let (session, name) = open_template(call)?;
    session.commit_template(&name)?;
    Ok(0)
}

pub fn revert(call: &mut Invocation) -> Result<u8, Failure> {
    let (session, name) = open_template(call)?;
    if !call.has("force") {
        call.out.line(&format!(
            "This will bring the root volume of {name} back to what it was before its last change."
        ))?;
        call.out
            .line("(What it is now is kept as a revision, unless it keeps none.)")?;
        match ask(&mut call.out, "Do you want to proceed? [y/N] ")? {
            Some(answer) if answer.eq_ignore_ascii_case("y") => {}
            // As R3 has it.
            Some(_) => return Ok(0),
            None => {
                return Err(Failure::error(
                    "nobody answered, and --force was not given; nothing was reverted",
                ));
            }
        }
    }
    session.revert_template(&name)?;
    Ok(0)
}

pub fn trim(call: &mut Invocation) -> Result<u8, Failure> {
    let (session, name) = open_template(call)?;
    call.out.line(&match session
        .trim_template(&name, &QubeProgress::new(&session, name.as_str()))?
    {
        0 => format!("{name}: no part of its root volume is nothing but zeros"),
        freed => format!(
            "{name}: {} of zeros in its root volume are holes now",
            format_bytes(freed)
        ),
    })?;
    call.inform(
        call.command.name,
        "what its file system no longer uses, but has not overwritten, it gives back itself: sudo fstrim -av in the \
         running template",
    );
    Ok(0)
}

const TRIM: &str = "\
Only the template itself knows which parts of its disk its files no longer need. Templates of R4 give them back at once
(their root file system is mounted with the option discard), or when fstrim runs in them. dom0 does not look into
the file systems of qubes; what this tool finds are parts that are nothing but zeros, and these become holes.
What the volume was is kept as a revision, which shares everything else with it; the room is free when that
revision is gone.
";

/// What it can do, as a section of the manual page.
pub fn manual_of_trim() -> Vec<(&'static str, String)> {
    vec![("what is trimmed", TRIM.to_string())]
}
