//! The types that schemas are made of.

use serde_json::{Map, Value as Json, json};

use crate::model::Property;

/// Returns the type of a list of `items`.
pub(in crate::tools) fn list(items: Json) -> Json {
    json!({"type": "array", "items": items})
}

/// Returns the type of a list of unique texts.
pub(in crate::tools) fn text_set(description: &str) -> Json {
    json!({
        "type": "array",
        "items": {"type": "string"},
        "uniqueItems": true,
        "description": description,
    })
}

/// Returns the type of an object with exactly these fields.
pub(in crate::tools) fn object(fields: Json) -> Json {
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
pub(in crate::tools) fn or_null(kind: &str, description: &str) -> Json {
    let mut schema = json!({"type": [kind, "null"], "description": description});
    if kind == "array" {
        schema["items"] = json!({"type": "string"});
    }
    schema
}

/// Returns a type.
pub(in crate::tools) fn typed(kind: &str, description: &str) -> Json {
    json!({"type": kind, "description": description})
}

/// Returns a field for each property.
pub(in crate::tools) fn by_name(
    properties: &[&Property],
    field: impl Fn(&Property) -> Json,
) -> Map<String, Json> {
    properties
        .iter()
        .map(|property| (property.name.to_owned(), field(property)))
        .collect()
}
