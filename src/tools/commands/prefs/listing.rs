//! Lists the properties of several qubes, as lines or JSON.

use serde_json::{Map, Value as Json, json};

use super::arguments::PropertyArguments;
use super::selected_qubes::SelectedQubes;
use crate::model::{Class, Property, PropertyError, Scope, Value, Vm, property};
use crate::tools::commands::db::one_line;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::table;
use crate::tools::ui::values::value_json;

/// Returns a property as JSON: its value, whether that is the default, and why it cannot be read.
pub fn value_entry(value: Result<Value, PropertyError>, is_default: bool) -> Map<String, Json> {
    let (value, error) = match value {
        Ok(value) => (value_json(&value), None),
        Err(error) => (Json::Null, Some(error.to_string())),
    };
    let mut entry = Map::new();
    entry.insert("value".to_string(), value);
    entry.insert("default".to_string(), is_default.into());
    entry.extend(error.map(|e| ("error".to_string(), e.into())));
    entry
}

/// Returns a qube as JSON with its listed properties.
pub fn qube_object(vm: &Vm, properties: Map<String, Json>) -> Json {
    json!({"name": vm.name.as_str(), "class": vm.class.as_str(), "properties": properties})
}

/// Returns the description of a property as JSON: its type, its meaning, and which classes have it.
pub fn property_json(property: &Property) -> Json {
    // Several properties of one name belong to different classes; they are listed as one. Those of
    // the system are separate.
    let of_qubes = !property.is_in_scope(Scope::Global);
    let has_it =
        |class: &&Class| of_qubes && Property::find(Scope::Class(class), property.name).is_some();
    let classes: Vec<&str> = Class::all().filter(has_it).map(Class::as_str).collect();
    json!({
        "name": property.name,
        "type": property.value_type.api_name(),
        "settable": !property.computed,
        "since": property.since.to_string(),
        "classes": classes,
        "doc": property.doc,
    })
}

/// Prints `QUBE PROPERTY MARK VALUE`, a line for each property, with the marks of the list of one
/// qube.
pub fn print(
    call: &mut Invocation,
    view: &SelectedQubes,
    prefs: &PropertyArguments,
) -> Result<u8, Failure> {
    let explicit_only = prefs.hide_default;
    let listed = |vm: &Vm, property: &Property| !(explicit_only && property.is_default(vm));
    if prefs.output.json {
        let objects = view.vms.iter().filter_map(|(vm, properties)| {
            let entries = properties.iter().filter(|p| listed(vm, p)).map(|property| {
                let value = property::value(view.qubes, vm, property, view.context.facts());
                (
                    property.name.to_string(),
                    value_entry(value, property.is_default(vm)).into(),
                )
            });
            let entries: Map<String, Json> = entries.collect();
            (!entries.is_empty()).then(|| qube_object(vm, entries))
        });
        let objects = Json::Array(objects.collect());
        return call.print_json(&objects).map(|()| 0);
    }
    let mut rows: Vec<[String; 4]> = Vec::new();
    for (vm, properties) in &view.vms {
        for property in properties.iter().filter(|p| listed(vm, p)) {
            let value = property::value(view.qubes, vm, property, view.context.facts())
                .ok()
                .and_then(|v| property.format_in_list(&v));
            let mark = match &value {
                None => "U",
                Some(_) if property.is_default(vm) => "D",
                Some(_) => "-",
            };
            let value = one_line(&value.unwrap_or_default());
            rows.push([
                vm.name.to_string(),
                property.name.to_string(),
                mark.to_string(),
                value,
            ]);
        }
    }
    table::print(&mut call.out, &rows).map(|()| 0)
}
