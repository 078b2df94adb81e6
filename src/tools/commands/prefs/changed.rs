//! `--changed`: explicit values that differ from their defaults.

use serde_json::{Map, Value as Json};

use super::arguments::PropertyArguments;
use super::listing;
use super::selected_qubes::SelectedQubes;
use crate::lifecycle::Context;
use crate::model::property::DefaultValue;
use crate::model::{Property, PropertyError, Qubes, Value, Vm, global_properties, property};
use crate::tools::commands::db::one_line;
use crate::tools::ui::arguments::JsonOption;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::table;
use crate::tools::ui::values::value_json;

/// A property whose explicit value differs from its default.
struct NonDefault {
    property: &'static Property,
    value: Result<Value, PropertyError>,
    /// The text in the store, shown if it is not a valid value.
    text: String,
    default: Result<Value, PropertyError>,
}

impl NonDefault {
    /// Returns the property of a qube; `None` if it has no explicit value, its value equals the
    /// default, or it has no default.
    fn for_qube(
        qubes: &Qubes,
        context: &Context,
        vm: &Vm,
        property: &'static Property,
    ) -> Option<NonDefault> {
        let text = property.explicit_value(vm)?.to_owned();
        let value = property::value(qubes, vm, property, context.facts());
        NonDefault {
            property,
            value,
            text,
            default: property::default_value(qubes, vm, property, context.facts()),
        }
        .if_different()
    }

    fn for_system(
        qubes: &Qubes,
        context: &Context,
        property: &'static Property,
    ) -> Option<NonDefault> {
        let text = qubes
            .globals
            .get(property.name)
            .filter(|_| !property.computed)?
            .to_owned();
        let value = property::global_value(qubes, property, context.facts());
        NonDefault {
            property,
            value,
            text,
            default: property::global_default(qubes, property, context.facts()),
        }
        .if_different()
    }

    fn if_different(self) -> Option<NonDefault> {
        let has_default = !matches!(self.property.default, DefaultValue::Required);
        let differs = match (&self.value, &self.default) {
            (Ok(value), Ok(default)) => shown_value(value) != shown_value(default),
            _ => true,
        };
        (has_default && differs).then_some(self)
    }

    /// Returns `400 -> 800`.
    fn describe(&self) -> String {
        let default = self
            .default
            .as_ref()
            .map_or_else(|_unknown| "?".to_string(), shown_value);
        let value = self
            .value
            .as_ref()
            .map_or_else(|_invalid| one_line(&self.text), shown_value);
        format!("{default} -> {value}")
    }

    fn json(self) -> (String, Json) {
        let mut entry = listing::value_entry(self.value, false);
        entry.insert(
            "default_value".to_string(),
            self.default.as_ref().map(value_json).unwrap_or_default(),
        );
        (self.property.name.to_string(), entry.into())
    }
}

/// Returns a value as one line that is never empty.
fn shown_value(value: &Value) -> String {
    match value {
        Value::None | Value::Qube(None) => "None".to_string(),
        value => match one_line(&value.to_string()) {
            text if text.is_empty() => "''".to_string(),
            text => text,
        },
    }
}

/// Prints `QUBE PROPERTY DEFAULT -> VALUE`, a line for each property.
pub fn print_qubes(
    call: &mut Invocation,
    view: &SelectedQubes,
    output: JsonOption,
) -> Result<u8, Failure> {
    let changes = view.vms.iter().map(|(vm, properties)| {
        let changes = properties
            .iter()
            .filter_map(|p| NonDefault::for_qube(view.qubes, view.context, vm, p));
        (*vm, changes.collect::<Vec<NonDefault>>())
    });
    let changes = changes.filter(|(_, changes)| !changes.is_empty());
    if output.json {
        let object = |(vm, changes): (&Vm, Vec<NonDefault>)| {
            listing::qube_object(vm, properties_json(changes))
        };
        let objects = Json::Array(changes.map(object).collect());
        return call.print_json(&objects).map(|()| 0);
    }
    let row = |vm: &Vm, change: &NonDefault| {
        [
            vm.name.to_string(),
            change.property.name.to_string(),
            change.describe(),
        ]
    };
    let mut rows: Vec<[String; 3]> = Vec::new();
    changes.for_each(|(vm, changes)| rows.extend(changes.iter().map(|change| row(vm, change))));
    table::print(&mut call.out, &rows).map(|()| 0)
}

/// Prints `PROPERTY DEFAULT -> VALUE` for one property or all of the system.
pub fn print_system(
    call: &mut Invocation,
    qubes: &Qubes,
    context: &Context,
    prefs: &PropertyArguments,
) -> Result<u8, Failure> {
    if prefs.value.is_some() || prefs.default {
        return Err(Failure::usage(
            "--changed lists: it goes with neither a value nor --default",
        ));
    }
    let properties: Vec<&'static Property> = match &prefs.property {
        Some(name) => vec![super::find(crate::model::Scope::Global, name)?],
        None => global_properties().collect(),
    };
    let changes: Vec<NonDefault> = properties
        .into_iter()
        .filter_map(|p| NonDefault::for_system(qubes, context, p))
        .collect();
    if prefs.output.json {
        return call
            .print_json(&Json::Object(properties_json(changes)))
            .map(|()| 0);
    }
    let rows: Vec<[String; 2]> = changes
        .iter()
        .map(|c| [c.property.name.to_string(), c.describe()])
        .collect();
    table::print(&mut call.out, &rows).map(|()| 0)
}

fn properties_json(changes: Vec<NonDefault>) -> Map<String, Json> {
    changes.into_iter().map(NonDefault::json).collect()
}
