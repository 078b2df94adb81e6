//! Schemas of the output of qubes-db and qubes-recover.

use serde_json::{Value as Json, json};

use super::row::Row;
use super::types::{by_name, list, object, or_null, text_set, typed};
use crate::model::property::ValueType;
use crate::model::{Property, global_properties};
use crate::tools::commands::prefs::qube_properties;

pub static ROWS: [Row; 5] = [
    Row::new(
        "qubes-db-check",
        "qubes-db check --json",
        "One object for each thing that is wrong with the store. The exit code is 1 when \
         there is one.",
        || {
            list(object(json!({
                "line": or_null("integer", "the line of qubes.xml, from 1"),
                "qube": or_null("string", "the qube concerned; null where it is the whole store"),
                "severity": {
                    "enum": ["error", "warning"],
                    "description": "error: qubesd refuses the whole file; warning: it reads it \
                                    otherwise",
                },
                "kind": typed("string", "what sort of damage"),
                "text": typed("string", "what is wrong, in words"),
                "repair": typed("string", "what would mend it, in words"),
                "automatic": typed("boolean", "whether qubes-db repair does that by itself"),
            })))
        },
    ),
    Row::new(
        "qubes-db-history",
        "qubes-db history --json",
        "One object for each copy of the store, the newest last.",
        || {
            list(object(json!({
                "copy": typed("string", "its time, by which it is named"),
                "path": typed("string", "the file"),
                "bytes": or_null("integer", "its size"),
                "qubes": or_null("integer", "how many qubes it has; null where it does not load"),
                "error": or_null("string", "why it cannot be read; null where it can"),
                "refused_for": or_null("integer", "how many things qubesd refuses it for; null \
                                                   where it cannot be read"),
            })))
        },
    ),
    Row::new(
        "qubes-db-diff",
        "qubes-db diff --json",
        "One object for each difference between two versions of the store. The exit code is 1 \
         when there is one.",
        || {
            list(object(json!({
                "of": typed("string", "the qube, or 'system', or 'pool NAME'"),
                "what": or_null("string", "a property, 'feature NAME', 'tag NAME', ...; null: the \
                                           whole of it"),
                "change": {"enum": ["changed", "added", "removed"]},
                "old": or_null("string", "the text before; null: not set. The class of a qube \
                                          that was removed"),
                "new": or_null("string", "the text after; null: not set. The class of a qube that \
                                          was added"),
            })))
        },
    ),
    Row::new(
        "qubes-db-dump",
        "qubes-db dump",
        "Everything that the store means. Sizes are bytes.",
        dump,
    ),
    Row::new(
        "qubes-recover",
        "qubes-recover --json",
        "What recovery did. The exit code is 1 when something failed.",
        || {
            object(json!({
                "qubes": list(object(json!({
                    "name": typed("string", "the qube"),
                    "outcome": {"enum": ["active", "halted", "removed", "failed"]},
                    "error": or_null("string", "why it failed"),
                }))),
                "orphans": list(object(json!({
                    "pool": typed("string", "the pool"),
                    "vid": typed("string", "the volume in the pool"),
                    "images": list(typed("string", "a file or logical volume of it")),
                    "removed": typed("boolean", "whether it was removed now (--remove-orphans)"),
                    "error": or_null("string", "why it could not be removed"),
                }))),
            }))
        },
    ),
];

fn dump() -> Json {
    let texts = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let keyed = |items: Json| json!({"type": "object", "additionalProperties": items});
    let dumped_properties = |of: &[&Property]| {
        json!({
            "type": "object",
            "properties": by_name(of, dumped),
            "additionalProperties": false,
        })
    };
    let mut domain = object(json!({
        "class": typed("string", "the class"),
        "features": texts,
        "properties": dumped_properties(&qube_properties()),
        "qid": or_null("integer", "the number of the qube"),
        "tags": text_set("sorted"),
    }));
    domain["properties"]["devices"] = keyed(list(device(&texts)));
    domain["properties"]["volumes"] = keyed(volume());
    object(json!({
        "domains": keyed(domain),
        "globals": dumped_properties(&global_properties().collect::<Vec<_>>()),
        "labels": keyed(object(json!({
            "color": typed("string", "0xRRGGBB"),
            "name": typed("string", "the label"),
        }))),
        "pools": keyed(json!({
            "type": "object",
            "properties": {
                "name": typed("string", "the pool"),
                "driver": typed("string", "the driver"),
                "ephemeral_volatile": {"type": ["boolean", "string"]},
                "revisions_to_keep": {"type": ["integer", "string"]},
            },
            "required": ["name", "driver"],
            "additionalProperties": {"type": "string"},
        })),
    }))
}

/// Returns the type of a property in a dump, where a reference names its kind.
fn dumped(property: &Property) -> Json {
    let value = match property.value_type {
        ValueType::Qube { .. } => object(json!({"vm": {"type": "string"}})),
        ValueType::Label => object(json!({"label": {"type": "string"}})),
        ValueType::Pool => object(json!({"pool": {"type": "string"}})),
        _ => or_null(property.json_type(), property.doc),
    };
    let error = object(json!({"error": typed("string", "why it cannot be told")}));
    object(json!({
        "is_default": typed("boolean", "whether it is not set"),
        "value": {"anyOf": [value, {"type": "null"}, error]},
    }))
}

fn device(texts: &Json) -> Json {
    object(json!({
        "backend": or_null("string", "the qube it is plugged into; null: any"),
        "identity": typed("string", "the device's own name; * for any"),
        "mode": typed("string", "how it is assigned"),
        "options": texts,
        "port": typed("string", "where it is plugged in"),
    }))
}

fn volume() -> Json {
    let mut volume = object(json!({
        "name": typed("string", "the volume"),
        "pool": typed("string", "its pool"),
        "revisions_to_keep": typed("integer", "how many earlier states are kept"),
        "rw": typed("boolean", "whether the qube may write to it"),
        "save_on_stop": typed("boolean", "whether what the qube wrote stays when it stops"),
        "snap_on_start": typed("boolean", "whether each start begins from the source"),
        "vid": typed("string", "its name in the pool"),
    }));
    volume["properties"]["size"] = typed("integer", "bytes; missing where it is unknown");
    volume["properties"]["source"] = typed("string", "the volume it begins from");
    let error = object(json!({"error": typed("string", "why it cannot be told")}));
    json!({"anyOf": [volume, error]})
}
