//! The tools on qubes with volumes in a thin pool.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use qubes::storage::LvmThin;
use qubes::storage::driver::*;

use super::full::SmallPool;
use super::steps::Steps;
use super::{
    GROUP, device, existing_pool, length, locks, lvm, lvs, names, origin, pool, words, write,
};
use crate::place::MIB;

/// A store with the pool `thin`, the template `tpl` and the qube `work`.
struct System {
    root: tempfile::TempDir,
}

impl System {
    fn new() -> System {
        let system = System {
            root: tempfile::tempdir().unwrap(),
        };
        system.ok("qubes-create");
        let kernel = system.root.path().join("var/lib/qubes/vm-kernels/1.0");
        fs::create_dir_all(&kernel).unwrap();
        fs::write(kernel.join("vmlinuz"), "never booted").unwrap();
        system.ok("qubes-prefs default_kernel 1.0");
        system.ok(
            "qvm-pool add thin lvm_thin -o volume_group=qubes_dom0 -o thin_pool=vm-pool \
             -o revisions_to_keep=2",
        );
        system.ok("qvm-create -P thin -C TemplateVM -l black tpl");
        system.ok("qubes-prefs default_template tpl");
        system.ok("qvm-create -P thin -l green work");
        system
    }

    fn command(&self, line: &str) -> Command {
        // The program is beside this one.
        let mut command = Command::new(std::env::current_exe().unwrap().with_file_name("qubes"));
        command
            .args(line.split_whitespace())
            .env("QUBES_ROOT", self.root.path())
            .env("QUBES_OFFLINE", "1");
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command that has to succeed, and returns its output.
    fn ok(&self, line: &str) -> String {
        let output = self.command(line).output().unwrap();
        assert!(
            output.status.success(),
            "{line}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that has to fail, and returns its last line.
    fn refuses(&self, line: &str) -> String {
        let output = self.command(line).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{line}");
        stderr.lines().last().unwrap_or_default().to_string()
    }

    /// Creates a file of 64 MiB that begins with these words; the rest is a hole.
    fn image(&self, words: &str) -> PathBuf {
        let file = self.root.path().join("image");
        fs::write(&file, format!("{words}\0")).unwrap();
        File::options()
            .write(true)
            .open(&file)
            .unwrap()
            .set_len(64 * MIB)
            .unwrap();
        file
    }

    fn import(&self, volume: &str, words: &str) {
        self.ok(&format!(
            "qvm-volume import {volume} {}",
            self.image(words).display()
        ));
    }
}

/// Returns the size of a volume in bytes.
fn bytes(name: &str) -> u64 {
    length(Path::new(&format!("/dev/{GROUP}/{name}")))
}

#[test]
fn qvm_volume_imports_resizes_reverts_and_clones() {
    if pool().is_none() {
        return;
    }
    let system = System::new();
    assert_eq!(
        (names("tpl"), names("work")),
        (
            vec!["private".into(), "root".into()],
            vec!["private".to_string()]
        )
    );
    for text in ["one", "two", "three"] {
        system.import("work:private", text);
    }
    assert_eq!(words("vm-work-private"), "three");
    let revisions = system.ok("qvm-volume info work:private revisions");
    let revisions: Vec<&str> = revisions.lines().collect();
    assert!(
        revisions.len() == 2 && revisions.iter().all(|id| id.ends_with("-back")),
        "{revisions:?}"
    );
    system.ok("qvm-volume revert work:private");
    assert_eq!(words("vm-work-private"), "two", "the newest revision");
    system.ok(&format!("qvm-volume revert work:private {}", revisions[1]));
    assert_eq!(words("vm-work-private"), "two", "the same by its name");
    let unknown = system.refuses("qvm-volume revert work:private 7-back");
    assert!(
        unknown.starts_with("Error: volume work:private: it has no revision '7-back'; it has "),
        "{unknown}"
    );

    system.ok("qvm-volume resize work:private 96MiB");
    assert_eq!(bytes("vm-work-private"), 96 * MIB);
    system.ok("qvm-grow-private work 128M");
    assert_eq!(
        system.ok("qvm-volume info work:private size"),
        format!("{}\n", 128 * MIB)
    );
    assert_eq!(words("vm-work-private"), "two");
    system.refuses("qvm-volume resize work:private 64MiB");
    let smaller = system.refuses("qvm-volume resize --force work:private 64MiB");
    assert!(
        smaller.contains("logical volumes cannot shrink"),
        "{smaller}"
    );

    system.ok("qvm-volume clone -f work:private tpl:private");
    assert_eq!(
        (words("vm-tpl-private"), lvs("origin", "vm-tpl-private")),
        ("two".into(), "vm-work-private".into())
    );
    system.ok("qvm-clone -P thin work copy");
    assert_eq!(
        (words("vm-copy-private"), lvs("origin", "vm-copy-private")),
        ("two".into(), "vm-work-private".into())
    );
    system.ok("qvm-volume clear -f work:private");
    assert_eq!(
        (words("vm-work-private"), words("vm-copy-private")),
        (String::new(), "two".into())
    );
    system.ok("qvm-volume config copy:private revisions_to_keep -1");
    assert!(
        system
            .ok("qvm-volume info copy:private")
            .contains("revisions_to_keep  -1 (snapshot disabled)\n")
    );
}

#[test]
fn changes_of_a_template_are_committed_reverted_and_trimmed() {
    if pool().is_none() {
        return;
    }
    let system = System::new();
    system.import("tpl:root", "installed");
    // A crash: the template ran and was not stopped.
    let root = origin("tpl", "root");
    existing_pool().start(&root).unwrap();
    write(&device(&existing_pool(), &root), "updated");
    assert_eq!(words("vm-tpl-root"), "installed");
    system.ok("qvm-template-commit tpl");
    assert_eq!(words("vm-tpl-root"), "updated");
    assert!(
        !names("tpl").contains(&"root-snap".to_string()),
        "{:?}",
        names("tpl")
    );

    system.ok("qvm-revert-template-changes --force tpl");
    assert_eq!(words("vm-tpl-root"), "installed");
    system.ok("qvm-revert-template-changes --force tpl");
    assert_eq!(
        words("vm-tpl-root"),
        "updated",
        "what was reverted became the revision"
    );

    // Written zeros take space; without them the data are the same.
    existing_pool().start(&root).unwrap();
    let guest = File::options()
        .write(true)
        .open(device(&existing_pool(), &root))
        .unwrap();
    std::os::unix::fs::FileExt::write_all_at(&guest, &vec![0; 16 * MIB as usize], 4 * MIB).unwrap();
    guest.sync_all().unwrap();
    drop(guest);
    existing_pool().stop(&root).unwrap();
    assert!(existing_pool().usage(&root).unwrap() >= 16 * MIB);
    let trimmed = system.ok("qvm-trim-template -q tpl");
    assert!(
        trimmed.starts_with("tpl: ")
            && trimmed.ends_with(" of zeros in its root volume are holes now\n"),
        "{trimmed}"
    );
    assert!(existing_pool().usage(&root).unwrap() < MIB);
    assert_eq!(words("vm-tpl-root"), "updated");
    system.ok("qvm-grow-root tpl 80M");
    assert_eq!(bytes("vm-tpl-root"), 80 * MIB);
}

#[test]
fn a_listing_of_all_volumes_calls_lvs_once() {
    if pool().is_none() {
        return;
    }
    let system = System::new();
    system.ok("qvm-create -P thin -l red other");
    let columns = "name,disk,priv-max,priv-curr,priv-used,root-max,root-curr,root-used";
    for line in [
        &*format!("qvm-ls --raw-data -O {columns}"),
        "qvm-volume list",
        "qvm-volume --json list",
        "qvm-pool info thin",
    ] {
        let steps = Steps::counted();
        let output = steps.apply_to(&mut system.command(line)).output().unwrap();
        assert!(
            output.status.success(),
            "{line}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!((steps.questions(), steps.changes()), (1, vec![]), "{line}");
    }
    let listed = system.ok("qvm-volume list -p thin");
    for volume in [
        "vm-tpl-root",
        "vm-tpl-private",
        "vm-work-private",
        "vm-other-private",
    ] {
        assert!(listed.contains(volume), "{listed}");
    }
}

#[test]
fn removals_leave_nothing_and_orphans_are_found() {
    if pool().is_none() {
        return;
    }
    let system = System::new();
    system.import("work:private", "kept");
    system.ok("qvm-remove -f work");
    assert_eq!(names("work"), Vec::<String>::new());
    let lost = origin("lost", "private");
    existing_pool().create(&lost).unwrap();
    assert_eq!(
        system.ok("qubes-recover --list-orphans"),
        "thin:qubes_dom0/vm-lost-private\n"
    );
    system.ok("qubes-recover --remove-orphans --yes");
    assert_eq!(names("lost"), Vec::<String>::new());
    assert_eq!(names("tpl"), ["private", "root"]);
}

#[test]
fn a_full_pool_refuses_and_warns_before_it_is_full() {
    if pool().is_none() {
        return;
    }
    let system = System::new();
    let _small = SmallPool::new();
    system.ok("qvm-pool add little lvm_thin -o volume_group=qubes_dom0 -o thin_pool=small");
    system.ok("qvm-create -P little -l red kept");
    system.import("kept:private", "old");
    let big = system.root.path().join("big");
    fs::write(&big, vec![b'x'; 40 * MIB as usize]).unwrap();
    let refused = system.refuses(&format!("qvm-volume import kept:private {}", big.display()));
    assert!(refused.contains(SmallPool::FULL), "{refused}");
    assert_eq!(words("vm-kept-private"), "old");

    let little = LvmThin::new("little", GROUP, "small", locks());
    let private = origin("kept", "private");
    little.start(&private).unwrap();
    let guest = File::options()
        .write(true)
        .open(device(&little, &private))
        .unwrap();
    std::os::unix::fs::FileExt::write_all_at(&guest, &vec![b'x'; 30 * MIB as usize], 0).unwrap();
    guest.sync_all().unwrap();
    drop(guest);
    for (tool, line) in [("qvm-ls", "qvm-ls -d"), ("qvm-pool", "qvm-pool")] {
        let output = system.command(line).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.success()
                && stderr.starts_with(&format!("{tool}: pool little is nearly full: 9")),
            "{stderr}"
        );
    }
    let guest = File::options()
        .write(true)
        .open(device(&little, &private))
        .unwrap();
    assert!(super::full::too_much(&guest).is_err());
    drop(guest);
    let refused = system.refuses("qvm-create -P little -l red second");
    assert!(refused.contains(SmallPool::FULL), "{refused}");
    let refused = system.refuses("qvm-clone -P little kept second");
    assert!(refused.contains(SmallPool::FULL), "{refused}");
    // The data that the guest has written are committed all the same.
    system.ok("qubes-recover");
    assert_eq!(names("kept"), ["private", "private-T-back"]);
    assert!(words("vm-kept-private").starts_with("xxxx"));
    system.ok("qvm-remove -f kept");
    assert_eq!(
        lvm(&[
            "lvs",
            "--noheadings",
            "-o",
            "lv_name",
            "-S",
            "pool_lv=small",
            GROUP
        ])
        .trim(),
        ""
    );
}
