//! JSON Schemas (2020-12) of everything that the tools print as JSON. `qubes generate` writes them
//! to `docs/schemas/`; `docs/json.md` says what stays compatible.

mod listings;
mod storage;
mod store;

use serde_json::{Map, Value as Json, json};

use crate::model::Property;

/// A schema.
pub struct Schema {
    /// The name of its file without `.json`.
    pub name: &'static str,
    /// Its content.
    pub schema: Json,
}

/// One row of the tables of schemas.
struct Row {
    /// The name of its file without `.json`.
    name: &'static str,
    /// The command lines that print such JSON.
    title: &'static str,
    description: &'static str,
    /// Returns the type.
    body: fn() -> Json,
}

impl Row {
    const fn new(
        name: &'static str,
        title: &'static str,
        description: &'static str,
        body: fn() -> Json,
    ) -> Row {
        Row {
            name,
            title,
            description,
            body,
        }
    }

    fn schema(&self) -> Schema {
        let mut schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": self.title,
            "description": self.description,
        });
        if let (Json::Object(schema), Json::Object(body)) = (&mut schema, (self.body)()) {
            schema.extend(body);
        }
        Schema {
            name: self.name,
            schema,
        }
    }
}

/// Returns every schema.
pub fn all() -> Vec<Schema> {
    let tables: [&[Row]; 3] = [&listings::ROWS, &storage::ROWS, &store::ROWS];
    tables.into_iter().flatten().map(Row::schema).collect()
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

/// Returns a field for each property.
fn by_name(properties: &[&Property], field: impl Fn(&Property) -> Json) -> Map<String, Json> {
    properties
        .iter()
        .map(|property| (property.name.to_owned(), field(property)))
        .collect()
}
