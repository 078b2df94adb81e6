//! qvm-features: what is refused.

use qubes_test_support::TestSystem;

#[test]
fn a_line_break_is_refused_and_changes_nothing() {
    let store = TestSystem::recorded("small.xml");
    store.refuses(1, ["qvm-features", "work", "x", "a\nb"], "printable ASCII");
}
