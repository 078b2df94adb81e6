//! qvm-template-postprocess: runs after the files of a template's package were unpacked, and before
//! they are removed (`docs/spec/installer.md`). In contrast to upstream's it works in a chroot,
//! where an installer unpacks packages.

use std::path::PathBuf;

use clap::{Arg, value_parser};

use super::remove::removal_failure;
use crate::lifecycle::qube::RemovalMode;
use crate::lifecycle::template::TemplateInstallation;
use crate::lifecycle::template::TemplatePackage;
use crate::lifecycle::{Context, qube, template};
use crate::tools::completion::{self, Completer, Offer};
use crate::tools::ui::arguments::{flag, invalid_choice, required_value, value};
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::progress::QubeProgress;

const ACTIONS: [&str; 2] = ["post-install", "pre-remove"];

pub fn define(line: clap::Command) -> clap::Command {
    line.arg(flag(
        "really",
        None,
        "Confirm that a package manager runs this command (required)",
    ))
    .arg(flag("skip-start", None, "Do not start the template once"))
    .arg(flag(
        "keep-source",
        None,
        "Keep the directory of the package",
    ))
    .arg(flag(
        "no-installed-by-rpm",
        None,
        "Allow removing the template without its package",
    ))
    .arg(flag(
        "allow-pv",
        None,
        "Allow virt_mode pv in the package's settings",
    ))
    .arg(value("pool", None, "POOL", "Create the volumes in this pool").add(completion::POOLS))
    .arg(
        Arg::new("package-action")
            .required(true)
            .value_name("{post-install,pre-remove}")
            .help("post-install or pre-remove")
            .add(Completer(|_| Offer::words(ACTIONS))),
    )
    .arg(
        Arg::new("name")
            .required(true)
            .value_name("NAME")
            .help("Name of the template"),
    )
    .arg(
        Arg::new("dir")
            .required(true)
            .value_name("DIR")
            .value_parser(value_parser!(PathBuf))
            .help("Directory in which the package was unpacked"),
    )
}

pub fn run(call: &mut Invocation) -> Result<u8, Failure> {
    if !call.has("really") {
        return Err(Failure::usage(
            "this is for the scripts of packages; --really says that you are one",
        ));
    }
    let name = required_value(&call.matches, "name", "NAME")?.to_string();
    let context = Context::new(call.system_with_progress()?);
    match call.value("package-action") {
        Some("post-install") => post_install(call, &context, &name),
        Some("pre-remove") => pre_remove(&context, &name),
        other => Err(invalid_choice(
            "{post-install,pre-remove}",
            other.unwrap_or_default(),
            &ACTIONS,
        )),
    }
}

fn post_install(call: &mut Invocation, context: &Context, name: &str) -> Result<u8, Failure> {
    let directory = call
        .matches
        .get_one::<PathBuf>("dir")
        .cloned()
        .unwrap_or_default();
    let package = TemplatePackage::read(&directory, call.has("allow-pv"))?;
    package
        .warnings
        .iter()
        .for_each(|warning| call.warn(name, warning));
    let installed = template::install(
        context,
        &TemplateInstallation {
            name,
            pool: call.value("pool"),
            root: &package.root,
            installed_by_rpm: !call.has("no-installed-by-rpm"),
            features: &package.features,
            properties: &package.properties,
            progress: &QubeProgress::new(context, name),
        },
    )?;
    installed
        .notes
        .iter()
        .for_each(|note| call.warn(name, note));
    if !call.has("skip-start") {
        call.inform(
            name,
            "it was not started: its service qubes.PostInstall runs when it is next \
                           started by hand",
        );
    }
    if !call.has("keep-source") {
        package.remove(context, &installed)?;
    }
    Ok(0)
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
