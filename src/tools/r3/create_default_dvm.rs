//! qvm-create-default-dvm: creates the default template of disposables, as R3's installers request
//! it.

use clap::Args;

use crate::lifecycle::{Context, qube};
use crate::model::{Qubes, Value, property};
use crate::tools::completion;
use crate::tools::ui::arguments::NotUpstream;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::images::ExistingImagesOptions;
use crate::tools::ui::invocation::Invocation;
use crate::tools::{Command, Run};

/// `qvm-create-default-dvm`
pub const QVM_CREATE_DEFAULT_DVM: Command = Command::of::<CreateDefaultDvmArguments>(
    "qvm-create-default-dvm",
    "Create the default template of disposables",
);

/// The arguments of qvm-create-default-dvm.
#[derive(Args)]
struct CreateDefaultDvmArguments {
    /// Use the system's default template
    #[arg(long)]
    default_template: bool,
    /// Use the template of the current default_dispvm
    #[arg(long)]
    used_template: bool,
    // R3 ran a script before it saved the machine; no machine is saved any more.
    /// Accepted for compatibility, without effect
    #[arg(long, hide = true, add = NotUpstream)]
    default_script: bool,
    #[command(flatten)]
    existing: ExistingImagesOptions,
    /// Template to use
    #[arg(value_name = "TEMPLATE", add = completion::TEMPLATES)]
    template: Option<String>,
    /// Refused
    #[arg(value_name = "SCRIPT", hide = true)]
    script: Option<String>,
}

impl Run for CreateDefaultDvmArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        if self.script.is_some() {
            return Err(Failure::usage(
                "no script is run: disposables begin with the files of the qube they are made \
                 from; start that, change it, shut it down",
            ));
        }
        let context = Context::new(call.system_with_progress()?);
        let qubes = context.read()?;
        let template = match (
            self.template.as_deref(),
            self.default_template,
            self.used_template,
        ) {
            (Some(template), false, false) => template.to_string(),
            (None, true, false) => global_qube(&qubes, &context, "default_template")?,
            (None, false, true) => {
                let name = global_qube(&qubes, &context, "default_dispvm")?;
                let vm = qubes
                    .get(&name)
                    .ok_or_else(|| Failure::no_such_domain(&name))?;
                let template =
                    property::template(&qubes, vm)?.map(|template| template.name.to_string());
                template.ok_or_else(|| Failure::error(format!("{name} has no template")))?
            }
            _ => {
                return Err(Failure::usage(
                    "one of TEMPLATE, --default-template and --used-template is required",
                ));
            }
        };
        if !qubes.contains(&template) {
            return Err(Failure::no_such_domain(&template));
        }
        drop(qubes);
        qube::create_default_dispvm(&context, &template, self.existing.choice())?;
        Ok(0)
    }
}

/// Returns the qube that a property of the system refers to.
fn global_qube(qubes: &Qubes, context: &Context, property: &str) -> Result<String, Failure> {
    match property::global_value_by_name(qubes, property, context.facts()) {
        Ok(Value::Qube(Some(name))) => Ok(name.to_string()),
        _ => Err(Failure::error(format!(
            "the system has no {property}; name a TEMPLATE, or set it with qubes-prefs"
        ))),
    }
}
