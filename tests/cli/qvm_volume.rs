//! qvm-volume: what it stores of options, JSON, and driver `file`.

use std::fs;

use qubes_test_support::TestSystem;
use qubes_test_support::volumes::{MIB, random_bytes};
use serde_json::{Value as Json, json};

fn import(system: &TestSystem, volume: &str, bytes: &[u8]) {
    system.write("/data", bytes);
    system.ok(format!(
        "qvm-volume import {volume} {}",
        system.path("/data").display()
    ));
}

#[test]
fn options_are_checked_and_stored_as_upstream_reads_them() {
    let system = TestSystem::furnished();
    let before = system.store();
    system.ok("qvm-volume config work:private revisions_to_keep 5");
    system.ok("qvm-volume config work:private revisions_to_keep 1");
    assert_eq!(
        system.store(),
        before,
        "what is set and set back leaves the same file"
    );
    system.ok("qvm-volume config work:private revisions_to_keep 5");
    assert_eq!(
        system
            .stored_attribute("work", "private", "revisions_to_keep")
            .unwrap(),
        "5"
    );
    system.ok("qvm-volume set work:private revisions_to_keep -1");
    assert!(
        system
            .ok("qvm-volume info work:private")
            .contains("revisions_to_keep  -1 (snapshot disabled)\n")
    );
    assert_eq!(
        system.ok("qvm-volume info work:private revisions_to_keep"),
        "-1\n"
    );
    system.ok("qvm-volume c work:private rw False");
    assert_eq!(system.ok("qvm-volume info work:private rw"), "False\n");
    system.ok("qvm-volume s work:private rw on");
    assert_eq!(
        system.stored_attribute("work", "private", "rw").unwrap(),
        "True"
    );
    system.ok("qvm-volume config work:volatile ephemeral True");
    let element = system.store();
    let element = element
        .lines()
        .find(|l| l.contains(r#"vid="appvms/work/volatile""#))
        .unwrap();
    assert!(
        element.contains(r#" rw="True" ephemeral="True" size=""#),
        "upstream's order: {element}"
    );
    system.ok("qvm-volume config work:volatile ephemeral False");
    assert_eq!(
        system.stored_attribute("work", "volatile", "ephemeral"),
        None
    );
}

#[test]
fn json_has_typed_values_and_null_for_unknown_ones() {
    let system = TestSystem::furnished();
    import(&system, "work:private", &random_bytes(MIB, 1));
    let one = system.json("qvm-volume --json info work:private");
    assert_eq!(
        (&one["size"], &one["rw"], &one["source"]),
        (&json!(MIB), &json!(true), &Json::Null)
    );
    assert!(one["usage"].as_u64().unwrap() >= MIB, "{one}");
    let size = system.json("qvm-volume --json info work:private size");
    assert_eq!(size, json!(MIB));
    let all = system.json("qvm-volume --json list work");
    assert_eq!(all.as_array().unwrap().len(), 4);
    let kernel = system.json("qvm-volume --json info work:kernel usage");
    assert_eq!(kernel, Json::Null);
}

#[test]
fn driver_file_has_the_same_commands_and_rules_of_its_own() {
    let system = TestSystem::furnished();
    system.ok("qvm-pool add old file -o dir_path=/old");
    system.ok("qvm-create -l red -P old plain");
    let data = random_bytes(2 * MIB, 1);
    import(&system, "plain:private", &data);
    let image = system.path("/old/appvms/plain/private.img");
    assert!(fs::read(&image).unwrap() == data);
    system.ok("qvm-volume resize plain:private 4MiB");
    assert_eq!(fs::metadata(&image).unwrap().len(), 4 * MIB);
    let line = "qvm-volume resize --force plain:private 1MiB";
    system.refuses(1, line, "images of driver 'file' cannot shrink");
    system.ok("qvm-volume clone -f plain:private work:private");
    let copy = fs::read(system.image("appvms/work/private.img")).unwrap();
    assert!(copy.starts_with(&data));
    let line = "qvm-volume config plain:private revisions_to_keep 2";
    let words = "revisions_to_keep '2' is more than the 1 that the pool's driver can keep";
    system.refuses(1, line, words);
    system.ok("qvm-volume clear -f plain:private");
    assert!(fs::read(&image).unwrap().iter().all(|byte| *byte == 0));
}
