//! qvm-prefs and qubes-prefs: properties of a qube and of the system.

pub(crate) mod arguments;
mod changed;
mod listing;
mod multiple;
mod owner;
pub(crate) mod rejected_value;
mod selected_qubes;
pub(crate) mod stored_text;

use std::mem::ManuallyDrop;

use clap::Args;

use crate::lifecycle::Context;
use crate::model::property::PROPERTIES;
use crate::model::{Property, Qubes, Scope, Value, global_properties};
use crate::store::Read;
use crate::tools::completion::{Completer, Offer, QubeSubset};
use crate::tools::manual::section::Section;
use crate::tools::r3;
use crate::tools::ui::arguments::{JsonOption, RequiredByCommand};
use crate::tools::ui::damage_scan::DamageScan;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::hint;
use crate::tools::ui::invocation::{Invocation, read_until_exit};
use crate::tools::ui::quoted::quoted;
use crate::tools::ui::table;
use crate::tools::ui::values::value_json;
use crate::tools::{Command, Run};
use arguments::PropertyArguments;
use multiple::SeveralQubes;
use owner::{OwnerView, PropertyOwner};
use rejected_value::RejectedValue;

/// `qvm-prefs`
pub const QVM_PREFS: Command =
    Command::of::<QubePrefsArguments>("qvm-prefs", "Show or change properties of qubes");

/// The arguments of qvm-prefs.
#[derive(Args)]
struct QubePrefsArguments {
    /// Name of a qube, several names separated by commas, or a shell pattern
    #[arg(
        value_name = "VMNAME",
        add = Completer(|_| Offer::Qubes(QubeSubset::Any).list()),
        add = RequiredByCommand
    )]
    qube: Option<String>,
    #[command(flatten)]
    prefs: PropertyArguments,
    #[command(flatten)]
    several: SeveralQubes,
}

/// `qubes-prefs`
pub const QUBES_PREFS: Command =
    Command::of::<SystemPrefsArguments>("qubes-prefs", "Show or change properties of the system");

/// The arguments of qubes-prefs.
#[derive(Args)]
struct SystemPrefsArguments {
    #[command(flatten)]
    prefs: PropertyArguments,
}

impl Run for SystemPrefsArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        let prefs = &self.prefs;
        if prefs.help_properties {
            return print_property_help(call, prefs.output, global_properties().collect());
        }
        if prefs.value.is_some() || prefs.default && prefs.property.is_some() {
            prefs.output.refuse("a change of a property")?;
        }
        let context = Context::new(call.system()?);
        run(call, &context, None, prefs)
    }
}

impl Run for QubePrefsArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        let prefs = &self.prefs;
        if prefs.help_properties && self.qube.is_none() {
            return print_property_help(call, prefs.output, qube_properties());
        }
        // With --all the first argument is the property.
        let value = match self.several.all {
            true => &prefs.property,
            false => &prefs.value,
        };
        if value.is_some() || prefs.default && prefs.property.is_some() {
            prefs.output.refuse("a change of a property")?;
        }
        if self.is_about_several() {
            return multiple::run(call, &self);
        }
        let qube = self
            .qube
            .as_deref()
            .ok_or_else(|| Failure::usage("the following arguments are required: VMNAME"))?;
        let context = Context::new(call.system()?);
        run(call, &context, Some(qube), prefs)
    }
}

fn run(
    call: &mut Invocation,
    context: &Context,
    qube: Option<&str>,
    prefs: &PropertyArguments,
) -> Result<u8, Failure> {
    let qubes = read_until_exit(context)?;
    let owner = PropertyOwner::find(&qubes, qube)?;
    if prefs.help_properties {
        return print_property_help(call, prefs.output, owner.properties());
    }
    if let Some(vm) = owner.vm(&qubes) {
        match &prefs.property {
            // The list marks damaged values with U; one line says why.
            None => DamageScan::for_qube(&qubes, vm, context).warn(call, "qvm-prefs"),
            Some(_) => call.warn_of_damage(vm),
        }
    }
    if prefs.changed && matches!(owner, PropertyOwner::System) {
        return changed::print_system(call, &qubes, context, prefs);
    }
    if let Some(code) = run_r3_form(call, &owner, &qubes, context, prefs)? {
        return Ok(code);
    }
    let Some(name) = prefs.property.as_deref() else {
        let view = OwnerView {
            owner: &owner,
            qubes: &qubes,
            context,
        };
        return match prefs.output.json {
            true => view.list_json(call, prefs.hide_default),
            false => view.list(call, prefs.hide_default),
        }
        .map(|()| 0);
    };
    if prefs.default && prefs.value.is_none() && owner.has_unknown(&qubes, name) {
        // An unknown property can be removed, although it cannot be set.
        drop(ManuallyDrop::into_inner(qubes));
        return Ok(owner.change(context, name, None).map(|_no_effects| 0)?);
    }
    let property = find(owner.scope(), name)?;
    let text = match (&prefs.value, prefs.default) {
        (Some(text), _) => owner.stored_text(property, text, prefs.set),
        (None, true) => None,
        (None, false) => return show(call, &owner, &qubes, property, context, prefs),
    };
    // The change loads the store again under the lock; free this one first to save memory.
    drop(ManuallyDrop::into_inner(qubes));
    set(call, context, &owner, property, text)
}

/// Runs the command if it is in the form of R3; else returns `None`.
fn run_r3_form(
    call: &mut Invocation,
    owner: &PropertyOwner,
    qubes: &Qubes,
    context: &Context,
    prefs: &PropertyArguments,
) -> Result<Option<u8>, Failure> {
    match (owner, owner.vm(qubes)) {
        (PropertyOwner::System, _) => r3::prefs::run_for_system(call, context, qubes, prefs),
        (_, Some(vm)) => r3::prefs::run_for_qube(call, context, qubes, vm, prefs),
        (_, None) => Ok(None),
    }
}

/// Returns the property with a name, in which `-` stands for `_`.
pub(crate) fn find(scope: Scope, given: &str) -> Result<&'static Property, Failure> {
    let name = given.replace('-', "_");
    Property::find(scope, &name).ok_or_else(|| {
        Failure::usage(format!("no such property: {}", quoted(&name)))
            .with_hint(hint::unknown_property(given, Some(scope)))
    })
}

fn show(
    call: &mut Invocation,
    owner: &PropertyOwner,
    qubes: &Read,
    property: &Property,
    context: &Context,
    prefs: &PropertyArguments,
) -> Result<u8, Failure> {
    if prefs.hide_default && owner.is_default(qubes, property) {
        return Ok(0);
    }
    let value = owner.value(qubes, property, context)?;
    if prefs.output.json {
        let text = serde_json::to_string_pretty(&value_json(&value))?;
        return call.out.line(&text).map(|()| 0);
    }
    match property.format_single(&value) {
        // Not an empty line, which a script would take for a number.
        _ if value == Value::None && property.value_type.api_name() == "int" => {
            Err(Failure::error(format!(
                "{} has no value; set one, or read it with --json",
                property.name
            )))
        }
        Some(text) => call.out.line(&text).map(|()| 0),
        None => Ok(0),
    }
}

/// Sets a property, or resets it to its default.
fn set(
    call: &mut Invocation,
    context: &Context,
    owner: &PropertyOwner,
    property: &'static Property,
    text: Option<&str>,
) -> Result<u8, Failure> {
    let qube = owner.name();
    let rejected = RejectedValue {
        context,
        qube,
        property,
        text,
    };
    let notes = owner.change(context, property.name, text);
    for note in notes.map_err(|error| rejected.failure(error))? {
        call.inform(qube.unwrap_or("app"), &note);
    }
    Ok(0)
}

fn print_property_help(
    call: &mut Invocation,
    output: JsonOption,
    properties: Vec<&'static Property>,
) -> Result<u8, Failure> {
    if output.json {
        return call
            .print_json(
                &properties
                    .iter()
                    .map(|p| listing::property_json(p))
                    .collect(),
            )
            .map(|()| 0);
    }
    call.out
        .text(&table::definition_list(
            properties.iter().map(|p| (p.name, p.doc)),
        ))
        .map(|()| 0)
}

/// Returns the properties of qubes of any class, each once.
pub fn qube_properties() -> Vec<&'static Property> {
    let of_qubes = PROPERTIES.iter().filter(|p| !p.is_in_scope(Scope::Global));
    let mut all: Vec<&'static Property> = of_qubes.collect();
    all.dedup_by_key(|p| p.name);
    all
}

/// Returns the sections of the manual page of qvm-prefs.
pub fn manual_of_qube() -> Vec<Section> {
    let properties = qube_properties();
    vec![
        Section::paragraphs("several qubes", multiple::MANUAL),
        Section::definitions("properties", properties.iter().map(|p| (p.name, p.doc))),
    ]
}

/// Returns the section of the manual page of qubes-prefs.
pub fn manual_of_system() -> Vec<Section> {
    let properties = global_properties().map(|p| (p.name, p.doc));
    vec![Section::definitions("properties", properties)]
}
