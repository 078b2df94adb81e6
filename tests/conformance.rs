//! What upstream's own code says three stores mean (`tests/data/r4/*.dump.json`), we say, too:
//! every property of every qube with its default mark, features, tags, volumes, devices, global
//! properties, labels, pools. Where we differ on purpose stands in `docs/conformance.md`.

use std::path::Path;

use qubes::model::{Class, Qubes, class_properties};
use serde_json::Value as Json;

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

/// Without the attributes that repeat what the class, the pool and the template say, volumes mean
/// the same.
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
                volume.attributes = volume
                    .attributes
                    .iter()
                    .filter(|(n, _)| kept.contains(n))
                    .collect();
            }
        }
        let expected = dump(sample);
        let mut differences = Vec::new();
        for vm in qubes.iter().filter(|vm| vm.class != Class::RemoteVM) {
            let recorded = &expected["domains"][vm.name.as_str()]["volumes"];
            let ours = qubes.dump_volumes(vm, &SampleHost::default());
            compare(
                &format!("{}/volumes", vm.name),
                recorded,
                &ours,
                &mut differences,
            );
        }
        assert!(
            differences.is_empty(),
            "{sample}:\n{}",
            differences.join("\n")
        );
    }
}

/// A store of R4.0 and one of a thousand qubes: nothing in them is beyond us.
#[test]
fn every_property_and_volume_of_the_other_stores_can_be_read() {
    let host = SampleHost::default();
    for sample in ["r40-small", "n1000"] {
        let qubes = read(sample);
        for vm in qubes.iter() {
            for property in class_properties(&vm.class) {
                let read = qubes.value(vm, property, &host);
                assert!(
                    read.is_ok(),
                    "{sample}: {} {}: {read:?}",
                    vm.name,
                    property.name
                );
            }
            assert!(qubes.volumes(vm, &host).is_ok(), "{sample}: {}", vm.name);
        }
    }
}

fn assert_same(sample: &str) {
    let (qubes, expected) = (read(sample), dump(sample));
    let mut differences = Vec::new();
    compare(
        sample,
        &expected,
        &qubes.dump(&SampleHost::default()),
        &mut differences,
    );
    assert!(
        differences.is_empty(),
        "{} differences in {sample}:\n{}",
        differences.len(),
        differences.join("\n")
    );
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

/// Collects what differs, with the way to it.
fn compare(at: &str, expected: &Json, ours: &Json, differences: &mut Vec<String>) {
    match (expected, ours) {
        // A guivm that shows itself, or a loop of them: upstream runs into its recursion limit, we
        // say `us++`.
        (Json::Object(e), ours) if e.get("error").is_some_and(|e| e == "RecursionError") => {
            let is_wrong = ours != "us++";
            differences
                .extend(is_wrong.then(|| format!("{at}: a loop of guivms gives us++, not {ours}")));
        }
        // A default maxmem is never below memory (docs/differences.md).
        (Json::Object(expected), Json::Object(ours)) if is_raised_maxmem(at, expected, ours) => {}
        (Json::Object(expected), Json::Object(ours)) => {
            let names: std::collections::BTreeSet<&String> =
                expected.keys().chain(ours.keys()).collect();
            for name in names {
                let missing = Json::String("(nothing)".into());
                let (e, o) = (
                    expected.get(name).unwrap_or(&missing),
                    ours.get(name).unwrap_or(&missing),
                );
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
        _ if expected != ours => {
            differences.push(format!("{at}: upstream {expected}, ours {ours}"))
        }
        _ => {}
    }
}

/// Whether it is a default maxmem that upstream has below the qube's memory, and we have not.
fn is_raised_maxmem(
    at: &str,
    expected: &serde_json::Map<String, Json>,
    ours: &serde_json::Map<String, Json>,
) -> bool {
    let number =
        |of: &serde_json::Map<String, Json>| of.get("value").and_then(Json::as_i64).unwrap_or(0);
    let is_default = [expected, ours]
        .iter()
        .all(|of| of.get("is_default") == Some(&Json::Bool(true)));
    at.ends_with("/properties/maxmem")
        && is_default
        && number(expected) == 4000
        && number(ours) > 4000
}

/// A text that is the same for equal objects, whatever the order of their names.
fn canonical(value: &Json) -> String {
    match value {
        Json::Object(all) => {
            let mut all: Vec<String> = all
                .iter()
                .map(|(n, v)| format!("{n:?}:{}", canonical(v)))
                .collect();
            all.sort();
            format!("{{{}}}", all.join(","))
        }
        other => other.to_string(),
    }
}
