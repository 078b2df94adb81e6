//! Links that a member of group qubes creates in the directories of the store and of qubes are not
//! followed.

use std::fs;
use std::os::unix::fs::{lchown, symlink};
use std::path::Path;

use qubes_test_support::TestSystem;

use crate::victim::{CONTENT, Victim, run_with_deadline};

const MEMBER: u32 = 54_322;

fn create_members_link(target: &Path, link: &Path) {
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    symlink(target, link).unwrap();
    lchown(link, Some(MEMBER), Some(MEMBER)).unwrap();
}

fn is_root() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        qubes_test_support::skip("making a link of another user needs root");
    }
    is_root
}

#[test]
fn store_copies_do_not_follow_a_members_link() {
    if !is_root() {
        return;
    }
    let system = TestSystem::small();
    let elsewhere = system.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let backup = system.path("var/lib/qubes/backup");
    create_members_link(&elsewhere, &backup);
    let line = system.fails(1, "qvm-prefs work memory 405");
    assert!(
        line.contains(&format!(
            "backup is a symbolic link of user {MEMBER}, not followed"
        )),
        "{line}"
    );
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    // A link of root is followed.
    lchown(&backup, Some(0), Some(0)).unwrap();
    system.ok("qvm-prefs work memory 405");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 1);
}

#[test]
fn files_of_a_qube_are_not_read_or_written_over_a_members_link() {
    if !is_root() {
        return;
    }
    let system = TestSystem::small();
    let victim = Victim::new(system.path("victim"));
    let elsewhere = system.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("notes.txt"), CONTENT).unwrap();
    create_members_link(
        &victim.path,
        &system.path("var/lib/qubes/appvms/work/notes.txt"),
    );
    create_members_link(&elsewhere, &system.path("var/lib/qubes/appvms/vault"));
    for qube in ["work", "vault"] {
        let ran = run_with_deadline(&system.command(format!("qvm-notes --print {qube}")));
        assert!(
            ran.code == 1 && !ran.stdout.contains("secret"),
            "{qube}: {ran:?}"
        );
        let ran = run_with_deadline(&system.command(format!("qvm-notes --set new {qube}")));
        assert_eq!(ran.code, 1, "{qube}: {ran:?}");
    }
    victim.assert_untouched("notes");
    assert_eq!(
        fs::read_to_string(elsewhere.join("notes.txt")).unwrap(),
        CONTENT
    );
}
