//! Members of group qubes can work after a boot: RUN is created before any qube is started.

use std::fs;
use std::os::unix::fs::MetadataExt;

use qubes_test_support::TestSystem;

#[test]
fn recovery_at_boot_creates_run_for_members() {
    // Without a qube, so that nothing else creates RUN.
    let system = TestSystem::empty().online();
    system.succeeds("qubes-create --offline-mode");
    let run = system.path("run/qubes");
    let _as_after_a_boot = fs::remove_dir_all(&run);
    system.succeeds("qubes-recover --at-boot");
    for part in ["", "lock", "vm", "stop", "log", "console"] {
        let made = fs::metadata(run.join(part)).unwrap();
        assert_eq!(made.mode() & 0o7777, 0o2770, "{part}");
    }
}

/// The installed files for the boot agree with the code.
#[test]
fn the_files_for_the_boot_name_directory_and_group() {
    let read = |path: &str| {
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/").to_string() + path).unwrap()
    };
    let directories = read("tmpfiles.d/qubes.conf");
    for part in ["", "/lock", "/vm", "/stop", "/log", "/console"] {
        let line = format!("d /run/qubes{part} 2770 root qubes -");
        assert!(
            directories
                .lines()
                .any(|l| l.split_whitespace().eq(line.split_whitespace())),
            "{line}"
        );
    }
    assert!(
        read("sysusers.d/qubes.conf")
            .lines()
            .any(|line| line.split_whitespace().eq(["g", "qubes", "-"]))
    );
}
