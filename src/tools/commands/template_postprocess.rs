//! qvm-template-postprocess: runs after the files of a template's package were unpacked, and before
//! they are removed (`docs/spec/installer.md`). In contrast to upstream's it works in a chroot,
//! where an installer unpacks packages.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::remove::removal_failure;
use crate::lifecycle::qube::RemovalMode;
use crate::lifecycle::template::TemplateInstallation;
use crate::lifecycle::template::TemplatePackage;
use crate::lifecycle::{Context, qube, template};
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::progress::QubeProgress;
use crate::tools::{Command, Run};

/// `qvm-template-postprocess`
pub const QVM_TEMPLATE_POSTPROCESS: Command = Command::of::<TemplatePostprocessArguments>(
    "qvm-template-postprocess",
    "Install or remove the template of a package",
);

/// The arguments of qvm-template-postprocess.
#[derive(Args)]
struct TemplatePostprocessArguments {
    /// Confirm that a package manager runs this command (required)
    #[arg(long)]
    really: bool,
    /// Do not start the template once
    #[arg(long)]
    skip_start: bool,
    /// Keep the directory of the package
    #[arg(long)]
    keep_source: bool,
    /// Allow removing the template without its package
    #[arg(long)]
    no_installed_by_rpm: bool,
    /// Allow virt_mode pv in the package's settings
    #[arg(long)]
    allow_pv: bool,
    /// Create the volumes in this pool
    #[arg(long, value_name = "POOL")]
    pool: Option<String>,
    /// post-install or pre-remove
    #[arg(value_name = "{post-install,pre-remove}")]
    action: PackageAction,
    /// Name of the template
    #[arg(value_name = "NAME")]
    name: String,
    /// Directory in which the package was unpacked
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum PackageAction {
    PostInstall,
    PreRemove,
}

impl Run for TemplatePostprocessArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        if !self.really {
            return Err(Failure::usage(
                "this is for the scripts of packages; --really says that you are one",
            ));
        }
        let context = Context::new(call.system_with_progress()?);
        match self.action {
            PackageAction::PostInstall => self.post_install(call, &context),
            PackageAction::PreRemove => pre_remove(&context, &self.name),
        }
    }
}

impl TemplatePostprocessArguments {
    fn post_install(&self, call: &mut Invocation, context: &Context) -> Result<u8, Failure> {
        let name = self.name.as_str();
        let package = TemplatePackage::read(&self.dir, self.allow_pv)?;
        package
            .warnings
            .iter()
            .for_each(|warning| call.warn(name, warning));
        let installed = template::install(
            context,
            &TemplateInstallation {
                name,
                pool: self.pool.as_deref(),
                root: &package.root,
                installed_by_rpm: !self.no_installed_by_rpm,
                features: &package.features,
                properties: &package.properties,
                progress: &QubeProgress::new(context, name),
            },
        )?;
        installed
            .notes
            .iter()
            .for_each(|note| call.warn(name, note));
        if !self.skip_start {
            call.inform(
                name,
                "it was not started: its service qubes.PostInstall runs when it is next \
                           started by hand",
            );
        }
        if !self.keep_source {
            package.remove(context, &installed)?;
        }
        Ok(0)
    }
}

fn pre_remove(context: &Context, name: &str) -> Result<u8, Failure> {
    let known = context
        .read()?
        .name(name)
        .cloned()
        .ok_or_else(|| Failure::no_such_domain(name))?;
    // Leftover files were reported; they do not stop the removal of the package.
    let _told = qube::remove(context, &known, RemovalMode::Package)
        .map_err(|error| removal_failure(&known, error))?;
    Ok(0)
}
