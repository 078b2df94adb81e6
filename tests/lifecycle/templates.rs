//! Which qubes can be based on which, and which cannot run at the same time.

use std::fs;

use qubes_test_support::TestSystem;

use crate::systems::{create, system};

#[test]
fn a_dry_run_checks_class_and_template_without_creating_a_qube() {
    let system = TestSystem::empty().online().with_template();
    create(&system, "dvm", "");
    let before = (system.store(), system.images("appvms"));
    let asked = |arguments: &[&str]| {
        system.run((
            "qvm-create",
            &[&["--dry-run", "--label", "red"], arguments].concat(),
        ))
    };
    for arguments in [
        &["new"][..],
        &["--template", "tpl", "--property", "memory=100", "new"],
        &["--class", "StandaloneVM", "--template", "tpl", "new"],
        &["--class", "TemplateVM", "new"],
    ] {
        let ran = asked(arguments);
        assert_eq!(
            (ran.code, &*ran.stdout, &*ran.stderr),
            (0, "", ""),
            "{arguments:?}"
        );
    }
    for (arguments, words) in [
        (
            &["--template", "dvm", "new"][..],
            "wrong VM class: domains['dvm'] is of type AppVM and not TemplateVM",
        ),
        (
            &["--class", "DispVM", "--template", "dvm"],
            "needs to be an AppVM with template_for_dispvms=True",
        ),
        (
            &["--class", "DispVM", "--template", "tpl", "new"],
            "needs to be an AppVM with template_for_dispvms=True",
        ),
        (
            &["--class", "TemplateVM", "--template", "tpl", "new"],
            "a TemplateVM has no template",
        ),
        (&["dvm"], "Qube already exists: dvm"),
    ] {
        let ran = asked(arguments);
        assert_eq!(
            (ran.code, ran.complaints().count()),
            (1, 1),
            "{arguments:?}: {ran:?}"
        );
        assert!(
            ran.stderr.starts_with("app: Error creating VM: ") && ran.stderr.contains(words),
            "{ran:?}"
        );
    }
    // The same error as at the creation itself.
    let ran = asked(&["--property", "netvm=tpl", "new"]);
    let words = "app: Error setting property netvm (no VM created): \
                 The tpl qube does not provide network\n";
    assert_eq!((ran.code, &*ran.stderr), (2, words));
    assert!(
        before == (system.store(), system.images("appvms")),
        "nothing was made"
    );
    system.succeeds("qvm-prefs dvm template_for_dispvms True");
    assert_eq!(asked(&["--class", "DispVM", "--template", "dvm"]).code, 0);
}

#[test]
fn a_template_whose_volume_keeps_no_snapshots_and_its_qube_do_not_run_at_once() {
    let Some(system) = system() else { return };
    // A qube of another virt_mode, based on a template.
    create(&system, "hvm", "");
    system.succeeds("qvm-prefs hvm virt_mode hvm");
    system.succeeds("qvm-start tpl hvm");
    assert_eq!(
        (system.state("tpl"), system.state("hvm")),
        ("Running".to_string(), "Running".to_string())
    );
    system.succeeds("qvm-kill --all");

    let store = system.path("/var/lib/qubes/qubes.xml");
    let text = system.store();
    let root = "vid=\"vm-templates/tpl/root\" revisions_to_keep=\"1\"";
    assert_eq!(text.matches(root).count(), 1, "{text}");
    fs::write(&store, text.replace(root, &root.replace('1', "-1"))).unwrap();
    system.succeeds("qvm-start tpl");
    let line = system.fails(1, "qvm-start hvm");
    let reason = "its volume root is based on that of tpl, which runs and keeps no snapshots of it \
                  (revisions_to_keep is -1): shut tpl down first";
    assert_eq!(
        line,
        format!("Error: Starting qube failed: hvm: cannot start hvm: {reason}")
    );
    system.succeeds("qvm-kill tpl");
    system.succeeds("qvm-start hvm");
}
