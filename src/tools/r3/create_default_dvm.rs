//! qvm-create-default-dvm: creates the default template of disposables, as R3's installers request
//! it.

use clap::Arg;

use crate::lifecycle::{Context, qube};
use crate::model::{Qubes, Value, property};
use crate::tools::completion;
use crate::tools::ui::arguments::{flag, legacy_flag};
use crate::tools::ui::failure::Failure;
use crate::tools::ui::images;
use crate::tools::ui::invocation::Invocation;

pub fn define(line: clap::Command) -> clap::Command {
    line.arg(flag(
        "default-template",
        None,
        "Use the system's default template",
    ))
    .arg(flag(
        "used-template",
        None,
        "Use the template of the current default_dispvm",
    ))
    // R3 ran a script before it saved the machine; no machine is saved any more.
    .arg(legacy_flag(
        "default-script",
        "Accepted for compatibility, without effect",
    ))
    .args([
        images::discard_existing(),
        images::adopt_existing().conflicts_with(images::DISCARD),
    ])
    .arg(
        Arg::new("template")
            .value_name("TEMPLATE")
            .help("Template to use")
            .add(completion::TEMPLATES),
    )
    .arg(Arg::new("script").value_name("SCRIPT").hide(true))
}

pub fn run(call: &mut Invocation) -> Result<u8, Failure> {
    if call.is_given("script") {
        let text = "no script is run: disposables begin with the files of the qube they are made \
                    from; start that, change it, shut it down";
        return Err(Failure::usage(text));
    }
    let context = Context::new(call.system_with_progress()?);
    let qubes = context.read()?;
    let template = match (
        call.value("template"),
        call.has("default-template"),
        call.has("used-template"),
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
    qube::create_default_dispvm(&context, &template, images::existing_images(call))?;
    Ok(0)
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
