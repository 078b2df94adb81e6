//! Pools on file systems of their own: adding, removing, and their space.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use qubes_test_support::{FileSystem, tool_output};
use serde_json::Value as Json;

use crate::system::{MIB, System};

#[test]
fn a_pool_is_prepared_added_used_and_removed() {
    for (kind, system) in System::everywhere() {
        // ext4 cannot share blocks: images are copied there, if an option allows it.
        let extra = if kind == FileSystem::Ext4 {
            " -o setup_check=no"
        } else {
            ""
        };
        system.ok(format!(
            "qvm-pool add fast file-reflink -o dir_path=/fast -o revisions_to_keep=2{extra}"
        ));
        for directory in ["/fast", "/fast/appvms", "/fast/vm-templates"] {
            let mode = fs::metadata(system.path(directory))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o7777, 0o2770, "{kind:?} {directory}");
        }
        let element =
            r#"<pool name="fast" dir_path="/fast" driver="file-reflink" revisions_to_keep="2"/>"#;
        assert!(
            system.store().contains(element),
            "{kind:?}: upstream's attributes in its order: {}",
            system.store()
        );

        system.ok("qvm-create -l red -P fast fresh");
        assert_eq!(
            fs::metadata(system.path("/fast/appvms/fresh/private.img"))
                .unwrap()
                .len(),
            2048 * MIB
        );
        assert_eq!(
            system.ok("qvm-volume info fresh:private revisions_to_keep"),
            "2\n"
        );
        let used = system.refuses(1, "qvm-pool remove fast");
        assert_eq!(
            used,
            "qvm-pool: error: Failed to remove pool fast: Storage pool is in use: 'fast': \
             fresh:private is in it, \
             fresh:volatile is in it"
        );
        system.ok("qvm-remove -f fresh");
        system.ok("qubes-prefs default_pool_volatile fast");
        let default = system.refuses(1, "qvm-pool remove fast");
        assert!(
            default.ends_with("Storage pool is in use: 'fast': it is default_pool_volatile"),
            "{default}"
        );
        system.ok("qubes-prefs -D default_pool_volatile");
        system.ok("qvm-pool remove fast");
        assert!(!system.store().contains("fast"));
        assert!(
            system.path("/fast/appvms").is_dir(),
            "what lies there stays"
        );
    }
}

#[test]
fn without_shared_blocks_a_reflink_pool_is_refused_and_leaves_nothing() {
    let Some(system) = System::on(FileSystem::Ext4) else {
        return;
    };
    let refused = system.refuses(1, "qvm-pool add fast file-reflink -o dir_path=/fast");
    assert!(
        refused.contains("files in /fast cannot share blocks"),
        "{refused}"
    );
    assert!(!system.path("/fast").exists());
    system.ok("qvm-pool add slow file -o dir_path=/slow");
    assert!(system.path("/slow/appvms").is_dir());
}

#[test]
fn a_pool_shows_its_space_and_warns_before_it_is_full() {
    let Some(system) = System::on(FileSystem::Xfs) else {
        return;
    };
    // The disk is the test's own.
    let warned =
        |line: &str| tool_output::run(system.command(line).env_remove("QUBES_NEARLY_FULL"));
    let pools =
        |system: &System| -> Json { serde_json::from_str(&system.ok("qvm-pool --json")).unwrap() };
    let before = pools(&system);
    let size = before[0]["size"].as_u64().unwrap();
    assert!((300 * MIB..=400 * MIB).contains(&size), "{before}");
    assert!(
        before[0]["usage"].as_u64().unwrap() < size / 4 && before[0]["nearly_full"] == false,
        "{before}"
    );
    assert_eq!(before[1]["included_in"], "varlibqubes");
    assert_eq!(
        (&before[1]["size"], &before[1]["usage"]),
        (&Json::Null, &Json::Null)
    );

    // A file beside the pool: whatever fills the disk, the pool has no space.
    let hog = fs::File::create(system.path("/hog")).unwrap();
    let mut filled = 0;
    loop {
        filled += 8 * MIB;
        let (from, flags) = (
            i64::try_from(filled - 8 * MIB).unwrap(),
            nix::fcntl::FallocateFlags::empty(),
        );
        nix::fcntl::fallocate(&hog, flags, from, 8 << 20).unwrap();
        nix::unistd::sync();
        let info = warned("qvm-pool --json info varlibqubes").json();
        let percent = info["usage"].as_u64().unwrap() * 100 / size;
        assert_eq!(info["nearly_full"], percent >= 90, "{info}");
        if percent >= 90 {
            break;
        }
    }
    for line in [
        "qvm-pool",
        "qvm-pool info varlibqubes",
        "qvm-ls",
        "qvm-ls -d",
        "qvm-ls --json",
    ] {
        let ran = warned(line);
        let tool = line.split_whitespace().next().unwrap();
        assert_eq!(
            (ran.code, ran.stderr.lines().count()),
            (0, 1),
            "{line}: {ran:?}"
        );
        assert!(
            ran.stderr
                .starts_with(&format!("{tool}: pool varlibqubes is nearly full: 9")),
            "{line}: {ran:?}"
        );
        assert!(!ran.stdout.contains("nearly full"), "{line}");
    }
    for line in ["qvm-ls --raw-list", "qvm-ls --raw-data -O name"] {
        assert_eq!(warned(line).stderr, "", "{line}");
    }
    // The threshold can be set for one command or for all.
    let asked = tool_output::run(system.command("qvm-ls").env("QUBES_NEARLY_FULL", "101"));
    assert_eq!((asked.code, &*asked.stderr), (0, ""));
    fs::create_dir_all(system.path("/etc/qubes")).unwrap();
    fs::write(
        system.path("/etc/qubes/core.toml"),
        "[storage]\nnearly_full = 101\n",
    )
    .unwrap();
    assert_eq!(warned("qvm-ls").stderr, "");
}
