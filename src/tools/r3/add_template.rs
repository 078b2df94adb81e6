//! qvm-add-template: registers a template whose images already exist, as R3's packages do.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, value_parser};

use crate::lifecycle::Context;
use crate::lifecycle::template;
use crate::lifecycle::template::Registration;
use crate::model::Class;
use crate::model::volume::class_directory;
use crate::tools::ui::arguments::{flag, legacy_flag, required_value, value};
use crate::tools::ui::failure::Failure;
use crate::tools::ui::images;
use crate::tools::ui::invocation::Invocation;

pub fn define(line: clap::Command) -> clap::Command {
    add_common_options(line)
        .arg(flag(
            "rpm",
            None,
            "Allow only the package manager to remove the template",
        ))
        .arg(
            Arg::new("new-name")
                .required(true)
                .value_name("VMNAME")
                .help("Name of the template"),
        )
}

/// Adds the options of both tools that register qubes.
pub(crate) fn add_common_options(line: clap::Command) -> clap::Command {
    let directory = value(
        "path",
        Some('p'),
        "DIR",
        "Directory of the images; must be the default directory",
    );
    line.arg(directory.value_parser(value_parser!(PathBuf)))
        .arg(
            value(
                "conf",
                Some('c'),
                "CONF_FILE",
                "Accepted for compatibility, without effect",
            )
            .hide(true),
        )
        .arg(legacy_flag(
            "no-verify",
            "Accepted for compatibility, without effect",
        ))
        .arg(images::discard_existing())
}

pub fn run(call: &mut Invocation) -> Result<u8, Failure> {
    let name = required_value(&call.matches, "new-name", "VMNAME")?.to_string();
    let context = Context::new(call.system_with_progress()?);
    let directory = image_directory(call, &context, &Class::TemplateVM, &name)?;
    let (features, warnings) = template::read_menu_items(&directory)?;
    warnings
        .iter()
        .for_each(|warning| call.inform(&name, warning));
    template::register(
        &context,
        &Registration {
            class: Class::TemplateVM,
            name: &name,
            label: "black",
            template: None,
            installed_by_rpm: call.has("rpm"),
            features: &features,
            existing: images::existing_images(call),
        },
    )?;
    Ok(0)
}

/// Returns the directory of a qube's images.
///
/// # Errors
/// `--path` names another directory: the images must be in this one.
pub(crate) fn image_directory(
    call: &Invocation,
    context: &Context,
    class: &Class,
    name: &str,
) -> Result<PathBuf, Failure> {
    let directory = context.system.path_below_root(
        Path::new("/var/lib/qubes")
            .join(class_directory(class))
            .join(name),
    );
    let Some(given) = call.matches.get_one::<PathBuf>("path") else {
        return Ok(directory);
    };
    if given == &directory || is_same_path(given, &directory) {
        return Ok(directory);
    }
    Err(Failure::error(format!(
        "{}: the images of {name} must lie in {}; move them there, or use qvm-template-postprocess",
        given.display(),
        directory.display()
    )))
}

fn is_same_path(a: &Path, b: &Path) -> bool {
    fs::canonicalize(a)
        .ok()
        .zip(fs::canonicalize(b).ok())
        .is_some_and(|(a, b)| a == b)
}
