//! JSON Schemas (2020-12) of everything that the tools print as JSON. `qubes generate` writes them
//! to `docs/schemas/`; `docs/json.md` says what stays compatible.

mod listings;
mod storage;
mod store;

use serde_json::{Map, Value as Json, json};

use crate::model::property::PROPERTIES;
use crate::model::{Class, Property, Scope};

/// A schema.
pub struct Schema {
    /// The name of its file without `.json`.
    pub name: &'static str,
    /// Its content.
    pub schema: Json,
}

/// Returns every schema.
pub fn all() -> Vec<Schema> {
    [listings::all(), storage::all(), store::all()]
        .into_iter()
        .flatten()
        .collect()
}

/// Returns a schema with its heading; `body` has the type.
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

/// Returns the type of a list of `items`.
fn list(items: Json) -> Json {
    json!({"type": "array", "items": items})
}

/// Returns the type of a list of unique texts.
pub(super) fn text_set(description: &str) -> Json {
    json!({
        "type": "array",
        "items": {"type": "string"},
        "uniqueItems": true,
        "description": description,
    })
}

/// Returns the type of an object with exactly these fields.
fn object(fields: Json) -> Json {
    let names: Vec<String> = fields
        .as_object()
        .map(|f| f.keys().cloned().collect())
        .unwrap_or_default();
    json!({
        "type": "object",
        "properties": fields,
        "required": names,
        "additionalProperties": false,
    })
}

/// Returns a type that may be null.
pub(super) fn or_null(kind: &str, description: &str) -> Json {
    let mut schema = json!({"type": [kind, "null"], "description": description});
    if kind == "array" {
        schema["items"] = json!({"type": "string"});
    }
    schema
}

pub(super) fn typed(kind: &str, description: &str) -> Json {
    json!({"type": kind, "description": description})
}

/// Returns the properties of the system.
fn system_properties() -> Vec<&'static Property> {
    PROPERTIES
        .iter()
        .filter(|p| p.is_in_scope(Scope::Global))
        .collect()
}

/// Returns the properties of qubes of any class, each once.
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

/// Returns a field for each property.
fn by_name(properties: &[&Property], field: impl Fn(&Property) -> Json) -> Map<String, Json> {
    properties
        .iter()
        .map(|property| (property.name.to_owned(), field(property)))
        .collect()
}
