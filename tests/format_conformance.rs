//! What upstream's own code says the samples mean (`tests/data/r4/*.dump.json`): what does not need
//! a default.

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
        for (vm_name, said) in domains {
            let vm = qubes.get(vm_name).unwrap();
            let context = format!("{name}: {vm_name}");
            assert_eq!(said["class"], vm.class.as_str(), "{context}");
            assert_eq!(said["qid"], vm.qid().unwrap().number(), "{context}");
            let features: BTreeMap<&str, &str> = vm.features.iter().collect();
            let theirs = said["features"].as_object().unwrap();
            assert_eq!(
                features,
                theirs
                    .iter()
                    .map(|(k, v)| (&**k, v.as_str().unwrap()))
                    .collect(),
                "{context}"
            );
            let tags: BTreeSet<&str> = vm.tags.iter().map(|t| &**t).collect();
            assert_eq!(
                tags,
                said["tags"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|t| t.as_str().unwrap())
                    .collect(),
                "{context}"
            );
            for (property, theirs) in said["properties"].as_object().unwrap() {
                if theirs["is_default"] == Value::Bool(true) {
                    assert!(
                        !vm.properties.contains(property),
                        "{context}: {property} is not set"
                    );
                }
                if let (Some(ours), Some(theirs)) =
                    (vm.properties.get(property), theirs["value"].as_str())
                {
                    assert_eq!(ours, theirs, "{context}: {property}");
                }
            }
        }
        for (index, theirs) in dump["labels"].as_object().unwrap() {
            let ours = qubes
                .labels
                .iter()
                .find(|l| l.index.to_string() == *index)
                .unwrap();
            assert_eq!(
                (theirs["name"].as_str(), theirs["color"].as_str()),
                (Some(&*ours.name), Some(&*ours.color))
            );
        }
        for (pool, theirs) in dump["pools"].as_object().unwrap() {
            assert_eq!(
                theirs["driver"].as_str(),
                Some(qubes.pools.get(pool).unwrap().driver()),
                "{name}: {pool}"
            );
        }
    }
}
