//! qvm-features: listing as JSON, and what is refused.

use qubes_test_support::TestSystem;

#[test]
fn lists_are_json_with_real_types() {
    let store = TestSystem::recorded("small.xml");
    let features = store.json("qvm-features work --json");
    assert_eq!(features["multiline"], "a\nb\ttab");
    assert_eq!(features.as_object().unwrap().len(), 7);
    assert_eq!(store.json("qvm-features --json work empty-false"), "");
    assert_eq!(store.run("qvm-features --json work nosuch").code, 1);
}

#[test]
fn invalid_values_are_refused_and_change_nothing() {
    let store = TestSystem::recorded("small.xml");
    store.refuses(
        1,
        "qvm-features work preload-dispvm x",
        "managed by the system",
    );
    store.refuses(1, ["qvm-features", "work", "x", "a\nb"], "printable ASCII");
}
