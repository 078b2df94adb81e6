//! qvm-template-commit, qvm-revert-template-changes, qvm-trim-template: R3's commands for the root
//! volume of a template.

use clap::Args;

use crate::lifecycle::{Context, template};
use crate::model::VmName;
use crate::storage::fullness::format_bytes;
use crate::tools::completion;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::output::confirm;
use crate::tools::ui::progress::QubeProgress;
use crate::tools::{Command, Run};

/// The template that a command works on.
#[derive(Args)]
struct TemplateArgument {
    /// Name of the template
    #[arg(value_name = "VMNAME", add = completion::TEMPLATES)]
    template: String,
}

impl TemplateArgument {
    fn open(&self, call: &Invocation) -> Result<(Context, VmName), Failure> {
        let context = Context::new(call.system_with_progress()?);
        let name = {
            let qubes = context.read()?;
            call.named_qube(&qubes, &self.template)?.name.clone()
        };
        Ok((context, name))
    }
}

/// `qvm-template-commit`
pub const QVM_TEMPLATE_COMMIT: Command = Command::of::<CommitArguments>(
    "qvm-template-commit",
    "Commit the root volume of a halted template",
);

/// The arguments of qvm-template-commit.
#[derive(Args)]
struct CommitArguments {
    #[command(flatten)]
    template: TemplateArgument,
}

impl Run for CommitArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        let (context, name) = self.template.open(call)?;
        template::commit(&context, &name)?;
        Ok(0)
    }
}

/// `qvm-revert-template-changes`
pub const QVM_REVERT_TEMPLATE_CHANGES: Command = Command::of::<RevertArguments>(
    "qvm-revert-template-changes",
    "Revert the root volume of a template",
);

/// The arguments of qvm-revert-template-changes.
#[derive(Args)]
struct RevertArguments {
    #[command(flatten)]
    template: TemplateArgument,
    /// Do not ask for confirmation
    #[arg(long, short)]
    force: bool,
}

impl Run for RevertArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        let (context, name) = self.template.open(call)?;
        if !self.force {
            call.out.line(&format!(
            "This will bring the root volume of {name} back to what it was before its last change."
        ))?;
            call.out
                .line("(What it is now is kept as a revision, unless it keeps none.)")?;
            match confirm(&mut call.out, "Do you want to proceed? [y/N] ")? {
                Some(true) => {}
                // As in R3, a no is not an error.
                Some(false) => return Ok(0),
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
}

/// `qvm-trim-template`
pub const QVM_TRIM_TEMPLATE: Command = Command::of::<TrimArguments>(
    "qvm-trim-template",
    "Free the unused blocks of a template's root volume",
);

/// The arguments of qvm-trim-template.
#[derive(Args)]
struct TrimArguments {
    #[command(flatten)]
    template: TemplateArgument,
}

impl Run for TrimArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        let (context, name) = self.template.open(call)?;
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
}
