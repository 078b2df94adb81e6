//! qubes-db convert, and what qubes-db says of an old store.

use crate::old_system::{CLOSED, OldSystem};

#[test]
fn a_dry_run_tells_what_would_be_done_and_does_nothing() {
    let system = OldSystem::whole();
    let told = system.ok("qubes-db convert --dry-run");
    let base = system.base();
    for line in [
        format!(
            "{} would be converted to R4 (release 4.3), after it was kept in backup/",
            system.store().display()
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
        assert!(told.lines().any(|l| l == line), "{line}\nis not in\n{told}");
    }
    assert!(
        told.contains("\nnot taken over, or not understood:\n    win7: drive="),
        "{told}"
    );
    assert!(system.is_old() && system.kept().is_empty());
    assert_eq!(system.read("appvms/work/firewall.xml"), CLOSED);
    assert!(!base.join("appvms/sys-net").exists());
}

#[test]
fn json_says_the_same() {
    let system = OldSystem::whole();
    let planned: serde_json::Value =
        serde_json::from_str(&system.ok("qubes-db convert --dry-run --json")).unwrap();
    assert_eq!(
        (&planned["needs_conversion"], &planned["converted"]),
        (&true.into(), &false.into())
    );
    let done: serde_json::Value =
        serde_json::from_str(&system.ok("qubes-db convert --json")).unwrap();
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
    let again: serde_json::Value =
        serde_json::from_str(&system.ok("qubes-db convert --json")).unwrap();
    assert_eq!(
        (&again["needs_conversion"], &again["copy"]),
        (&false.into(), &serde_json::Value::Null)
    );
}

#[test]
fn a_store_of_r4_is_left_alone() {
    let system = OldSystem::whole();
    system.ok("qubes-db convert");
    let (text, kept) = (system.text(), system.kept());
    for command in ["qubes-db convert", "qubes-db convert --dry-run"] {
        let said = format!(
            "{} is R4's already; there is nothing to do\n",
            system.store().display()
        );
        assert_eq!(system.ok(command), said);
    }
    assert_eq!((system.text(), system.kept()), (text, kept));
}

#[test]
fn check_says_what_an_old_store_is_and_what_converts_it() {
    let system = OldSystem::whole();
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
