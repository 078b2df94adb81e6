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
