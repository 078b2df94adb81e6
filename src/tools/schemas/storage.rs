//! Schemas of listings of pools and volumes.

use serde_json::{Value as Json, json};

use super::row::Row;
use super::types::{list, object, or_null, text_set, typed};

pub static ROWS: [Row; 5] = [
    Row::new(
        "qvm-pool",
        "qvm-pool --json",
        "One object for each pool, in the order of the store.",
        || list(pool()),
    ),
    Row::new(
        "qvm-pool-info",
        "qvm-pool --json info POOL_NAME",
        "One pool.",
        pool,
    ),
    Row::new(
        "qvm-pool-drivers",
        "qvm-pool --json drivers",
        "One object for each driver that Qubes OS brings along, sorted by name.",
        || {
            list(object(json!({
                "driver": typed("string", "its name"),
                "options": text_set("the options of its pools"),
                "required": text_set("those of them that a pool must have"),
            })))
        },
    ),
    Row::new(
        "qvm-volume",
        "qvm-volume --json",
        "One object for each volume of each qube, sorted by pool and vid.",
        || {
            list(object(json!({
                "pool": typed("string", "its pool"),
                "vid": typed("string", "its name in the pool; qubes share kernels"),
                "qube": typed("string", "the qube"),
                "volume": typed("string", "root, private, volatile, kernel, or a name of the \
                                           user's own"),
                "revert_possible": typed("boolean", "whether there is a revision to go back to"),
            })))
        },
    ),
    Row::new(
        "qvm-volume-info",
        "qvm-volume --json info VM:VOLUME",
        "One volume; with a property, the value of its field.",
        volume,
    ),
];

fn pool() -> Json {
    let bytes = |what: &str| {
        or_null(
            "integer",
            &format!("{what}; bytes, null where it cannot be told"),
        )
    };
    object(json!({
        "name": typed("string", "the pool"),
        "driver": typed("string", "its driver"),
        "options": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "the driver's options as they are in effect",
        },
        "size": bytes("how large its place is"),
        "usage": bytes("how much of its place is in use, by whatever"),
        "metadata_size": bytes("how large the place for its bookkeeping is"),
        "metadata_usage": bytes("how much of that is in use"),
        "included_in": or_null("string", "the pool in whose place it lies"),
        "nearly_full": typed("boolean", "whether nine tenths of one of its places are in use"),
    }))
}

fn volume() -> Json {
    object(json!({
        "qube": typed("string", "the qube"),
        "volume": typed("string", "the volume"),
        "pool": typed("string", "its pool"),
        "vid": typed("string", "its name in the pool"),
        "rw": typed("boolean", "whether the qube can write to it"),
        "source": or_null("string", "the vid of the volume that it is a snapshot of"),
        "save_on_stop": typed("boolean", "whether it is kept when the qube stops"),
        "snap_on_start": typed("boolean", "whether it is made from its source at each start"),
        "size": typed("integer", "how large it is; bytes"),
        "usage": or_null("integer", "what it takes on disk; bytes, null where it cannot be told"),
        "revisions_to_keep": typed("integer", "how many revisions it keeps; -1: no snapshots at \
                                               all"),
        "ephemeral": typed("boolean", "whether it is encrypted with a key that nobody keeps"),
        "is_outdated": typed("boolean", "whether its source was committed anew since the qube was \
                                         started"),
        "revisions": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string", "description": "what revert takes"},
                    "time": {"type": "string", "description": "when it was the current state: \
                                                               YYYY-MM-DDTHH:MM:SS, UTC"},
                },
                "required": ["id", "time"],
                "additionalProperties": false,
            },
            "description": "oldest first",
        },
    }))
}
