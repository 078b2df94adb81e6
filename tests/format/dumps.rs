//! Three stores mean the same to us as to upstream's own code (`tests/data/r4/*.dump.json`): every
//! property of every qube with its default mark, features, tags, volumes, devices, global
//! properties, labels, pools. Intended differences are listed in `docs/conformance.md`.

use std::path::Path;

use qubes::model::{Class, Qubes, class_properties, dump, property, volume};
use qubes_test_support::SampleHost;
use serde_json::Value as Json;

#[test]
fn small() {
    assert_same_meaning("small");
}

#[test]
fn random_1() {
    assert_same_meaning("random-1");
}

#[test]
fn random_2() {
    assert_same_meaning("random-2");
}

/// Volumes mean the same without the attributes that repeat the class, the pool and the template.
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
            let ours = dump::dump_volumes(&qubes, vm, &SampleHost::default());
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

/// A store of R4.0 and one of a thousand qubes can be read completely.
#[test]
fn every_property_and_volume_of_the_other_stores_can_be_read() {
    let host = SampleHost::default();
    for sample in ["r40-small", "n1000"] {
        let qubes = read(sample);
        for vm in qubes.iter() {
            for property in class_properties(&vm.class) {
                let read = property::value(&qubes, vm, property, &host);
                assert!(
                    read.is_ok(),
                    "{sample}: {} {}: {read:?}",
                    vm.name,
                    property.name
                );
            }
            assert!(
                volume::resolve_all(&qubes, vm, &host).is_ok(),
                "{sample}: {}",
                vm.name
            );
        }
    }
}

fn assert_same_meaning(sample: &str) {
    let (qubes, expected) = (read(sample), dump(sample));
    let mut differences = Vec::new();
    compare(
        sample,
        &expected,
        &dump::dump_system(&qubes, &SampleHost::default()),
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
    let bytes = std::fs::read(data_directory().join(format!("{sample}.xml"))).unwrap();
    let qubes = qubes::format::read(bytes).unwrap();
    assert!(qubes.diagnoses.is_empty() && qubes.iter().all(|vm| vm.diagnoses.is_empty()));
    qubes
}

fn dump(sample: &str) -> Json {
    let bytes = std::fs::read(data_directory().join(format!("{sample}.dump.json"))).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn data_directory() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/r4")
}

/// Collects the differences, with their paths.
fn compare(path: &str, expected: &Json, ours: &Json, differences: &mut Vec<String>) {
    match (expected, ours) {
        // A guivm that is its own guivm, or a loop of them: upstream reaches its recursion limit,
        // we return `us++`.
        (Json::Object(e), ours) if e.get("error").is_some_and(|e| e == "RecursionError") => {
            let is_wrong = ours != "us++";
            differences.extend(
                is_wrong.then(|| format!("{path}: a loop of guivms gives us++, not {ours}")),
            );
        }
        // A default maxmem is never below memory (docs/differences.md).
        (Json::Object(expected), Json::Object(ours)) if is_raised_maxmem(path, expected, ours) => {}
        (Json::Object(expected), Json::Object(ours)) => {
            let names: std::collections::BTreeSet<&String> =
                expected.keys().chain(ours.keys()).collect();
            for name in names {
                let missing = Json::String("(nothing)".into());
                let (e, o) = (
                    expected.get(name).unwrap_or(&missing),
                    ours.get(name).unwrap_or(&missing),
                );
                compare(&format!("{path}/{name}"), e, o, differences);
            }
        }
        (Json::Array(expected), Json::Array(ours)) => {
            let sorted = |list: &[Json]| {
                let mut list: Vec<String> = list.iter().map(canonical).collect();
                list.sort();
                list
            };
            if sorted(expected) != sorted(ours) {
                differences.push(format!("{path}: upstream {expected:?}, ours {ours:?}"));
            }
        }
        _ if expected != ours => {
            differences.push(format!("{path}: upstream {expected}, ours {ours}"))
        }
        _ => {}
    }
}

/// Whether the difference is a default maxmem that upstream leaves below the memory of the qube.
fn is_raised_maxmem(
    path: &str,
    expected: &serde_json::Map<String, Json>,
    ours: &serde_json::Map<String, Json>,
) -> bool {
    let number =
        |of: &serde_json::Map<String, Json>| of.get("value").and_then(Json::as_i64).unwrap_or(0);
    let is_default = [expected, ours]
        .iter()
        .all(|of| of.get("is_default") == Some(&Json::Bool(true)));
    path.ends_with("/properties/maxmem")
        && is_default
        && number(expected) == 4000
        && number(ours) > 4000
}

/// Returns a text that is the same for equal objects, whatever the order of their names.
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
