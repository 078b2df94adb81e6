//! qvm-template-commit, qvm-revert-template-changes, qvm-trim-template: R3's commands for the root
//! volume of a template.

use clap::Command;

use crate::lifecycle::{Context, template};
use crate::model::VmName;
use crate::storage::fullness::format_bytes;
use crate::tools::completion;
use crate::tools::ui::arguments::{flag, qube_argument};
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::output::ask;
use crate::tools::ui::progress::QubeProgress;

pub fn define(line: Command) -> Command {
    line.arg(qube_argument("Name of the template").add(completion::TEMPLATES))
}

pub fn define_revert(line: Command) -> Command {
    define(line).arg(flag("force", Some('f'), "Do not ask for confirmation"))
}

fn open_template(call: &Invocation) -> Result<(Context, VmName), Failure> {
    let context = call.context_with_progress()?;
    let name = {
        let qubes = context.read()?;
        call.named_qube(&qubes)?.name.clone()
    };
    Ok((context, name))
}

pub fn commit(call: &mut Invocation) -> Result<u8, Failure> {
    let (context, name) = open_template(call)?;
    template::commit(&context, &name)?;
    Ok(0)
}

pub fn revert(call: &mut Invocation) -> Result<u8, Failure> {
    let (context, name) = open_template(call)?;
    if !call.has("force") {
        call.out.line(&format!(
            "This will bring the root volume of {name} back to what it was before its last change."
        ))?;
        call.out
            .line("(What it is now is kept as a revision, unless it keeps none.)")?;
        match ask(&mut call.out, "Do you want to proceed? [y/N] ")? {
            Some(answer) if answer.eq_ignore_ascii_case("y") => {}
            // As in R3, a no is not an error.
            Some(_) => return Ok(0),
            None => {
                return Err(Failure::error(
                    "nobody answered, and --force was not given; nothing was reverted",
                ));
            }
        }
    }
    template::revert(&context, &name)?;
    Ok(0)
}

pub fn trim(call: &mut Invocation) -> Result<u8, Failure> {
    let (context, name) = open_template(call)?;
    call.out.line(&match template::trim(
        &context,
        &name,
        &QubeProgress::new(&context, name.as_str()),
    )? {
        0 => format!("{name}: no part of its root volume is nothing but zeros"),
        freed => format!(
            "{name}: {} of zeros in its root volume are holes now",
            format_bytes(freed)
        ),
    })?;
    call.inform(
        call.command.name,
        "what its file system no longer uses, but has not overwritten, it gives back itself: sudo \
         fstrim -av in the running template",
    );
    Ok(0)
}
