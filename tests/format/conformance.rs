//! The samples mean the same to us as to upstream's own code (`tests/data/r4/*.dump.json`), as far
//! as no default is needed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

fn sample(name: &str) -> String {
    std::fs::read_to_string(format!(
        "{}/tests/data/r4/{name}",
        env!("CARGO_MANIFEST_DIR")
    ))
    .unwrap()
}

#[test]
fn names_classes_numbers_features_and_tags_are_what_upstream_read() {
    for name in ["small", "random-1", "random-2"] {
        let dump: Value = serde_json::from_str(&sample(&format!("{name}.dump.json"))).unwrap();
        let qubes = qubes::format::read(sample(&format!("{name}.xml")).into_bytes()).unwrap();
        let domains = dump["domains"].as_object().unwrap();
        assert_eq!(qubes.len(), domains.len(), "{name}");
        for (vm_name, recorded) in domains {
            let vm = qubes.get(vm_name).unwrap();
            let context = format!("{name}: {vm_name}");
            assert_eq!(recorded["class"], vm.class.as_str(), "{context}");
            assert_eq!(recorded["qid"], vm.qid().unwrap().number(), "{context}");
            let features: BTreeMap<&str, &str> = vm.features.iter().collect();
            let expected = recorded["features"].as_object().unwrap();
            assert_eq!(
                features,
                expected
                    .iter()
                    .map(|(k, v)| (&**k, v.as_str().unwrap()))
                    .collect(),
                "{context}"
            );
            let tags: BTreeSet<&str> = vm.tags.iter().map(|t| &**t).collect();
            assert_eq!(
                tags,
                recorded["tags"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|t| t.as_str().unwrap())
                    .collect(),
                "{context}"
            );
            for (property, expected) in recorded["properties"].as_object().unwrap() {
                if expected["is_default"] == Value::Bool(true) {
                    assert!(
                        !vm.properties.contains(property),
                        "{context}: {property} is not set"
                    );
                }
                if let (Some(ours), Some(expected)) =
                    (vm.properties.get(property), expected["value"].as_str())
                {
                    assert_eq!(ours, expected, "{context}: {property}");
                }
            }
        }
        for (index, expected) in dump["labels"].as_object().unwrap() {
            let ours = qubes
                .labels
                .iter()
                .find(|l| l.index.to_string() == *index)
                .unwrap();
            assert_eq!(
                (expected["name"].as_str(), expected["color"].as_str()),
                (Some(&*ours.name), Some(&*ours.color))
            );
        }
        for (pool, expected) in dump["pools"].as_object().unwrap() {
            assert_eq!(
                expected["driver"].as_str(),
                Some(qubes.pools.get(pool).unwrap().driver()),
                "{name}: {pool}"
            );
        }
    }
}
