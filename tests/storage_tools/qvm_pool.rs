//! qvm-pool: which pools can be added, where, and what keeps one from being removed.

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
fn a_request_that_breaks_a_rule_creates_nothing() {
    let system = System::new();
    for (line, words) in [
        (
            "add new nodriver",
            "driver 'nodriver' does not exist; the drivers are callback, file, file-reflink, ",
        ),
        (
            "add new file -o dir_path=/new -o nosuch=1",
            "driver file has no option 'nosuch'",
        ),
        (
            "add new lvm_thin -o volume_group=vg",
            "driver lvm_thin needs option thin_pool",
        ),
        (
            "add new file -o dir_path=new",
            "dir_path 'new' is not an absolute path",
        ),
        (
            "add new file -o dir_path=/new -o revisions_to_keep=2",
            "more than the 1 that the pool's driver can keep",
        ),
        (
            "add new file -o dir_path=/new -o revisions_to_keep=-2",
            "less than -1",
        ),
        (
            "add new file -o dir_path=/new -o ephemeral_volatile=maybe",
            "ephemeral_volatile 'maybe' is neither",
        ),
        ("add -- -new file", "'-new' is not a valid pool name"),
        ("add a/b file", "'a/b' is not a valid pool name"),
        (
            "add varlibqubes file -o dir_path=/new",
            "Storage pool is in use: 'varlibqubes'",
        ),
        (
            "add new zfs -o container=tank/qubes",
            "driver 'zfs' is not supported",
        ),
    ] {
        let refused = system.refuses(1, &format!("qvm-pool {line}"));
        assert!(
            refused.starts_with("qvm-pool: error: Failed to add pool ") && refused.contains(words),
            "{refused}"
        );
    }
    assert!(!system.path("/new").exists());
    let no_pair = system.refuses(2, "qvm-pool add new file -o dir_path");
    assert_eq!(
        no_pair,
        "qvm-pool: error: option 'dir_path' is not of the form NAME=VALUE"
    );
}

#[test]
fn options_are_changed_all_or_none() {
    let system = System::new();
    system.ok("qvm-pool set varlibqubes -o revisions_to_keep=-1 -o ephemeral_volatile=yes");
    let element = system.store();
    let element = element
        .lines()
        .find(|line| line.contains(r#"name="varlibqubes""#))
        .unwrap();
    assert!(
        element.contains(r#" revisions_to_keep="-1""#)
            && element.contains(r#" ephemeral_volatile="True""#),
        "{element}"
    );
    let info = system.ok("qvm-pool info varlibqubes");
    assert!(
        info.contains("revisions_to_keep   -1\n") && info.contains("ephemeral_volatile  True\n"),
        "{info}"
    );
    // Every release up to 4.4.0 reads the text False as true, so a false value is not stored.
    system.ok("qvm-pool set varlibqubes -o ephemeral_volatile=0");
    assert!(!system.store().contains("ephemeral_volatile"));
    let refused = system.refuses(
        1,
        "qvm-pool set varlibqubes -o revisions_to_keep=3 -o dir_path=/elsewhere",
    );
    assert_eq!(
        refused,
        "qvm-pool: error: Setting option dir_path is not supported for pool varlibqubes"
    );
    system.refuses(1, "qvm-pool set linux-kernel -o revisions_to_keep=3");
    assert_eq!(
        system.refuses(2, "qvm-pool set nosuch -o revisions_to_keep=3"),
        "qvm-pool: error: No such pools: ['nosuch']"
    );
    fs::create_dir_all(system.path("/etc/qubes")).unwrap();
    fs::write(
        system.path("/etc/qubes/core.toml"),
        "[store]\nrelease = \"4.0\"\n",
    )
    .unwrap();
    let too_new = system.refuses(1, "qvm-pool set varlibqubes -o ephemeral_volatile=1");
    assert!(
        too_new.ends_with(
            "ephemeral_volatile is not supported by Qubes OS 4.0, for which the store is written"
        ),
        "{too_new}"
    );
}

#[test]
fn r3s_syntax_has_options_separated_by_commas() {
    let system = System::new();
    system.ok("qvm-pool -o dir_path=/old,revisions_to_keep=0 -a old file");
    assert!(system.ok("qvm-pool -l").ends_with("old           file\n"));
    let both = system.ok("qvm-pool -i old -i linux-kernel");
    assert!(
        both.contains("name                old\n") && both.contains("name         linux-kernel\n"),
        "{both}"
    );
    system.ok("qvm-pool -s old -o revisions_to_keep=1,ephemeral_volatile=on");
    assert!(
        system
            .store()
            .contains(r#"driver="file" revisions_to_keep="1" ephemeral_volatile="True""#)
    );
    system.ok("qvm-pool -r old");
    assert!(!system.store().contains("/old"));
    let gone = system.run("qvm-pool -r old");
    assert_eq!(gone.code, 2);
    assert!(
        gone.stderr.starts_with(
            "usage: qvm-pool [--verbose] [--quiet] [--help] [--version] [-o options]\n"
        ),
        "{gone:?}"
    );
}

#[test]
fn several_pools_are_all_removed_or_none() {
    let system = System::new();
    for name in ["one", "two"] {
        system.ok(format!("qvm-pool add {name} file -o dir_path=/{name}"));
    }
    let unknown = system.refuses(2, "qvm-pool remove one nosuch two");
    assert_eq!(unknown, "qvm-pool: error: No such pools: ['nosuch']");
    system.ok("qvm-pool rm one two");
    assert_eq!(system.ok("qvm-pool list").lines().count(), 3);
}

#[test]
fn concurrent_adds_of_one_name_add_it_once() {
    let system = System::new();
    let children: Vec<_> = (0..8)
        .map(|n| system.spawn(format!("qvm-pool add same file -o dir_path=/same{n}")))
        .collect();
    let ran: Vec<_> = children.into_iter().map(tool_output::wait_for).collect();
    assert_eq!(ran.iter().filter(|ran| ran.code == 0).count(), 1, "{ran:?}");
    assert!(
        ran.iter()
            .filter(|ran| ran.code != 0)
            .all(|ran| ran.stderr.contains("Storage pool is in use: 'same'"))
    );
    assert_eq!(system.store().matches(r#"name="same""#).count(), 1);
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
        let info: Json =
            serde_json::from_str(&warned("qvm-pool --json info varlibqubes").stdout).unwrap();
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
