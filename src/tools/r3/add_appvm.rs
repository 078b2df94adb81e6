//! qvm-add-appvm: registers a qube whose private image already exists, as R3 did.

use clap::Args;

use super::add_template::RegistrationOptions;
use crate::lifecycle::template::Registration;
use crate::lifecycle::{Context, template};
use crate::model::Class;
use crate::tools::completion;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;
use crate::tools::{Command, Run};

/// `qvm-add-appvm`
pub const QVM_ADD_APPVM: Command = Command::of::<AddAppvmArguments>(
    "qvm-add-appvm",
    "Register an AppVM whose private image already exists",
);

/// The arguments of qvm-add-appvm.
#[derive(Args)]
struct AddAppvmArguments {
    #[command(flatten)]
    options: RegistrationOptions,
    /// Name of the qube
    #[arg(value_name = "VMNAME")]
    name: String,
    /// Template of the qube
    #[arg(value_name = "TEMPLATE", add = completion::TEMPLATES)]
    template: String,
}

impl Run for AddAppvmArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        let name = self.name.as_str();
        let context = Context::new(call.system_with_progress()?);
        let directory = self
            .options
            .image_directory(&context, &Class::AppVM, name)?;
        if !directory.is_dir() {
            return Err(Failure::error(format!(
                "cannot register {name}: there is no directory {}",
                directory.display()
            )));
        }
        template::register(
            &context,
            &Registration {
                class: Class::AppVM,
                name,
                label: "red",
                template: Some(&self.template),
                installed_by_rpm: false,
                features: &[],
                existing: self.options.existing.choice(),
            },
        )?;
        Ok(0)
    }
}
