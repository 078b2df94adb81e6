//! qvm-tags: listing as JSON, and what is refused.

use qubes_test_support::TestSystem;
use serde_json::json;

#[test]
fn lists_are_json_with_real_types() {
    let store = TestSystem::recorded("small.xml");
    assert_eq!(
        store.json("qvm-tags --json vault"),
        json!(["audiovm-dom0", "guivm-dom0"])
    );
    assert_eq!(
        store.json("qvm-tags vault ls guivm-dom0 --json"),
        "guivm-dom0"
    );
}

#[test]
fn invalid_values_are_refused_and_change_nothing() {
    let store = TestSystem::recorded("small.xml");
    store.refuses(
        1,
        "qvm-tags work add good b!d",
        "tag 'b!d' for qube 'work' is not valid",
    );
    store.refuses(
        2,
        "qvm-tags work del",
        "qvm-tags VMNAME del: error: the following arguments",
    );
    store.refuses(2, "qvm-tags work list a b", "unrecognized arguments: b");
}
