//! qvm-add-appvm: registers a qube whose private image already exists, as R3 did.

use clap::Arg;

use super::add_template::{add_common_options, image_directory};
use crate::lifecycle::template::Registration;
use crate::lifecycle::{Context, template};
use crate::model::Class;
use crate::tools::completion;
use crate::tools::ui::arguments::required_value;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::images;
use crate::tools::ui::invocation::Invocation;

pub fn define(line: clap::Command) -> clap::Command {
    add_common_options(line)
        .arg(
            Arg::new("new-name")
                .required(true)
                .value_name("VMNAME")
                .help("Name of the qube"),
        )
        .arg(
            Arg::new("template")
                .required(true)
                .value_name("TEMPLATE")
                .help("Template of the qube")
                .add(completion::TEMPLATES),
        )
}

pub fn run(call: &mut Invocation) -> Result<u8, Failure> {
    let name = required_value(&call.matches, "new-name", "VMNAME")?.to_string();
    let context = Context::new(call.system_with_progress()?);
    let directory = image_directory(call, &context, &Class::AppVM, &name)?;
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
            name: &name,
            label: "red",
            template: call.value("template"),
            installed_by_rpm: false,
            features: &[],
            existing: images::existing_images(call),
        },
    )?;
    Ok(0)
}
