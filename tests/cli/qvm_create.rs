//! qvm-create: what a new qube gets, from options and properties.

use std::fs;

use qubes_test_support::TestSystem;

#[test]
fn a_standalone_qube_from_a_template_is_its_copy() {
    let store = TestSystem::created();
    store.succeeds("qubes-prefs default_kernel 6.6.77-1.fc37");
    let image = store.root().join("root.img");
    fs::write(&image, "the system of the template".repeat(1000)).unwrap();
    let template = format!(
        "-C TemplateVM -l black --prop memory=777 --root-copy-from {} tpl",
        image.display()
    );
    store.succeeds(("qvm-create", &template));
    store.succeeds("qvm-create --standalone -t tpl -l red own");
    assert_eq!(
        store
            .run("qvm-ls --raw-data -O name,class,label,memory,template own")
            .stdout,
        "own|StandaloneVM|red|-|-\n"
    );
    assert_eq!(store.run("qvm-prefs own memory").stdout, "777\n");
    let copy = fs::read(store.root().join("var/lib/qubes/appvms/own/root.img")).unwrap();
    assert!(copy.starts_with(b"the system of the template"));
    let moved = format!("-C TemplateVM -l black -R {} moved", image.display());
    store.succeeds(("qvm-create", &moved));
    assert!(!image.exists(), "a moved image is gone");
}

#[test]
fn label_template_and_name_can_be_given_as_properties() {
    let store = TestSystem::created();
    store.succeeds("qubes-prefs default_kernel 6.6.77-1.fc37");
    store.succeeds("qvm-create -C TemplateVM --prop label=black --prop name=tpl");
    store.succeeds("qvm-create --prop label=red --prop template=tpl --prop label=blue app");
    assert_eq!(
        store
            .run("qvm-ls --raw-data -O name,label,template app")
            .stdout,
        "app|blue|tpl\n"
    );
    store.succeeds("qvm-create --prop label=red -l green -t tpl other");
    assert_eq!(store.run("qvm-prefs other label").stdout, "green\n");
}

#[test]
fn a_label_is_given_by_name_at_creation() {
    let store = TestSystem::recorded("small.xml");
    for (label, code, words) in [
        ("1", 1, "Label must not be a digit"),
        ("label-2", 2, "no such label: 'label-2'"),
        ("x", 2, "no such label"),
    ] {
        let ran = store.run(["qvm-create", "-l", label, "n1"]);
        assert!(
            ran.code == code && ran.stderr.contains(words),
            "{label}: {ran:?}"
        );
    }
    store.succeeds("qvm-prefs work label 1");
    for (arguments, words) in [
        (&["-l", "red", ""][..], "VMNAME is mandatory"),
        (&["-l", "", "n1"], "--label option is mandatory"),
    ] {
        let ran = store.run(("qvm-create", arguments));
        assert!(
            ran.code == 2 && ran.stderr.contains(words),
            "{arguments:?}: {ran:?}"
        );
    }
    let ran = store.run(["qvm-create", "-l", "red", "-t", "", "n1"]);
    assert_eq!(ran.code, 0, "the default template counts: {ran:?}");
}
