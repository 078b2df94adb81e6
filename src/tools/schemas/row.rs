//! A schema, and the row of a table that it is made from.

use serde_json::{Value as Json, json};

/// A schema.
pub struct Schema {
    /// The name of its file without `.json`.
    pub name: &'static str,
    /// Its content.
    pub schema: Json,
}

/// One row of the tables of schemas.
pub(super) struct Row {
    /// The name of its file without `.json`.
    name: &'static str,
    /// The command lines that print such JSON.
    title: &'static str,
    description: &'static str,
    /// Returns the type.
    body: fn() -> Json,
}

impl Row {
    pub const fn new(
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

    pub fn schema(&self) -> Schema {
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
