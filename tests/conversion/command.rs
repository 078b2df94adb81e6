//! qubes-db convert, and what qubes-db reports about an old store.

use crate::old_system::{OldSystem, RESTRICTIVE_R3_RULES};

#[test]
fn a_dry_run_prints_the_plan_and_changes_nothing() {
    let system = OldSystem::with_images();
    let plan = system.succeeds("qubes-db convert --dry-run");
    let base = system.base();
    for line in [
        format!(
            "{} would be converted to R4 (release 4.3), after it was kept in backup/",
            system.store_file().display()
        ),
        "    sys-net: AppVM".to_string(),
        "    varlibqubes: /var/lib/qubes".to_string(),
        format!("    {}/appvms/sys-net", base.display()),
        format!("    {}/appvms/work/firewall.xml", base.display()),
        format!(
            "    {0}/appvms/sys-firewall/firewall.xml from \
             {0}/servicevms/sys-firewall/firewall.xml",
            base.display()
        ),
    ] {
        assert!(plan.lines().any(|l| l == line), "{line}\nis not in\n{plan}");
    }
    assert!(
        plan.contains("\nnot taken over, or not understood:\n    win7: drive="),
        "{plan}"
    );
    assert!(system.is_old() && system.copy_names().is_empty());
    assert_eq!(
        system.read("appvms/work/firewall.xml"),
        RESTRICTIVE_R3_RULES
    );
    assert!(!base.join("appvms/sys-net").exists());
}

#[test]
fn json_lists_the_same_plan_and_result() {
    let system = OldSystem::with_images();
    let planned = system.run("qubes-db convert --dry-run --json").json();
    assert_eq!(
        (&planned["needs_conversion"], &planned["converted"]),
        (&true.into(), &false.into())
    );
    let done = system.run("qubes-db convert --json").json();
    assert_eq!(
        (&done["converted"], &done["release"]),
        (&true.into(), &"4.3".into())
    );
    for list in ["qubes", "pools", "directories", "firewalls", "losses"] {
        assert_eq!(done[list], planned[list], "{list}");
        assert!(!done[list].as_array().unwrap().is_empty(), "{list}");
    }
    assert_eq!(
        std::fs::read(done["copy"].as_str().unwrap()).unwrap(),
        system.before
    );
    let again = system.run("qubes-db convert --json").json();
    assert_eq!(
        (&again["needs_conversion"], &again["copy"]),
        (&false.into(), &serde_json::Value::Null)
    );
}

#[test]
fn a_store_of_r4_is_not_changed() {
    let system = OldSystem::with_images();
    system.succeeds("qubes-db convert");
    let (text, kept) = (system.store(), system.copy_names());
    for command in ["qubes-db convert", "qubes-db convert --dry-run"] {
        let said = format!(
            "{} is R4's already; there is nothing to do\n",
            system.store_file().display()
        );
        assert_eq!(system.succeeds(command), said);
    }
    assert_eq!((system.store(), system.copy_names()), (text, kept));
}

#[test]
fn check_names_the_old_format_and_the_command_that_converts_it() {
    let system = OldSystem::with_images();
    let checked = system.run("qubes-db check");
    assert_eq!(checked.code, 1, "{checked:?}");
    assert!(
        checked.stdout.contains("written by Qubes R3 or older"),
        "{checked:?}"
    );
    assert!(
        checked.stdout.contains("the next change converts it"),
        "{checked:?}"
    );
    assert!(checked.stdout.contains("qubes-db convert"), "{checked:?}");
    assert!(system.is_old());
}
