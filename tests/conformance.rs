//! What upstream's own code says three stores mean (`tests/data/r4/*.dump.json`), we say, too: every property of every
//! qube with its default mark, features, tags, volumes, devices, global properties, labels, pools.
//! Where we differ on purpose stands in `docs/conformance.md`.

use std::path::Path;

use qubes::model::{Class, Qubes, TextMap, Value, Vm, global_properties, properties_of};
use serde_json::{Map, Value as Json, json};

#[path = "support/sample_host.rs"]
mod sample_host;
use sample_host::SampleHost;

#[test]
fn small() {
    assert_same("small");
}

#[test]
fn random_1() {
    assert_same("random-1");
}

#[test]
fn random_2() {
    assert_same("random-2");
}

/// Without the attributes that repeat what the class, the pool and the template say, volumes mean the same.
#[test]
fn volumes_follow_from_class_pool_and_template() {
    for sample in ["small", "random-1", "random-2"] {
        let mut qubes = read(sample);
        let names: Vec<String> = qubes.names().map(|n| n.to_string()).collect();
        for name in &names {
            for volume in &mut qubes.edit(name).unwrap().volumes {
                let kept = match volume.attributes.get("snap_on_start") {
                    Some("True") => ["name"].as_slice(),
                    _ => ["name", "pool", "size"].as_slice(),
                };
                volume.attributes = volume.attributes.iter().filter(|(n, _)| kept.contains(n)).collect();
            }
        }
        let expected = dump(sample);
        let mut differences = Vec::new();
        for vm in qubes.iter().filter(|vm| vm.class != Class::RemoteVM) {
            let recorded = &expected["domains"][vm.name.as_str()]["volumes"];
            compare(&format!("{}/volumes", vm.name), recorded, &volumes(&qubes, vm), &mut differences);
        }
        assert!(differences.is_empty(), "{sample}:\n{}", differences.join("\n"));
    }
}

/// A store of R4.0 and one of a thousand qubes: nothing in them is beyond us.
#[test]
fn every_property_and_volume_of_the_other_stores_can_be_read() {
    let host = SampleHost::default();
    for sample in ["r40-small", "n1000"] {
        let qubes = read(sample);
        for vm in qubes.iter() {
            for property in properties_of(&vm.class) {
                let read = qubes.value(vm, property, &host);
                assert!(read.is_ok(), "{sample}: {} {}: {read:?}", vm.name, property.name);
            }
            assert!(qubes.volumes(vm, &host).is_ok(), "{sample}: {}", vm.name);
        }
    }
}

fn assert_same(sample: &str) {
    let (qubes, expected) = (read(sample), dump(sample));
    let host = SampleHost::default();
    let mut differences = Vec::new();
    let globals = global_properties().map(|p| {
        let value = as_json(qubes.global(p, &host).map_err(|e| e.to_string()));
        (p.name.to_owned(), json!({"value": value, "is_default": qubes.is_global_default(p)}))
    });
    compare("globals", &expected["globals"], &Json::Object(globals.collect()), &mut differences);
    compare("labels", &expected["labels"], &labels(&qubes), &mut differences);
    compare("pools", &expected["pools"], &pools(&qubes), &mut differences);
    let domains: Map<String, Json> = qubes.iter().map(|vm| (vm.name.to_string(), domain(&qubes, vm))).collect();
    compare("domains", &expected["domains"], &Json::Object(domains), &mut differences);
    assert!(differences.is_empty(), "{} differences in {sample}:\n{}", differences.len(), differences.join("\n"));
}

fn read(sample: &str) -> Qubes {
    let bytes = std::fs::read(folder().join(format!("{sample}.xml"))).unwrap();
    let qubes = qubes::format::read(bytes).unwrap();
    assert!(qubes.diagnoses.is_empty() && qubes.iter().all(|vm| vm.diagnoses.is_empty()));
    qubes
}

fn dump(sample: &str) -> Json {
    let bytes = std::fs::read(folder().join(format!("{sample}.dump.json"))).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/r4")
}

fn domain(qubes: &Qubes, vm: &Vm) -> Json {
    let host = SampleHost::default();
    let properties = properties_of(&vm.class).filter(|p| p.name != "start_time").map(|p| {
        let value = as_json(qubes.value(vm, p, &host).map_err(|e| e.to_string()));
        (p.name.to_owned(), json!({"value": value, "is_default": qubes.is_default(vm, p)}))
    });
    let mut tags: Vec<&str> = vm.tags.iter().map(|t| &**t).collect();
    tags.sort_unstable();
    let mut all = Map::new();
    all.insert("class".into(), json!(vm.class.as_str()));
    all.insert("qid".into(), json!(vm.qid().map(|q| q.number())));
    all.insert("properties".into(), Json::Object(properties.collect()));
    all.insert("features".into(), texts(&vm.features));
    all.insert("tags".into(), json!(tags));
    if vm.class != Class::RemoteVM {
        all.insert("volumes".into(), volumes(qubes, vm));
        all.insert("devices".into(), devices(vm));
    }
    Json::Object(all)
}

/// A value as the dump writes it: a reference is an object that says to what.
fn as_json(value: Result<Value, String>) -> Json {
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

fn texts(map: &TextMap) -> Json {
    Json::Object(map.iter().map(|(n, v)| (n.to_owned(), json!(v))).collect())
}

fn labels(qubes: &Qubes) -> Json {
    let labels = qubes.labels.iter().map(|l| (l.index.to_string(), json!({"color": l.color, "name": l.name})));
    Json::Object(labels.collect())
}

fn pools(qubes: &Qubes) -> Json {
    let pools = qubes.pools.iter().map(|pool| {
        let mut all = texts(&pool.attributes);
        if pool.option("ephemeral_volatile").is_some() {
            all["ephemeral_volatile"] = json!(pool.ephemeral_volatile());
        }
        // The dump has a number here or a text, as each driver keeps it.
        if pool.driver() == "file" {
            all["revisions_to_keep"] = json!(pool.revisions_to_keep());
        }
        (pool.name().to_owned(), all)
    });
    Json::Object(pools.collect())
}

fn volumes(qubes: &Qubes, vm: &Vm) -> Json {
    let volumes = qubes.volumes(vm, &SampleHost::default()).unwrap();
    let volumes = volumes.into_iter().map(|volume| {
        let mut all = json!({
            "name": volume.name, "pool": volume.pool, "vid": volume.vid, "rw": volume.rw,
            "revisions_to_keep": volume.revisions_to_keep,
            "save_on_stop": volume.save_on_stop, "snap_on_start": volume.snap_on_start,
        });
        if volume.size != 0 {
            all["size"] = json!(volume.size);
        }
        if let Some(source) = volume.source {
            all["source"] = json!(source);
        }
        (volume.name, all)
    });
    Json::Object(volumes.collect())
}

fn devices(vm: &Vm) -> Json {
    let mut classes = Map::new();
    for class in vm.devices.iter().filter(|c| !c.assignments.is_empty()) {
        let mut assignments: Vec<Json> = class
            .assignments
            .iter()
            .map(|a| {
                json!({
                    "backend": a.backend(), "port": a.port(), "identity": a.identity(),
                    "mode": a.mode().unwrap().as_str(), "options": texts(&a.options),
                })
            })
            .collect();
        assignments.sort_by_key(Json::to_string);
        classes.insert(class.class.to_string(), json!(assignments));
    }
    Json::Object(classes)
}

/// Collects what differs, with the way to it.
fn compare(at: &str, expected: &Json, ours: &Json, differences: &mut Vec<String>) {
    match (expected, ours) {
        // A guivm that shows itself, or a loop of them: upstream runs into its recursion limit, we say `us++`.
        (Json::Object(e), ours) if e.get("error").is_some_and(|e| e == "RecursionError") => {
            let is_wrong = ours != "us++";
            differences.extend(is_wrong.then(|| format!("{at}: a loop of guivms gives us++, not {ours}")));
        }
        (Json::Object(expected), Json::Object(ours)) => {
            let names: std::collections::BTreeSet<&String> = expected.keys().chain(ours.keys()).collect();
            for name in names {
                let missing = Json::String("(nothing)".into());
                let (e, o) = (expected.get(name).unwrap_or(&missing), ours.get(name).unwrap_or(&missing));
                compare(&format!("{at}/{name}"), e, o, differences);
            }
        }
        (Json::Array(expected), Json::Array(ours)) => {
            let sorted = |list: &[Json]| {
                let mut list: Vec<String> = list.iter().map(canonical).collect();
                list.sort();
                list
            };
            if sorted(expected) != sorted(ours) {
                differences.push(format!("{at}: upstream {expected:?}, ours {ours:?}"));
            }
        }
        _ if expected != ours => differences.push(format!("{at}: upstream {expected}, ours {ours}")),
        _ => {}
    }
}

/// A text that is the same for equal objects, whatever the order of their names.
fn canonical(value: &Json) -> String {
    match value {
        Json::Object(all) => {
            let mut all: Vec<String> = all.iter().map(|(n, v)| format!("{n:?}:{}", canonical(v))).collect();
            all.sort();
            format!("{{{}}}", all.join(","))
        }
        other => other.to_string(),
    }
}
