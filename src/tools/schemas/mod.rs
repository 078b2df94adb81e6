//! JSON Schemas (2020-12) of everything that the tools print as JSON. The properties in them come
//! from the one table. `qubes generate` writes them to `docs/schemas/`; `docs/json.md` says what is
//! promised.

mod listings;
mod storage;
mod store;

use serde_json::{Map, Value as Json, json};

use crate::model::property::{PROPERTIES, ValueType};
use crate::model::{Class, Property, Scope};

/// One schema: the name of its file without `.json`, and what it is.
pub struct Schema {
    pub name: &'static str,
    pub schema: Json,
}

/// Every schema.
pub fn all() -> Vec<Schema> {
    [listings::all(), storage::all(), store::all()]
        .into_iter()
        .flatten()
        .collect()
}

/// A schema with its heading; `body` says the type.
fn schema(name: &'static str, title: &str, description: &str, body: Json) -> Schema {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "description": description,
    });
    add(&mut schema, body);
    Schema { name, schema }
}

fn add(schema: &mut Json, more: Json) {
    if let (Json::Object(schema), Json::Object(more)) = (schema, more) {
        schema.extend(more);
    }
}

/// A list of `items`.
fn list(items: Json) -> Json {
    json!({"type": "array", "items": items})
}

/// A list of texts, each once.
fn text_set(description: &str) -> Json {
    json!({"type": "array", "items": {"type": "string"}, "uniqueItems": true, "description": description})
}

/// An object of exactly these fields.
fn object(fields: Json) -> Json {
    let names: Vec<String> = fields
        .as_object()
        .map(|f| f.keys().cloned().collect())
        .unwrap_or_default();
    json!({"type": "object", "properties": fields, "required": names, "additionalProperties": false})
}

/// A type, or null where there is nothing to say.
fn or_null(kind: &str, description: &str) -> Json {
    let mut schema = json!({"type": [kind, "null"], "description": description});
    if kind == "array" {
        schema["items"] = json!({"type": "string"});
    }
    schema
}

fn typed(kind: &str, description: &str) -> Json {
    json!({"type": kind, "description": description})
}

/// The JSON type of a property's value.
fn type_of(property: &Property) -> &'static str {
    match property.value_type {
        // Computed: the one time that is told with fractions of a second, and the one list.
        _ if property.name == "start_time" => "number",
        _ if property.name == "dns" => "array",
        ValueType::Bool => "boolean",
        ValueType::Int { .. } => "integer",
        _ => "string",
    }
}

/// The system's properties.
fn system_properties() -> Vec<&'static Property> {
    PROPERTIES
        .iter()
        .filter(|p| p.is_in_scope(Scope::Global))
        .collect()
}

/// The properties that qubes of some class have, each once.
fn qube_properties() -> Vec<&'static Property> {
    let is_of_qubes = |p: &&Property| {
        Class::ALL
            .iter()
            .any(|class| p.is_in_scope(Scope::Class(class)))
    };
    let mut found: Vec<&'static Property> = PROPERTIES.iter().filter(is_of_qubes).collect();
    found.dedup_by_key(|p| p.name);
    found
}

/// Fields by the names of properties.
fn by_name(properties: &[&Property], field: impl Fn(&Property) -> Json) -> Map<String, Json> {
    properties
        .iter()
        .map(|property| (property.name.to_owned(), field(property)))
        .collect()
}
