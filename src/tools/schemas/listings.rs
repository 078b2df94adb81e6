//! Schemas of listings of qubes and of the system.

use serde_json::{Map, Value as Json, json};

use super::row::Row;
use super::types::{by_name, list, object, or_null, text_set, typed};
use crate::model::{Property, global_properties};
use crate::tools::commands::ls::{COLUMNS, ColumnSpec};
use crate::tools::commands::prefs::qube_properties;

pub static ROWS: [Row; 12] = [
    Row::new(
        "qvm-ls",
        "qvm-ls --json",
        "One object for each qube, sorted by name: its name and the columns.",
        qvm_ls,
    ),
    Row::new(
        "qvm-prefs",
        "qvm-prefs --json VMNAME",
        "The properties of one qube, by name. With --hide-default only those that are set.",
        || properties(&qube_properties(), &[]),
    ),
    Row::new(
        "qvm-prefs-several",
        "qvm-prefs --json --all",
        "One object for each qube that has one of the properties asked for; so also with a \
         pattern, several names, --class, --tags or --label.",
        || qubes_with(properties(&qube_properties(), &[])),
    ),
    Row::new(
        "qvm-prefs-changed",
        "qvm-prefs --json --changed",
        "One object for each qube that has a property that is set to something else than its \
         default.",
        || qubes_with(properties(&qube_properties(), &["default_value"])),
    ),
    Row::new(
        "qubes-prefs",
        "qubes-prefs --json",
        "The properties of the system, by name. With --hide-default only those that are set.",
        || properties(&global_properties().collect::<Vec<_>>(), &[]),
    ),
    Row::new(
        "qubes-prefs-changed",
        "qubes-prefs --json --changed",
        "The properties of the system that are set to something else than their default.",
        || properties(&global_properties().collect::<Vec<_>>(), &["default_value"]),
    ),
    Row::new(
        "help-properties",
        "qvm-prefs --json --help-properties, qubes-prefs --json --help-properties",
        "One object for each property there is, sorted by name.",
        || {
            list(object(json!({
                "name": typed("string", "the property"),
                "type": {"enum": ["bool", "int", "label", "str", "vm"]},
                "settable": typed("boolean", "false: it is computed"),
                "since": typed("string", "the first release that knows it, as 4.0"),
                "classes": text_set("the classes of qubes that have it; empty for a property of \
                                     the system"),
                "doc": typed("string", "what it means"),
            })))
        },
    ),
    Row::new(
        "qvm-features",
        "qvm-features --json VMNAME",
        "The features of one qube in the order of the store; an empty text means off.",
        || json!({"type": "object", "additionalProperties": {"type": "string"}}),
    ),
    Row::new(
        "qvm-service",
        "qvm-service --json VMNAME",
        "The services of one qube in the order of the store: whether they are switched on.",
        || json!({"type": "object", "additionalProperties": {"type": "boolean"}}),
    ),
    Row::new(
        "qvm-tags",
        "qvm-tags --json VMNAME",
        "The tags of one qube, sorted.",
        || text_set("The tags of one qube, sorted."),
    ),
    Row::new(
        "qvm-notes",
        "qvm-notes --json VMNAME",
        "The notes about one qube; with and without --print.",
        || {
            object(json!({
                "name": typed("string", "the qube"),
                "notes": typed("string", "the whole text; empty where there are no notes"),
            }))
        },
    ),
    Row::new(
        "qvm-check",
        "qvm-check --json VMNAME...",
        "One object for each qube that was named, sorted by name. The exit code is the same \
         as without --json.",
        || {
            list(object(json!({
                "name": typed("string", "the name that was given"),
                "exists": typed("boolean", "whether there is such a qube"),
                "satisfied": typed("boolean", "whether it exists and is what was asked for"),
            })))
        },
    ),
];

/// Returns the type of a map of properties: each may be missing, others are not allowed.
fn properties(of: &[&Property], further: &[&str]) -> Json {
    let entry = |property: &Property| {
        let kind = property.json_type();
        json!({"$ref": format!("#/$defs/{kind}"), "description": property.doc})
    };
    let entries = |kind: &str| {
        let mut fields = json!({
            "value": or_null(kind, "the value in effect; null where there is none, or it cannot \
                                    be read"),
            "default": typed("boolean", "whether it is not set, so that the value is the default"),
        });
        for name in further {
            fields[*name] = or_null(
                kind,
                "what the value would be if it were not set; null where that is nothing, or \
                 cannot be told",
            );
        }
        let mut entry = object(fields);
        entry["properties"]["error"] = typed(
            "string",
            "why the value cannot be read; only where it cannot",
        );
        entry
    };
    let kinds = ["array", "boolean", "integer", "number", "string"]
        .map(|kind| (kind.to_string(), entries(kind)));
    let used = kinds
        .into_iter()
        .filter(|(kind, _)| of.iter().any(|p| p.json_type() == kind));
    json!({
        "type": "object",
        "properties": by_name(of, entry),
        "additionalProperties": false,
        "$defs": used.collect::<Map<String, Json>>(),
    })
}

/// A list of qubes with their property maps, whose definitions move to the top, where references
/// look for them.
fn qubes_with(mut properties: Json) -> Json {
    let definitions = properties
        .as_object_mut()
        .and_then(|map| map.remove("$defs"));
    let mut qubes = list(object(json!({
        "name": typed("string", "the qube"),
        "class": typed("string", "its class: AppVM, TemplateVM, ..."),
        "properties": properties,
    })));
    qubes["$defs"] = definitions.unwrap_or_default();
    qubes
}

fn qvm_ls() -> Json {
    let mut fields = by_name(&qube_properties(), |p| or_null(p.json_type(), p.doc));
    let (listed, unlisted): (Vec<&ColumnSpec>, Vec<&ColumnSpec>) =
        COLUMNS.iter().partition(|column| column.help.is_some());
    fields.insert("name".to_owned(), typed("string", "the qube"));
    fields.extend(listed.into_iter().map(ColumnSpec::schema));
    fields.insert(
        "broken".to_owned(),
        json!({
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
            "description": "what is wrong with a qube that cannot be relied on; absent from all \
                            others",
        }),
    );
    fields.extend(unlisted.into_iter().map(ColumnSpec::schema));
    list(json!({
        "type": "object",
        "properties": fields,
        "required": ["name"],
        "additionalProperties": {"type": "null", "description": "a column that means nothing for \
                                                                 any qube"},
    }))
}
