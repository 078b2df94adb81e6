//! qubes-create: the first store of a system.

use qubes_test_support::TestSystem;

#[test]
fn a_new_store_without_kernel_and_template_is_sound() {
    let store = TestSystem::created();
    let listed = store.run("qubes-prefs").stdout;
    let row = |name: &str| {
        listed
            .lines()
            .find(|line| line.split_whitespace().next() == Some(name))
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        row("default_template")
            .split_whitespace()
            .collect::<Vec<_>>(),
        ["default_template", "D", "None"]
    );
    assert!(
        !row("default_kernel").contains(" U"),
        "{}",
        row("default_kernel")
    );
    let explicit = store.run("qubes-prefs --hide-default").stdout;
    assert!(
        !explicit.contains("default_template") && !explicit.contains(" U"),
        "{explicit}"
    );
    let ran = store.run("qubes-prefs default_template");
    assert_eq!((ran.code, &*ran.stdout, &*ran.stderr), (0, "", ""));
}
