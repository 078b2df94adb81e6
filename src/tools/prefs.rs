//! qvm-prefs and qubes-prefs: properties of a qube and of the system.

mod changed;
mod listing;
pub(super) mod refused;
mod several;

use std::mem::ManuallyDrop;

use clap::Arg;

use super::arguments::{self, THE_QUBE, earlier, flag, needed, of_listing, the_qube};
use super::damage::Watch;
use super::db::one_line;
use super::earlier_prefs;
use super::failure::{Failure, quoted};
use super::hint;
use super::invocation::{Invocation, read_for_good};
use super::qubes_given::resolve_one;
use super::table;
use super::values::json_of;
use crate::lifecycle::Session;
use crate::model::{
    Class, Property, PropertyError, Qubes, Scope, Value, VmName, class_properties,
    global_properties,
};
use crate::store::Read;
use refused::Refused;

/// Properties whose value `none` means no qube; for others it is a text like any other.
pub(super) const NONE_IS_NO_QUBE: [&str; 5] =
    ["default_dispvm", "netvm", "template", "guivm", "audiovm"];

pub fn define_for_qube(line: clap::Command) -> clap::Command {
    several::define(options(line))
        .arg(the_qube(
            "the qube, several with commas between, or a shell pattern",
        ))
        .args(positionals())
}

pub fn define_for_system(line: clap::Command) -> clap::Command {
    options(line).args(positionals())
}

fn options(line: clap::Command) -> clap::Command {
    line.arg(flag(
        "help-properties",
        None,
        "list the properties and what they mean",
    ))
    .arg(flag(
        "hide-default",
        None,
        "leave out what is not set explicitly",
    ))
    .arg(flag(
        "get",
        Some('g'),
        "accepted, without effect: a property without a value is read",
    ))
    .arg(flag(
        "set",
        Some('s'),
        "accepted, without effect: a property with a value is set",
    ))
    .arg(earlier("list", "list the properties as R3 did, in its words").short('l'))
    .arg(flag("default", Some('D'), "forget the explicit value"))
    .arg(of_listing(flag(
        "changed",
        None,
        "list what is set to something else than the default, and the default",
    )))
    .arg(arguments::json())
}

fn positionals() -> [Arg; 2] {
    [
        Arg::new("property")
            .value_name("PROPERTY")
            .help("one property; all of them when left out"),
        Arg::new("value")
            .value_name("VALUE")
            .allow_negative_numbers(true)
            .help("its new value"),
    ]
}

/// Whose properties: the system's, or those of one qube.
enum Owner {
    System,
    Qube { name: VmName, class: Class },
}

impl Owner {
    fn scope(&self) -> Scope<'_> {
        match self {
            Owner::System => Scope::Global,
            Owner::Qube { class, .. } => Scope::Class(class),
        }
    }

    fn properties(&self) -> Vec<&'static Property> {
        match self {
            Owner::System => global_properties().collect(),
            Owner::Qube { class, .. } => class_properties(class).collect(),
        }
    }

    fn value(
        &self,
        qubes: &Qubes,
        property: &Property,
        session: &Session,
    ) -> Result<Value, PropertyError> {
        match self {
            // Two have no default (default_kernel, default_template): a store that lacks them is a
            // new one, not a broken one.
            Owner::System => match (
                qubes.global_value(property, session),
                property.value_type.api_name(),
            ) {
                (Err(PropertyError::Unset { .. }), "vm") => Ok(Value::Qube(None)),
                (Err(PropertyError::Unset { .. }), "str") => Ok(Value::text("")),
                (value, _) => value,
            },
            Owner::Qube { name, .. } => {
                let vm = qubes
                    .get(name.as_str())
                    .ok_or_else(|| PropertyError::NoSuchQube(name.to_string()))?;
                qubes.value(vm, property, session)
            }
        }
    }

    /// What is stored for a text; nothing where it means the default.
    fn stored_text<'a>(&self, property: &Property, text: &'a str, by_set: bool) -> Option<&'a str> {
        match self {
            Owner::System => Some(earlier_prefs::wanted_of_system(property, text, by_set)),
            Owner::Qube { .. } => earlier_prefs::wanted(property, text, by_set),
        }
    }

    /// Whether something is stored under a name that no property has.
    fn has_foreign(&self, qubes: &Qubes, name: &str) -> bool {
        let stored = match self {
            Owner::System => qubes.globals.contains(name),
            Owner::Qube { name: qube, .. } => qubes
                .get(qube.as_str())
                .is_some_and(|vm| vm.properties.contains(name)),
        };
        stored && find(self.scope(), name).is_err()
    }

    fn is_default(&self, qubes: &Qubes, property: &Property) -> bool {
        match self {
            Owner::System => qubes.is_global_default(property),
            Owner::Qube { name, .. } => qubes
                .get(name.as_str())
                .is_none_or(|vm| qubes.is_default(vm, property)),
        }
    }
}

/// A change prints nothing, so that JSON of it is a mistake.
fn refuse_json_of_change(call: &Invocation) -> Result<(), Failure> {
    let value = if call.has_option("all") {
        "property"
    } else {
        "value"
    };
    match call.value(value).is_some() || call.has("default") && call.value("property").is_some() {
        true => call.refuse_json("a change of a property"),
        false => Ok(()),
    }
}

pub fn run_for_system(call: &mut Invocation) -> Result<u8, Failure> {
    if call.has("help-properties") {
        return explain(call, global_properties().collect());
    }
    refuse_json_of_change(call)?;
    let session = Session::new(call.system()?);
    run(call, &session, None)
}

pub fn run_for_qube(call: &mut Invocation) -> Result<u8, Failure> {
    if call.has("help-properties") && !call.is_given(THE_QUBE) {
        return explain(call, of_any_class());
    }
    refuse_json_of_change(call)?;
    if several::are_meant(call) {
        return several::run(call);
    }
    let qube = needed(&call.given, THE_QUBE, "VMNAME")?.to_string();
    let session = Session::new(call.system()?);
    run(call, &session, Some(&qube))
}

fn run(call: &mut Invocation, session: &Session, qube: Option<&str>) -> Result<u8, Failure> {
    let qubes = read_for_good(session)?;
    let owner = match qube {
        None => Owner::System,
        Some(given) => {
            let name = resolve_one(given, qubes.names().map(VmName::as_str))?;
            let known = qubes
                .name(name)
                .zip(qubes.class(name))
                .ok_or_else(|| Failure::no_such_domain(name))?;
            Owner::Qube {
                name: known.0.clone(),
                class: known.1.clone(),
            }
        }
    };
    if call.has("help-properties") {
        return explain(call, owner.properties());
    }
    if let Owner::Qube { name, .. } = &owner
        && let Some(vm) = qubes.get(name.as_str())
    {
        match call.value("property") {
            // Whoever looks at all of them sees which are bad; one line says why.
            None => Watch::one(&qubes, vm, session).warn(call, "qvm-prefs"),
            Some(_) => call.warn_of_damage(vm),
        }
    }
    if call.has("changed") && matches!(owner, Owner::System) {
        return changed::of_system(call, &qubes, session);
    }
    if let Some(code) = in_earlier_words(call, &owner, &qubes, session)? {
        return Ok(code);
    }
    let Some(property) = call.value("property") else {
        return if call.has("json") {
            list_json(call, &owner, &qubes, session)
        } else {
            list(call, &owner, &qubes, session)
        };
    };
    if call.has("default") && call.value("value").is_none() && owner.has_foreign(&qubes, property) {
        // What upstream does not know is taken out as any other.
        let property = property.to_owned();
        drop(ManuallyDrop::into_inner(qubes));
        return match &owner {
            Owner::System => session.reset_global(&property),
            Owner::Qube { name, .. } => session.reset_property(name, &property),
        }
        .map(|_nothing_follows| 0)
        .map_err(Into::into);
    }
    let property = find(owner.scope(), property)?;
    let change = match (call.value("value"), call.has("default")) {
        (Some(text), _) => owner
            .stored_text(property, text, call.has("set"))
            .map(str::to_string),
        (None, true) => None,
        (None, false) => return show(call, &owner, &qubes, property, session),
    };
    // The change decides on what it loads itself, under the lock; two stores in memory are one too
    // many.
    drop(ManuallyDrop::into_inner(qubes));
    set(call, session, &owner, property, change.as_deref())
}

/// Does what is asked for in the words of R3, if it is.
fn in_earlier_words(
    call: &mut Invocation,
    owner: &Owner,
    qubes: &Qubes,
    session: &Session,
) -> Result<Option<u8>, Failure> {
    match owner {
        Owner::System => earlier_prefs::run_for_system(call, session, qubes),
        Owner::Qube { name, .. } => match qubes.get(name.as_str()) {
            Some(vm) => earlier_prefs::run_for_qube(call, session, qubes, vm),
            None => Ok(None),
        },
    }
}

/// The property that was meant; `-` stands for `_`.
pub(super) fn find(scope: Scope, given: &str) -> Result<&'static Property, Failure> {
    let name = given.replace('-', "_");
    Property::find(scope, &name).ok_or_else(|| {
        Failure::usage(format!("no such property: {}", quoted(&name)))
            .with_hint(hint::property(given, Some(scope)))
    })
}

/// What is stored for a text: the word `none` for no qube, in any case, becomes empty.
pub(super) fn stored_text<'a>(property: &Property, text: &'a str) -> &'a str {
    if text.eq_ignore_ascii_case("none") && NONE_IS_NO_QUBE.contains(&property.name) {
        ""
    } else {
        text
    }
}

fn show(
    call: &mut Invocation,
    owner: &Owner,
    qubes: &Read,
    property: &Property,
    session: &Session,
) -> Result<u8, Failure> {
    if call.has("hide-default") && owner.is_default(qubes, property) {
        return Ok(0);
    }
    let value = owner.value(qubes, property, session)?;
    if call.has("json") {
        let text = serde_json::to_string_pretty(&json_of(&value))?;
        return call.out.line(&text).map(|()| 0);
    }
    match property.format_single(&value) {
        // Not an empty line: a script would take it for a number.
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

/// Every property with a mark: `D` default, `-` set, `U` not readable.
fn list(
    call: &mut Invocation,
    owner: &Owner,
    qubes: &Qubes,
    session: &Session,
) -> Result<u8, Failure> {
    let properties = owner.properties();
    let width = properties.iter().map(|p| p.name.len()).max().unwrap_or(0);
    for property in properties {
        let is_default = owner.is_default(qubes, property);
        let listed = owner
            .value(qubes, property, session)
            .ok()
            .and_then(|value| property.format_in_list(&value));
        let line = match listed {
            None => format!("{:width$}  U", property.name),
            Some(_) if is_default && call.has("hide-default") => continue,
            Some(text) => {
                // For eyes, what looks like a line of the list is one.
                let text = if call.out.is_for_eyes() {
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

/// One object: each property with its value, whether it is the default, and why it cannot be read.
fn list_json(
    call: &mut Invocation,
    owner: &Owner,
    qubes: &Qubes,
    session: &Session,
) -> Result<u8, Failure> {
    let mut object = serde_json::Map::new();
    for property in owner.properties() {
        let is_default = owner.is_default(qubes, property);
        if is_default && call.has("hide-default") {
            continue;
        }
        let entry = listing::entry(owner.value(qubes, property, session), is_default);
        object.insert(property.name.to_string(), entry.into());
    }
    let text = serde_json::to_string_pretty(&serde_json::Value::Object(object))?;
    call.out.line(&text).map(|()| 0)
}

/// Sets a property, or forgets its explicit value.
fn set(
    call: &mut Invocation,
    session: &Session,
    owner: &Owner,
    property: &'static Property,
    text: Option<&str>,
) -> Result<u8, Failure> {
    let notes = match (owner, text) {
        (Owner::System, Some(text)) => session.set_global(property.name, text),
        (Owner::System, None) => session.reset_global(property.name),
        (Owner::Qube { name, .. }, Some(text)) => session.set_property(name, property.name, text),
        (Owner::Qube { name, .. }, None) => session.reset_property(name, property.name),
    };
    let qube = match owner {
        Owner::System => None,
        Owner::Qube { name, .. } => Some(name.as_str()),
    };
    let refused = Refused {
        session,
        qube,
        property,
        text,
    };
    for note in notes.map_err(|error| refused.failure(error))? {
        call.inform(qube.unwrap_or("app"), &note);
    }
    Ok(0)
}

fn explain(call: &mut Invocation, properties: Vec<&'static Property>) -> Result<u8, Failure> {
    if call.has("json") {
        return call
            .print_json(&properties.iter().map(|p| listing::explained(p)).collect())
            .map(|()| 0);
    }
    call.out
        .text(&table::explained(
            properties.iter().map(|p| (p.name, p.doc)),
        ))
        .map(|()| 0)
}

/// The properties that qubes of some class have, each once.
fn of_any_class() -> Vec<&'static Property> {
    let mut all: Vec<&'static Property> = Class::ALL.iter().flat_map(class_properties).collect();
    all.sort_by_key(|p| p.name);
    all.dedup_by_key(|p| p.name);
    all
}

/// The properties as a section of the manual page.
pub fn manual_of_qube() -> Vec<(&'static str, String)> {
    let properties = table::explained(of_any_class().iter().map(|p| (p.name, p.doc)));
    vec![
        ("several qubes", several::MANUAL.to_string()),
        ("properties", properties),
    ]
}

/// The system's properties as a section of the manual page.
pub fn manual_of_system() -> Vec<(&'static str, String)> {
    vec![(
        "properties",
        table::explained(
            global_properties()
                .map(|p| (p.name, p.doc))
                .collect::<Vec<_>>()
                .into_iter(),
        ),
    )]
}
