//! The JSON that the tools print matches `docs/schemas/`, with sound and damaged stores, and the
//! schemas are strict.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use jsonschema::Validator;
use serde_json::{Value as Json, json};

use crate::store::{Store, repository};

const QUBES_DB: &str = env!("CARGO_BIN_EXE_qubes-db");
const QUBES_PREFS: &str = env!("CARGO_BIN_EXE_qubes-prefs");
const QUBES_RECOVER: &str = env!("CARGO_BIN_EXE_qubes-recover");
const QVM_CHECK: &str = env!("CARGO_BIN_EXE_qvm-check");
const QVM_FEATURES: &str = env!("CARGO_BIN_EXE_qvm-features");
const QVM_LS: &str = env!("CARGO_BIN_EXE_qvm-ls");
const QVM_NOTES: &str = env!("CARGO_BIN_EXE_qvm-notes");
const QVM_POOL: &str = env!("CARGO_BIN_EXE_qvm-pool");
const QVM_PREFS: &str = env!("CARGO_BIN_EXE_qvm-prefs");
const QVM_SERVICE: &str = env!("CARGO_BIN_EXE_qvm-service");
const QVM_TAGS: &str = env!("CARGO_BIN_EXE_qvm-tags");
const QVM_VOLUME: &str = env!("CARGO_BIN_EXE_qvm-volume");

/// Every special column, and an unknown one.
const COLUMNS: &str = "name,state,class,flags,gateway,memory,maxmem,disk,priv-curr,priv-max,\
                       priv-used,priv-pool,root-curr,root-max,root-used,root-pool,tags,\
                       connected_vms,label,netvm,kernelopts,dns,start_time,xid,nosuch";

/// A schema with a command whose output it describes. QUBE stands for a qube of the store.
const PRINTED: [(&str, &str, &str); 33] = [
    ("qvm-ls", QVM_LS, "--json"),
    ("qvm-ls", QVM_LS, "--json -n"),
    ("qvm-ls", QVM_LS, "--json -o prefs"),
    ("qvm-ls", QVM_LS, "--json -O COLUMNS"),
    ("qvm-prefs", QVM_PREFS, "--json QUBE"),
    ("qvm-prefs", QVM_PREFS, "--json dom0"),
    ("qvm-prefs", QVM_PREFS, "--json --hide-default QUBE"),
    ("qvm-prefs-several", QVM_PREFS, "--json --all"),
    ("qvm-prefs-several", QVM_PREFS, "--json * memory"),
    (
        "qvm-prefs-several",
        QVM_PREFS,
        "--json --all --hide-default --class AppVM",
    ),
    ("qvm-prefs-changed", QVM_PREFS, "--json --changed"),
    ("qubes-prefs", QUBES_PREFS, "--json"),
    ("qubes-prefs-changed", QUBES_PREFS, "--json --changed"),
    ("help-properties", QVM_PREFS, "--json --help-properties"),
    (
        "help-properties",
        QVM_PREFS,
        "--json --help-properties dom0",
    ),
    ("help-properties", QUBES_PREFS, "--json --help-properties"),
    ("qvm-features", QVM_FEATURES, "--json QUBE"),
    ("qvm-service", QVM_SERVICE, "--json QUBE"),
    ("qvm-tags", QVM_TAGS, "--json QUBE"),
    ("qvm-notes", QVM_NOTES, "--json QUBE"),
    ("qvm-notes", QVM_NOTES, "-p --json QUBE"),
    ("qvm-check", QVM_CHECK, "--json --template QUBE nosuch dom0"),
    ("qvm-pool", QVM_POOL, "--json"),
    ("qvm-pool-info", QVM_POOL, "--json info varlibqubes"),
    ("qvm-pool-drivers", QVM_POOL, "--json drivers"),
    ("qvm-volume", QVM_VOLUME, "--json"),
    ("qvm-volume-info", QVM_VOLUME, "--json info QUBE:root"),
    ("qvm-volume-info", QVM_VOLUME, "--json info QUBE:kernel"),
    ("qubes-db-check", QUBES_DB, "check --json"),
    ("qubes-db-history", QUBES_DB, "history --json"),
    ("qubes-db-diff", QUBES_DB, "diff --json"),
    ("qubes-db-dump", QUBES_DB, "dump"),
    ("qubes-recover", QUBES_RECOVER, "--json --list-orphans"),
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
fn printed(store: &Store, program: &str, line: &str, qube: &str) -> Json {
    let words: Vec<String> = line
        .split(' ')
        .map(|word| word.replace("QUBE", qube).replace("COLUMNS", COLUMNS))
        .collect();
    let run = store.run(program, &words, "", false);
    serde_json::from_str(&run.stdout)
        .unwrap_or_else(|error| panic!("{program} {line}: {error}: {run:?}"))
}

/// Returns a store that was changed, with a copy to compare it with, and one of its qubes.
fn changed(store: Store, qube: &str) -> (Store, String) {
    for line in [format!("{qube} memory 640"), format!("{qube} debug True")] {
        let words: Vec<String> = line.split(' ').map(String::from).collect();
        let run = store.run(QVM_PREFS, &words, "", false);
        assert_eq!(run.exit, 0, "{run:?}");
    }
    store.run(
        QVM_NOTES,
        &["--set".into(), "a note".into(), qube.to_string()],
        "",
        false,
    );
    (store, qube.to_string())
}

fn random() -> (Store, String) {
    let store = Store::small();
    fs::copy(repository("tests/data/r4/random-1.xml"), store.file()).unwrap();
    let listed = printed(&store, QVM_LS, "--json --class AppVM", "");
    let qube = listed[0]["name"].as_str().unwrap().to_string();
    changed(store, &qube)
}

/// Returns a store with invalid values, a missing netvm and an unknown class.
fn broken() -> (Store, String) {
    let store = Store::small();
    let mut text = fs::read_to_string(store.file()).unwrap();
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
    fs::write(store.file(), text).unwrap();
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
        ("small", changed(Store::small(), "work")),
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
    let (store, qube) = changed(Store::small(), "work");
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
    let (store, qube) = changed(Store::small(), "work");
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
    let (store, _) = changed(Store::small(), "work");
    let is = |program: &str, line: &str, expected: Json| {
        assert_eq!(printed(&store, program, line, ""), expected, "{line}")
    };
    is(
        QVM_CHECK,
        "--json --template work nosuch fedora-41-xfce",
        json!([
            {"name": "fedora-41-xfce", "exists": true, "satisfied": true},
            {"name": "nosuch", "exists": false, "satisfied": false},
            {"name": "work", "exists": true, "satisfied": false},
        ]),
    );
    is(
        QVM_NOTES,
        "--json work",
        json!({"name": "work", "notes": "a note"}),
    );
    let memory =
        json!({"of": "work", "what": "memory", "change": "changed", "old": "800", "new": "640"});
    is(QUBES_DB, "diff --json", json!([memory]));
    let dom0 =
        json!({"name": "dom0", "memory": 4_294_967_296_u64, "maxmem": 4096, "class": "AdminVM"});
    is(QVM_LS, "--json -O memory,maxmem,class dom0", json!([dom0]));
}

#[test]
fn json_is_refused_with_a_change() {
    let store = Store::small();
    let words: Vec<String> = ["--json", "--set", "other", "work"]
        .map(String::from)
        .to_vec();
    let refused = store.run(QVM_NOTES, &words, "", false);
    assert_eq!(refused.exit, 2, "{refused:?}");
    assert!(
        refused
            .stderr
            .contains("argument --json: not allowed with argument --set"),
        "{refused:?}"
    );
    let missing: Vec<String> = ["--json", "-q", "work", "nosuch"]
        .map(String::from)
        .to_vec();
    let checked = store.run(QVM_CHECK, &missing, "", false);
    assert_eq!(
        (checked.exit, checked.stderr.as_str()),
        (1, ""),
        "the exit code is the answer, the words are in the JSON"
    );
}
