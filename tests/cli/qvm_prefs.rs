//! qvm-prefs: its surroundings: paths, terminals, limits.

use std::fs;
use std::process::Command;

use qubes_test_support::{TestSystem, binary, tool_output};

#[test]
fn options_may_follow_positionals_and_work_without_environment() {
    let store = TestSystem::recorded("small.xml");
    let root = store.root().display().to_string();
    let mut command = Command::new(binary("qvm-prefs"));
    command.args(["work", "-D", "vcpus", "--offline-mode", "--root", &root]);
    command.env_remove("QUBES_ROOT").env_remove("QUBES_OFFLINE");
    assert!(command.status().unwrap().success());
    assert_eq!(store.run("qvm-prefs work vcpus").stdout, "2\n");

    let other = store.root().join("other.xml");
    fs::copy(store.store_file(), &other).unwrap();
    store.run(format!(
        "qvm-prefs --qubesxml {} work vcpus 7",
        other.display()
    ));
    assert_eq!(
        store
            .run(format!(
                "qvm-prefs --qubesxml={} work vcpus",
                other.display()
            ))
            .stdout,
        "7\n"
    );
    assert_eq!(store.run("qvm-prefs work vcpus").stdout, "2\n");
}

#[test]
fn values_cannot_control_a_terminal() {
    let store = TestSystem::recorded("small.xml");
    let text = fs::read_to_string(store.store_file()).unwrap();
    fs::write(
        store.store_file(),
        text.replace(">quiet apparmor=1 ", ">quiet\u{9b}31m apparmor=1 "),
    )
    .unwrap();
    let shown = store.run_on_terminal("qvm-prefs work kernelopts");
    assert!(shown.stdout.starts_with("quiet_31m apparmor"), "{shown:?}");
    let piped = store.run("qvm-prefs work kernelopts");
    assert!(
        piped.stdout.starts_with("quiet\u{9b}31m apparmor"),
        "{piped:?}"
    );
}

#[test]
fn exceeding_the_file_size_limit_is_an_error() {
    let store = TestSystem::recorded("small.xml");
    let before = fs::read(store.store_file()).unwrap();
    let limit = "ulimit -f 2; exec \"$@\"";
    let mut command = Command::new("sh");
    command
        .args(["-c", limit, "sh"])
        .arg(binary("qvm-prefs"))
        .args(["work", "memory", "333", "--offline-mode", "--root"])
        .arg(store.root());
    let ran = tool_output::run(&mut command);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.stderr.contains("cannot") && ran.stderr.contains("File too large"),
        "{ran:?}"
    );
    assert_eq!(fs::read(store.store_file()).unwrap(), before);
}
