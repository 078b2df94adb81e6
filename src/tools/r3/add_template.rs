//! qvm-add-template: registers a template whose images already exist, as R3's packages do.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::lifecycle::Context;
use crate::lifecycle::template;
use crate::lifecycle::template::Registration;
use crate::model::Class;
use crate::tools::ui::arguments::NotUpstream;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::images::DiscardOption;
use crate::tools::ui::invocation::Invocation;
use crate::tools::{Command, Run};

/// The options of both tools that register qubes.
#[derive(Args)]
pub(crate) struct RegistrationOptions {
    /// Directory of the images; must be the default directory
    #[arg(long, short, value_name = "DIR")]
    path: Option<PathBuf>,
    /// Accepted for compatibility, without effect
    #[arg(long, short, value_name = "CONF_FILE", hide = true)]
    conf: Option<String>,
    /// Accepted for compatibility, without effect
    #[arg(long, hide = true, add = NotUpstream)]
    no_verify: bool,
    #[command(flatten)]
    pub(crate) existing: DiscardOption,
}

/// `qvm-add-template`
pub const QVM_ADD_TEMPLATE: Command = Command::of::<AddTemplateArguments>(
    "qvm-add-template",
    "Register a template whose images already exist",
);

/// The arguments of qvm-add-template.
#[derive(Args)]
struct AddTemplateArguments {
    #[command(flatten)]
    options: RegistrationOptions,
    /// Allow only the package manager to remove the template
    #[arg(long)]
    rpm: bool,
    /// Name of the template
    #[arg(value_name = "VMNAME")]
    name: String,
}

impl Run for AddTemplateArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        let name = self.name.as_str();
        let context = Context::new(call.system_with_progress()?);
        let directory = self
            .options
            .image_directory(&context, &Class::TemplateVM, name)?;
        let (features, warnings) = template::read_menu_items(&directory)?;
        warnings
            .iter()
            .for_each(|warning| call.inform(name, warning));
        template::register(
            &context,
            &Registration {
                class: Class::TemplateVM,
                name,
                label: "black",
                template: None,
                installed_by_rpm: self.rpm,
                features: &features,
                existing: self.options.existing.choice(),
            },
        )?;
        Ok(0)
    }
}

impl RegistrationOptions {
    /// Returns the directory of a qube's images.
    ///
    /// # Errors
    /// `--path` names another directory: the images must be in this one.
    pub(crate) fn image_directory(
        &self,
        context: &Context,
        class: &Class,
        name: &str,
    ) -> Result<PathBuf, Failure> {
        let directory = context.system.path_below_root(
            Path::new("/var/lib/qubes")
                .join(class.directory())
                .join(name),
        );
        let Some(given) = &self.path else {
            return Ok(directory);
        };
        if *given == directory || is_same_path(given, &directory) {
            return Ok(directory);
        }
        Err(Failure::error(format!(
            "{}: the images of {name} must lie in {}; move them there, or use \
             qvm-template-postprocess",
            given.display(),
            directory.display()
        )))
    }
}

fn is_same_path(a: &Path, b: &Path) -> bool {
    fs::canonicalize(a)
        .ok()
        .zip(fs::canonicalize(b).ok())
        .is_some_and(|(a, b)| a == b)
}
