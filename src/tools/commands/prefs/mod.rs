//! qvm-prefs and qubes-prefs: properties of a qube and of the system.

mod changed;
mod listing;
mod multiple;
pub(crate) mod rejected_value;

use std::mem::ManuallyDrop;

use clap::Args;

use super::db::one_line;
use crate::lifecycle::{Context, qube};
use crate::model::{
    Class, Property, PropertyError, Qubes, Scope, Value, VmName, class_properties,
    global_properties, property,
};
use crate::store::Read;
use crate::tools::completion::{Completer, Cursor, Offer, QubeSubset};
use crate::tools::manual::Section;
use crate::tools::r3;
use crate::tools::ui::arguments::{JsonOption, NotUpstream, OUTPUT_OPTIONS, RequiredByCommand};
use crate::tools::ui::damage_scan::DamageScan;
use crate::tools::ui::failure::{Failure, quoted};
use crate::tools::ui::hint;
use crate::tools::ui::invocation::{Invocation, read_until_exit};
use crate::tools::ui::selection::resolve_one;
use crate::tools::ui::table;
use crate::tools::ui::values::value_json;
use crate::tools::{Command, Run};
use multiple::SeveralQubes;
use rejected_value::RejectedValue;

/// What to do with which property.
#[derive(Args)]
pub struct PropertyArguments {
    /// List the properties with their meaning
    #[arg(long)]
    pub help_properties: bool,
    /// Leave out properties without an explicit value
    #[arg(long)]
    pub hide_default: bool,
    /// Accepted for compatibility: PROPERTY without VALUE is read
    #[arg(long, short)]
    pub get: bool,
    /// Accepted for compatibility: PROPERTY with VALUE is set
    #[arg(long, short)]
    pub set: bool,
    /// List the properties in the format of R3
    #[arg(long, short, hide = true, add = NotUpstream)]
    pub list: bool,
    /// Reset the property to its default
    #[arg(long, short = 'D')]
    pub default: bool,
    /// List explicit values that differ from the default, with the default
    #[arg(long, help_heading = OUTPUT_OPTIONS, add = NotUpstream)]
    pub changed: bool,
    #[command(flatten)]
    pub output: JsonOption,
    /// Property to show or change (default: show all)
    #[arg(value_name = "PROPERTY", add = Completer(|cursor| Offer::Properties { of: cursor.first() }))]
    pub property: Option<String>,
    /// New value of the property
    #[arg(value_name = "VALUE", allow_negative_numbers = true, add = Completer(complete_value))]
    pub value: Option<String>,
}

/// The words before are the property, after the name of a qube where the command has one.
fn complete_value<'a>(cursor: &Cursor<'a>) -> Offer<'a> {
    match *cursor.positionals.as_slice() {
        [property] => Offer::ValuesOf { of: None, property },
        [of, property, ..] => Offer::ValuesOf {
            of: Some(of),
            property,
        },
        [] => Offer::Nothing,
    }
}

impl PropertyArguments {
    /// Whether the arguments are in the form of R3 that lists all properties.
    pub fn is_r3_list(&self) -> bool {
        self.list && !self.output.json && self.property.is_none()
    }
}

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

/// The owner of properties: the system, or one qube.
enum PropertyOwner {
    System,
    Qube { name: VmName, class: Class },
}

impl PropertyOwner {
    fn scope(&self) -> Scope<'_> {
        match self {
            PropertyOwner::System => Scope::Global,
            PropertyOwner::Qube { class, .. } => Scope::Class(class),
        }
    }

    fn properties(&self) -> Vec<&'static Property> {
        match self {
            PropertyOwner::System => global_properties().collect(),
            PropertyOwner::Qube { class, .. } => class_properties(class).collect(),
        }
    }

    fn value(
        &self,
        qubes: &Qubes,
        property: &Property,
        context: &Context,
    ) -> Result<Value, PropertyError> {
        match self {
            // default_kernel and default_template have no default: a new store lacks them.
            PropertyOwner::System => {
                match (
                    property::global_value(qubes, property, context.facts()),
                    property.value_type.api_name(),
                ) {
                    (Err(PropertyError::Unset { .. }), "vm") => Ok(Value::Qube(None)),
                    (Err(PropertyError::Unset { .. }), "str") => Ok(Value::text("")),
                    (value, _) => value,
                }
            }
            PropertyOwner::Qube { name, .. } => {
                let vm = qubes
                    .get(name.as_str())
                    .ok_or_else(|| PropertyError::NoSuchQube(name.to_string()))?;
                property::value(qubes, vm, property, context.facts())
            }
        }
    }

    /// Returns the text to store; `None` if it means the default.
    fn stored_text<'a>(&self, property: &Property, text: &'a str, by_set: bool) -> Option<&'a str> {
        match self {
            PropertyOwner::System => Some(r3::prefs::stored_global_value(property, text, by_set)),
            PropertyOwner::Qube { .. } => r3::prefs::stored_value(property, text, by_set),
        }
    }

    /// Whether the store has a value under a name that no property has.
    fn has_unknown(&self, qubes: &Qubes, name: &str) -> bool {
        let stored = match self {
            PropertyOwner::System => qubes.globals.contains(name),
            PropertyOwner::Qube { name: qube, .. } => qubes
                .get(qube.as_str())
                .is_some_and(|vm| vm.properties.contains(name)),
        };
        stored && find(self.scope(), name).is_err()
    }

    fn is_default(&self, qubes: &Qubes, property: &Property) -> bool {
        match self {
            PropertyOwner::System => property::is_global_default(qubes, property),
            PropertyOwner::Qube { name, .. } => qubes
                .get(name.as_str())
                .is_none_or(|vm| property.is_default(vm)),
        }
    }
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
            return print_property_help(call, prefs.output, all_qube_properties());
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
    let owner = match qube {
        None => PropertyOwner::System,
        Some(given) => {
            let name = resolve_one(given, qubes.names().map(VmName::as_str))?;
            let known = qubes
                .name(name)
                .zip(qubes.class(name))
                .ok_or_else(|| Failure::no_such_domain(name))?;
            PropertyOwner::Qube {
                name: known.0.clone(),
                class: known.1.clone(),
            }
        }
    };
    if prefs.help_properties {
        return print_property_help(call, prefs.output, owner.properties());
    }
    if let PropertyOwner::Qube { name, .. } = &owner
        && let Some(vm) = qubes.get(name.as_str())
    {
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
    let Some(property) = prefs.property.as_deref() else {
        return if prefs.output.json {
            list_json(call, &owner, &qubes, context, prefs)
        } else {
            list(call, &owner, &qubes, context, prefs)
        };
    };
    if prefs.default && prefs.value.is_none() && owner.has_unknown(&qubes, property) {
        // An unknown property can be removed, although it cannot be set.
        let property = property.to_owned();
        drop(ManuallyDrop::into_inner(qubes));
        return match &owner {
            PropertyOwner::System => qube::reset_global(context, &property),
            PropertyOwner::Qube { name, .. } => qube::reset_property(context, name, &property),
        }
        .map(|_no_effects| 0)
        .map_err(Into::into);
    }
    let property = find(owner.scope(), property)?;
    let change = match (&prefs.value, prefs.default) {
        (Some(text), _) => owner
            .stored_text(property, text, prefs.set)
            .map(str::to_string),
        (None, true) => None,
        (None, false) => return show(call, &owner, &qubes, property, context, prefs),
    };
    // The change loads the store again under the lock; free this one first to save memory.
    drop(ManuallyDrop::into_inner(qubes));
    set(call, context, &owner, property, change.as_deref())
}

/// Runs the command if it is in the form of R3; else returns `None`.
fn run_r3_form(
    call: &mut Invocation,
    owner: &PropertyOwner,
    qubes: &Qubes,
    context: &Context,
    prefs: &PropertyArguments,
) -> Result<Option<u8>, Failure> {
    match owner {
        PropertyOwner::System => r3::prefs::run_for_system(call, context, qubes, prefs),
        PropertyOwner::Qube { name, .. } => match qubes.get(name.as_str()) {
            Some(vm) => r3::prefs::run_for_qube(call, context, qubes, vm, prefs),
            None => Ok(None),
        },
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

/// Returns the text to store: `none` in any case becomes empty where it means no qube.
pub(crate) fn stored_text<'a>(property: &Property, text: &'a str) -> &'a str {
    if text.eq_ignore_ascii_case("none") && property.accepts_none {
        ""
    } else {
        text
    }
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

/// Prints every property with a mark: `D` default, `-` explicit, `U` unreadable.
fn list(
    call: &mut Invocation,
    owner: &PropertyOwner,
    qubes: &Qubes,
    context: &Context,
    prefs: &PropertyArguments,
) -> Result<u8, Failure> {
    let properties = owner.properties();
    let width = properties.iter().map(|p| p.name.len()).max().unwrap_or(0);
    for property in properties {
        let is_default = owner.is_default(qubes, property);
        let listed = owner
            .value(qubes, property, context)
            .ok()
            .and_then(|value| property.format_in_list(&value));
        let line = match listed {
            None => format!("{:width$}  U", property.name),
            Some(_) if is_default && prefs.hide_default => continue,
            Some(text) => {
                // On a terminal a value must not look like a further line.
                let text = if call.out.is_for_display() {
                    one_line(&text)
                } else {
                    text
                };
                format!(
                    "{:width$}  {}  {text}",
                    property.name,
                    if is_default { 'D' } else { '-' }
                )
            }
        };
        call.out.line(&line)?;
    }
    Ok(0)
}

/// Prints an object of all properties, each with its value, whether that is the default, and why it
/// cannot be read.
fn list_json(
    call: &mut Invocation,
    owner: &PropertyOwner,
    qubes: &Qubes,
    context: &Context,
    prefs: &PropertyArguments,
) -> Result<u8, Failure> {
    let mut object = serde_json::Map::new();
    for property in owner.properties() {
        let is_default = owner.is_default(qubes, property);
        if is_default && prefs.hide_default {
            continue;
        }
        let entry = listing::value_entry(owner.value(qubes, property, context), is_default);
        object.insert(property.name.to_string(), entry.into());
    }
    let text = serde_json::to_string_pretty(&serde_json::Value::Object(object))?;
    call.out.line(&text).map(|()| 0)
}

/// Sets a property, or resets it to its default.
fn set(
    call: &mut Invocation,
    context: &Context,
    owner: &PropertyOwner,
    property: &'static Property,
    text: Option<&str>,
) -> Result<u8, Failure> {
    let notes = match (owner, text) {
        (PropertyOwner::System, Some(text)) => qube::set_global(context, property.name, text),
        (PropertyOwner::System, None) => qube::reset_global(context, property.name),
        (PropertyOwner::Qube { name, .. }, Some(text)) => {
            qube::set_property(context, name, property.name, text)
        }
        (PropertyOwner::Qube { name, .. }, None) => {
            qube::reset_property(context, name, property.name)
        }
    };
    let qube = match owner {
        PropertyOwner::System => None,
        PropertyOwner::Qube { name, .. } => Some(name.as_str()),
    };
    let rejected = RejectedValue {
        context,
        qube,
        property,
        text,
    };
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
fn all_qube_properties() -> Vec<&'static Property> {
    let mut all: Vec<&'static Property> = Class::all().flat_map(class_properties).collect();
    all.sort_by_key(|p| p.name);
    all.dedup_by_key(|p| p.name);
    all
}

/// Returns the sections of the manual page of qvm-prefs.
pub fn manual_of_qube() -> Vec<Section> {
    let properties = all_qube_properties();
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
