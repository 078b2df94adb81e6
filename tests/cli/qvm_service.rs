//! qvm-service: its two ways to name what to do, listing as JSON, and what is refused.

use qubes_test_support::TestSystem;
use serde_json::json;

#[test]
fn the_last_of_two_contradicting_options_counts() {
    let store = TestSystem::recorded("small.xml");
    for (arguments, state) in [
        (&["-e", "-d", "vault", "cups"][..], "off\n"),
        (&["-d", "-e", "vault", "cups"], "on\n"),
        (&["vault", "cups", "-d", "OFF"], "off\n"),
        (&["vault", "cups", "Yes"], "on\n"),
    ] {
        store.ok(("qvm-service", arguments));
        assert_eq!(store.ok("qvm-service vault cups"), state, "{arguments:?}");
    }
}

#[test]
fn lists_are_json_with_real_types() {
    let store = TestSystem::recorded("small.xml");
    assert_eq!(
        store.json("qvm-service --json work"),
        json!({"cups": false, "clocksync": true})
    );
    assert_eq!(store.json("qvm-service --json work cups"), false);
}

#[test]
fn invalid_values_are_refused_and_change_nothing() {
    let store = TestSystem::recorded("small.xml");
    store.refuses(1, "qvm-service work a/b on", "'service.a/b'");
    store.refuses(2, "qvm-service -e work cups off", "the opposite");
    store.refuses(
        2,
        "qvm-service -D work cups off",
        "cannot both set and unset a value",
    );
}
