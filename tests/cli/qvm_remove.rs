//! qvm-remove: several qubes that use each other.

use qubes_test_support::TestSystem;

#[test]
fn qubes_that_use_each_other_are_removed_in_an_order_that_works() {
    let store = TestSystem::created();
    store.succeeds("qubes-prefs default_kernel 6.6.77-1.fc37");
    for line in [
        "-C TemplateVM -l black a-template",
        "-t a-template -l red --prop provides_network=True b-net",
    ] {
        assert_eq!(store.run(("qvm-create", line)).code, 0, "{line}");
    }
    store.succeeds("qvm-create -t a-template -l red --prop netvm=b-net c-client");
    store.refuses(1, "qvm-remove -f a-template b-net", "template for c-client");
    store.succeeds("qvm-remove -f a-template b-net c-client");
    assert_eq!(store.run("qvm-ls --raw-list").stdout, "dom0\n");
}
