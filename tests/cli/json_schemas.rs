//! The JSON that the tools print matches `docs/schemas/`, with sound and damaged stores, and the
//! schemas are strict.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use jsonschema::Validator;
use qubes_test_support::{TestSystem, repository};
use serde_json::{Value as Json, json};

/// Every special column, and an unknown one.
const COLUMNS: &str = "name,state,class,flags,gateway,memory,maxmem,disk,priv-curr,priv-max,\
                       priv-used,priv-pool,root-curr,root-max,root-used,root-pool,tags,\
                       connected_vms,label,netvm,kernelopts,dns,start_time,xid,nosuch";

/// A schema with a command whose output it describes. QUBE stands for a qube of the store.
const PRINTED: [(&str, &str, &str); 33] = [
    ("qvm-ls", "qvm-ls", "--json"),
    ("qvm-ls", "qvm-ls", "--json -n"),
    ("qvm-ls", "qvm-ls", "--json -o prefs"),
    ("qvm-ls", "qvm-ls", "--json -O COLUMNS"),
    ("qvm-prefs", "qvm-prefs", "--json QUBE"),
    ("qvm-prefs", "qvm-prefs", "--json dom0"),
    ("qvm-prefs", "qvm-prefs", "--json --hide-default QUBE"),
    ("qvm-prefs-several", "qvm-prefs", "--json --all"),
    ("qvm-prefs-several", "qvm-prefs", "--json * memory"),
    (
        "qvm-prefs-several",
        "qvm-prefs",
        "--json --all --hide-default --class AppVM",
    ),
    ("qvm-prefs-changed", "qvm-prefs", "--json --changed"),
    ("qubes-prefs", "qubes-prefs", "--json"),
    ("qubes-prefs-changed", "qubes-prefs", "--json --changed"),
    ("help-properties", "qvm-prefs", "--json --help-properties"),
    (
        "help-properties",
        "qvm-prefs",
        "--json --help-properties dom0",
    ),
    ("help-properties", "qubes-prefs", "--json --help-properties"),
    ("qvm-features", "qvm-features", "--json QUBE"),
    ("qvm-service", "qvm-service", "--json QUBE"),
    ("qvm-tags", "qvm-tags", "--json QUBE"),
    ("qvm-notes", "qvm-notes", "--json QUBE"),
    ("qvm-notes", "qvm-notes", "-p --json QUBE"),
    (
        "qvm-check",
        "qvm-check",
        "--json --template QUBE nosuch dom0",
    ),
    ("qvm-pool", "qvm-pool", "--json"),
    ("qvm-pool-info", "qvm-pool", "--json info varlibqubes"),
    ("qvm-pool-drivers", "qvm-pool", "--json drivers"),
    ("qvm-volume", "qvm-volume", "--json"),
    ("qvm-volume-info", "qvm-volume", "--json info QUBE:root"),
    ("qvm-volume-info", "qvm-volume", "--json info QUBE:kernel"),
    ("qubes-db-check", "qubes-db", "check --json"),
    ("qubes-db-history", "qubes-db", "history --json"),
    ("qubes-db-diff", "qubes-db", "diff --json"),
    ("qubes-db-dump", "qubes-db", "dump"),
    ("qubes-recover", "qubes-recover", "--json --list-orphans"),
];

fn schemas() -> BTreeMap<String, Json> {
    let files = fs::read_dir(repository("docs/schemas"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let read = |file: std::path::PathBuf| {
        let name = file.file_stem().unwrap().to_str().unwrap().to_string();
        (
            name,
            serde_json::from_slice(&fs::read(&file).unwrap()).unwrap(),
        )
    };
    files.map(read).collect()
}

fn validators() -> BTreeMap<String, Validator> {
    schemas()
        .into_iter()
        .map(|(name, schema)| (name, jsonschema::validator_for(&schema).unwrap()))
        .collect()
}

/// Returns the JSON that a command prints.
fn printed(store: &TestSystem, program: &str, line: &str, qube: &str) -> Json {
    let words: Vec<String> = line
        .split(' ')
        .map(|word| word.replace("QUBE", qube).replace("COLUMNS", COLUMNS))
        .collect();
    let run = store.run((program, &words));
    serde_json::from_str(&run.stdout)
        .unwrap_or_else(|error| panic!("{program} {line}: {error}: {run:?}"))
}

/// Returns a store that was changed, with a copy to compare it with, and one of its qubes.
fn changed(store: TestSystem, qube: &str) -> (TestSystem, String) {
    for line in [format!("{qube} memory 640"), format!("{qube} debug True")] {
        let words: Vec<String> = line.split(' ').map(String::from).collect();
        let run = store.run(("qvm-prefs", &words));
        assert_eq!(run.code, 0, "{run:?}");
    }
    store.run(["qvm-notes", "--set", "a note", qube]);
    (store, qube.to_string())
}

fn random() -> (TestSystem, String) {
    let store = TestSystem::recorded("small.xml");
    fs::copy(repository("tests/data/r4/random-1.xml"), store.store_file()).unwrap();
    let listed = printed(&store, "qvm-ls", "--json --class AppVM", "");
    let qube = listed[0]["name"].as_str().unwrap().to_string();
    changed(store, &qube)
}

/// Returns a store with invalid values, a missing netvm and an unknown class.
fn broken() -> (TestSystem, String) {
    let store = TestSystem::recorded("small.xml");
    let mut text = fs::read_to_string(store.store_file()).unwrap();
    for (whole, damaged) in [
        (
            "<property name=\"memory\">800</property>",
            "<property name=\"memory\">much</property>",
        ),
        (
            "<property name=\"netvm\">sys-whonix</property>",
            "<property name=\"netvm\">gone</property>",
        ),
        ("class=\"StandaloneVM\"", "class=\"UnheardVM\""),
        (
            "<property name=\"autostart\">True</property>",
            "<property name=\"autostart\">perhaps</property>",
        ),
    ] {
        assert!(text.contains(whole), "{whole}");
        text = text.replacen(whole, damaged, 1);
    }
    fs::write(store.store_file(), text).unwrap();
    changed(store, "vault")
}

#[test]
fn every_schema_is_valid_and_in_use() {
    let schemas = schemas();
    for (name, schema) in &schemas {
        assert!(
            jsonschema::meta::is_valid(schema),
            "{name} is no JSON Schema"
        );
        assert_eq!(
            schema["$schema"], "https://json-schema.org/draft/2020-12/schema",
            "{name}"
        );
    }
    let used: BTreeSet<&str> = PRINTED.iter().map(|(name, ..)| *name).collect();
    assert_eq!(
        schemas.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        used
    );
    let manual = fs::read_to_string(repository("docs/json.md")).unwrap();
    for name in used {
        assert!(
            manual.contains(&format!("schemas/{name}.json")),
            "docs/json.md does not name {name}"
        );
    }
}

#[test]
fn json_output_matches_the_schemas() {
    let validators = validators();
    for (which, (store, qube)) in [
        ("small", changed(TestSystem::recorded("small.xml"), "work")),
        ("random", random()),
        ("broken", broken()),
    ] {
        for (name, program, line) in PRINTED {
            let printed = printed(&store, program, line, &qube);
            let errors: Vec<String> = validators[name]
                .iter_errors(&printed)
                .map(|e| format!("{}: {e}", e.instance_path()))
                .collect();
            assert!(errors.is_empty(), "{which}: {name} {line}: {errors:#?}");
        }
    }
}

/// Collects the JSON pointers of a value and all its parts.
fn places(value: &Json, at: &str, found: &mut Vec<String>) {
    found.push(at.to_string());
    match value {
        Json::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(n, item)| places(item, &format!("{at}/{n}"), found)),
        Json::Object(fields) => {
            for (name, field) in fields {
                places(
                    field,
                    &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")),
                    found,
                );
            }
        }
        _ => {}
    }
}

#[test]
fn schemas_reject_wrong_types_and_extra_fields() {
    let (store, qube) = changed(TestSystem::recorded("small.xml"), "work");
    let validators = validators();
    for (name, program, line) in PRINTED {
        let printed = printed(&store, program, line, &qube);
        let mut all = Vec::new();
        places(&printed, "", &mut all);
        // Large outputs are sampled.
        for place in all.iter().step_by(1 + all.len() / 30) {
            let mut wrong = printed.clone();
            *wrong.pointer_mut(place).unwrap() = json!([{"unheard": "of"}]);
            assert!(
                !validators[name].is_valid(&wrong),
                "{name} {line}: anything will do at {place:?}"
            );
            let mut more = printed.clone();
            if let Some(Json::Object(fields)) = more.pointer_mut(place) {
                fields.insert("unheard-of".to_string(), json!(1.5));
                assert!(
                    !validators[name].is_valid(&more),
                    "{name} {line}: one more will do at {place:?}"
                );
            }
        }
    }
}

#[test]
fn schemas_require_fields() {
    let (store, qube) = changed(TestSystem::recorded("small.xml"), "work");
    let validators = validators();
    for (name, place, field) in [
        ("qvm-ls", "/0", "name"),
        ("qvm-prefs", "/netvm", "default"),
        ("qvm-prefs", "/netvm", "value"),
        ("qvm-prefs-several", "/3", "class"),
        ("qvm-prefs-changed", "/0", "properties"),
        (
            "qvm-prefs-changed",
            "/0/properties/template_for_dispvms",
            "default_value",
        ),
        ("qubes-prefs", "/clockvm", "value"),
        ("qubes-prefs-changed", "/clockvm", "default_value"),
        ("qvm-notes", "", "notes"),
        ("qvm-check", "/1", "satisfied"),
        ("qvm-pool", "/0", "size"),
        ("qvm-pool-info", "", "nearly_full"),
        ("qvm-volume", "/0", "vid"),
        ("qvm-volume-info", "", "revisions"),
        ("qubes-db-history", "/0", "error"),
        ("qubes-db-diff", "/0", "old"),
        ("qubes-db-dump", "/domains/work", "tags"),
        ("qubes-db-dump", "/domains/work/volumes/root", "pool"),
        ("qubes-recover", "", "orphans"),
    ] {
        let (_, program, line) = PRINTED.iter().find(|(schema, ..)| *schema == name).unwrap();
        let mut printed = printed(&store, program, line, &qube);
        assert!(validators[name].is_valid(&printed), "{name}");
        let object = printed
            .pointer_mut(place)
            .unwrap_or_else(|| panic!("{name} has no {place}"));
        assert!(
            object.as_object_mut().unwrap().remove(field).is_some(),
            "{name} has no {field} at {place}"
        );
        assert!(
            !validators[name].is_valid(&printed),
            "{name}: {field} may be missing at {place}"
        );
    }
}

#[test]
fn json_has_the_values_of_the_store() {
    let (store, _) = changed(TestSystem::recorded("small.xml"), "work");
    let is = |program: &str, line: &str, expected: Json| {
        assert_eq!(printed(&store, program, line, ""), expected, "{line}")
    };
    is(
        "qvm-check",
        "--json --template work nosuch fedora-41-xfce",
        json!([
            {"name": "fedora-41-xfce", "exists": true, "satisfied": true},
            {"name": "nosuch", "exists": false, "satisfied": false},
            {"name": "work", "exists": true, "satisfied": false},
        ]),
    );
    is(
        "qvm-notes",
        "--json work",
        json!({"name": "work", "notes": "a note"}),
    );
    let memory =
        json!({"of": "work", "what": "memory", "change": "changed", "old": "800", "new": "640"});
    is("qubes-db", "diff --json", json!([memory]));
    let dom0 =
        json!({"name": "dom0", "memory": 4_294_967_296_u64, "maxmem": 4096, "class": "AdminVM"});
    is(
        "qvm-ls",
        "--json -O memory,maxmem,class dom0",
        json!([dom0]),
    );
}

#[test]
fn json_is_refused_with_a_change() {
    let store = TestSystem::recorded("small.xml");
    let words: Vec<String> = ["--json", "--set", "other", "work"]
        .map(String::from)
        .to_vec();
    let refused = store.run(("qvm-notes", &words));
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(
        refused
            .stderr
            .contains("argument --json: not allowed with argument --set"),
        "{refused:?}"
    );
    let missing: Vec<String> = ["--json", "-q", "work", "nosuch"]
        .map(String::from)
        .to_vec();
    let checked = store.run(("qvm-check", &missing));
    assert_eq!(
        (checked.code, checked.stderr.as_str()),
        (1, ""),
        "the exit code is the answer, the words are in the JSON"
    );
}
