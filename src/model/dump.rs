//! A dump of the complete system with all resolved values as JSON, printed by `qubes-db dump
//! --json`. It has the shape of the dumps that upstream's own code made of the samples
//! (`tests/data/r4/*.dump.json`). Names are in byte order.

use serde_json::{Map, Value as Json, json};

use super::class::Class;
use super::facts::Facts;
use super::label::Label;
use super::property::{Value, class_properties, global_properties};
use super::qubes::Qubes;
use super::text_map::TextMap;
use super::vm::Vm;
use crate::model::property;
use crate::model::volume;

/// Returns every qube with all properties, features, tags, volumes and devices, and the global
/// properties, labels and pools. A value that cannot be read is `{"error": "…"}`.
pub fn dump_system(qubes: &Qubes, facts: &dyn Facts) -> Json {
    let mut domains: Map<String, Json> = qubes
        .iter()
        .map(|vm| (vm.name.to_string(), dump_qube(qubes, vm, facts)))
        .collect();
    domains.sort_keys();
    let globals = global_properties().map(|p| {
        let value = value(property::global_value(qubes, p, facts).map_err(|e| e.to_string()));
        (
            p.name.to_owned(),
            json!({"is_default": property::is_global_default(qubes, p), "value": value}),
        )
    });
    json!({
        "domains": domains,
        "globals": globals.collect::<Map<_, _>>(),
        "labels": dump_labels(qubes),
        "pools": dump_pools(qubes),
    })
}

fn dump_qube(qubes: &Qubes, vm: &Vm, facts: &dyn Facts) -> Json {
    // The start time is not part of the store.
    let properties = class_properties(&vm.class)
        .filter(|p| p.name != "start_time")
        .map(|p| {
            let value = value(property::value(qubes, vm, p, facts).map_err(|e| e.to_string()));
            (
                p.name.to_owned(),
                json!({"is_default": p.is_default(vm), "value": value}),
            )
        });
    let mut tags: Vec<&str> = vm.tags.iter().map(|t| &**t).collect();
    tags.sort_unstable();
    let mut all = Map::new();
    all.insert("class".into(), json!(vm.class.as_str()));
    if vm.class != Class::RemoteVM {
        all.insert("devices".into(), devices(vm));
    }
    all.insert("features".into(), texts(&vm.features));
    all.insert("properties".into(), Json::Object(properties.collect()));
    all.insert("qid".into(), json!(vm.qid().map(|q| q.number())));
    all.insert("tags".into(), json!(tags));
    if vm.class != Class::RemoteVM {
        all.insert("volumes".into(), dump_volumes(qubes, vm, facts));
    }
    Json::Object(all)
}

fn dump_labels(qubes: &Qubes) -> Json {
    let labels = qubes.labels.iter().map(|l| {
        (
            l.index.to_string(),
            json!({"color": color(l), "name": l.name}),
        )
    });
    sorted(labels.collect())
}

fn dump_pools(qubes: &Qubes) -> Json {
    let pools = qubes.pools.iter().map(|pool| {
        let mut all = texts(&pool.attributes);
        if pool.option("ephemeral_volatile").is_some() {
            all["ephemeral_volatile"] = json!(pool.ephemeral_volatile());
        }
        // Upstream has a number or a text here, depending on the driver.
        if pool.driver() == "file" {
            all["revisions_to_keep"] = json!(pool.revisions_to_keep());
        }
        (pool.name().to_owned(), all)
    });
    sorted(pools.collect())
}

/// Returns the volumes of a qube, each resolved.
pub fn dump_volumes(qubes: &Qubes, vm: &Vm, facts: &dyn Facts) -> Json {
    let volumes = volume::names(vm).map(|name| {
        let all = match volume::resolve(qubes, vm, name, facts) {
            Err(error) => json!({"error": error.to_string()}),
            Ok(volume) => {
                let mut all = json!({
                    "name": volume.name, "pool": volume.pool,
                    "revisions_to_keep": volume.revisions_to_keep,
                    "rw": volume.rw, "save_on_stop": volume.save_on_stop,
                });
                if let Some(ephemeral) = volume.own_ephemeral {
                    all["ephemeral"] = json!(ephemeral);
                }
                if volume.size != 0 {
                    all["size"] = json!(volume.size);
                }
                all["snap_on_start"] = json!(volume.snap_on_start);
                if let Some(source) = volume.source {
                    all["source"] = json!(source);
                }
                all["vid"] = json!(volume.vid);
                all
            }
        };
        (name.to_owned(), all)
    });
    sorted(volumes.collect())
}

/// Returns the effective colour of a label: every release since 4.1 reads the grey of 4.0 as
/// today's.
fn color(label: &Label) -> &str {
    match (label.index, &*label.color) {
        (5, "0x555753") => "0x555555",
        (_, color) => color,
    }
}

/// Converts a value. A reference becomes an object that names the type of its target.
fn value(value: Result<Value, String>) -> Json {
    match value {
        Err(error) => json!({"error": error}),
        Ok(Value::None | Value::Qube(None)) => Json::Null,
        Ok(Value::Bool(b)) => json!(b),
        Ok(Value::Int(n)) => json!(n),
        Ok(Value::Qube(Some(name))) => json!({"vm": name.as_str()}),
        Ok(Value::Label(name)) => json!({"label": name}),
        Ok(Value::Pool(name)) => json!({"pool": name}),
        Ok(Value::Words(words)) => json!(words),
        Ok(other) => json!(other.to_string()),
    }
}

fn devices(vm: &Vm) -> Json {
    let mut classes = Map::new();
    for class in vm.devices.iter().filter(|c| !c.assignments.is_empty()) {
        let mut assignments: Vec<Json> = class
            .assignments
            .iter()
            .map(|a| {
                let mode = a.mode().map_or_else(|text| text, |mode| mode.as_str());
                json!({
                    "backend": a.backend(), "identity": a.identity(), "mode": mode,
                    "options": texts(&a.options), "port": a.port(),
                })
            })
            .collect();
        assignments.sort_by_key(Json::to_string);
        classes.insert(class.class.to_string(), json!(assignments));
    }
    sorted(classes)
}

fn texts(map: &TextMap) -> Json {
    sorted(map.iter().map(|(n, v)| (n.to_owned(), json!(v))).collect())
}

fn sorted(mut map: Map<String, Json>) -> Json {
    map.sort_keys();
    Json::Object(map)
}
