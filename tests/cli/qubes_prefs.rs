//! qubes-prefs: properties of the system.

use std::fs;

use qubes_test_support::TestSystem;
use serde_json::{Value as Json, json};

#[test]
fn changed_lists_properties_of_the_system() {
    let store = TestSystem::recorded("small.xml");
    let run = |line: &str| store.run(("qubes-prefs", line));
    assert_eq!(
        run("--changed clockvm").stdout,
        "clockvm  None -> sys-net\n"
    );
    assert!(
        run("--changed")
            .stdout
            .contains("stats_interval          3 -> 5\n")
    );
    let listed: Json =
        serde_json::from_str(&run("--changed --json stats_interval").stdout).unwrap();
    assert_eq!(
        listed,
        json!({"stats_interval": {"value": 5, "default": false, "default_value": 3}})
    );
}

#[test]
fn the_environment_names_the_default_thin_pool() {
    let store = TestSystem::recorded("small.xml");
    let default_pool = |pool: &str| {
        let output = store
            .command("qubes-prefs")
            .arg("default_pool")
            .env("DEFAULT_LVM_POOL", pool)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(default_pool("vm-pool"), "vm-pool\n");
    assert_eq!(
        default_pool("another"),
        "varlibqubes\n",
        "no pool of the store: the one with /var/lib/qubes"
    );
    assert_eq!(
        store.run("qubes-prefs default_pool").stdout,
        "varlibqubes\n"
    );
    let text = fs::read_to_string(store.store_file()).unwrap();
    fs::write(
        store.store_file(),
        text.replace("name=\"slow-hdd\"", "name=\"default\""),
    )
    .unwrap();
    assert_eq!(
        default_pool("vm-pool"),
        "default\n",
        "a pool of that name comes first"
    );
}
