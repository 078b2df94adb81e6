//! A full pool: each tool that needs space says so in one line and changes nothing.

use std::fs::File;
use std::os::unix::fs::FileExt;

use qubes_test_support::tool_output;

use crate::small_pool::{OLD, SmallPool};
use crate::system::random_bytes;

#[test]
fn start_clone_and_import_fail_without_changes_and_a_commit_needs_no_space() {
    let Some(pool) = SmallPool::new() else { return };
    let live = &pool.live;
    let (old, new) = (
        random_bytes(OLD, 1),
        live.system.file("new", &random_bytes(OLD, 2)),
    );
    live.ok("qvm-start busy");
    let disk = File::options()
        .write(true)
        .open(pool.image("busy/private-dirty.img"))
        .unwrap();
    disk.write_all_at(b"synced by the guest", 0).unwrap();
    disk.sync_all().unwrap();

    let told = |line: &str| tool_output::run(live.command(line).env_remove("QUBES_NEARLY_FULL"));
    let before = told("qvm-pool");
    assert_eq!((before.code, &*before.stderr), (0, ""), "there is room");
    pool.fill();
    for line in ["qvm-pool", "qvm-pool info small", "qvm-ls"] {
        let warned = told(line);
        assert!(
            warned.code == 0 && warned.stderr.contains("pool small is nearly full: 9"),
            "{line}: {warned:?}"
        );
    }
    let names = pool.names();
    pool.fails("qvm-start idle", &["idle"]);
    pool.fails("qvm-clone -q -P small idle copy", &["copy"]);
    pool.fails(
        &format!("qvm-volume import idle:private {}", new.display()),
        &["idle:private"],
    );
    pool.fails(
        "qvm-volume clone -f busy:private idle:private",
        &["idle:private"],
    );
    assert_eq!(pool.names(), names, "nothing is left of what failed");
    assert!(
        !live.run("qvm-ls --raw-list").stdout.contains("copy"),
        "there is no half a qube"
    );
    assert!(pool.bytes("idle/private.img") == old);

    // The guest ends and its data are committed: the old image becomes a revision without a copy.
    live.ok("qvm-kill busy");
    assert!(
        pool.bytes("busy/private.img")
            .starts_with(b"synced by the guest")
    );
    assert!(!pool.image("busy/private-dirty.img").exists());

    pool.free_space();
    live.ok("qubes-recover");
    assert!(
        pool.bytes("busy/private.img")
            .starts_with(b"synced by the guest")
    );
    live.ok("qvm-clone -q -P small busy copy");
    live.ok(&format!("qvm-volume import idle:private {}", new.display()));
    live.ok("qvm-start idle");
    for qube in ["idle", "busy", "copy"] {
        live.run(&format!("qvm-kill {qube}"));
        live.ok(&format!("qvm-remove -f {qube}"));
    }
    assert!(
        pool.names().iter().all(|name| name.starts_with("base/")),
        "{:?}",
        pool.names()
    );
}
