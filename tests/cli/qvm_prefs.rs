//! qvm-prefs, also for several qubes: selecting, listing and changing them.

use std::fs;
use std::process::Command;

use qubes_test_support::{TestSystem, binary, tool_output};
use serde_json::{Value as Json, json};

use crate::recording::without_ours;

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

#[test]
fn resetting_provides_network_removes_servicevm() {
    let store = TestSystem::recorded("small.xml");
    store.succeeds("qvm-features personal servicevm 1");
    store.succeeds("qvm-prefs -D personal provides_network");
    assert_eq!(store.run("qvm-features personal servicevm").code, 1);
}

fn ok(store: &TestSystem, line: &str) -> String {
    let run = store.run(line);
    assert_eq!(
        (run.code, without_ours(&run.stderr).as_str()),
        (0, ""),
        "{line}: {run:?}"
    );
    run.stdout
}

fn json(store: &TestSystem, line: &str) -> Json {
    serde_json::from_str(&ok(store, line)).unwrap()
}

#[test]
fn patterns_names_and_filters_choose_the_qubes() {
    let store = TestSystem::recorded("small.xml");
    let netvms = "sys-firewall  netvm  -  sys-net\nsys-net       netvm  -  None\n";
    assert_eq!(ok(&store, "qvm-prefs sys-f*,sys-net netvm"), netvms);
    assert_eq!(
        ok(&store, "qvm-prefs work,vault memory"),
        "work   memory  -  800\nvault  memory  D  400\n"
    );
    assert_eq!(
        ok(&store, "qvm-prefs --all --class DispVM,RemoteVM klass"),
        "remote-work  klass  D  RemoteVM\nsys-usb      klass  D  DispVM\n"
    );
    assert_eq!(
        ok(
            &store,
            "qvm-prefs --all --tags job,anon-vm --tags nosuch label"
        ),
        "personal  label  -  yellow\nwork      label  -  blue\n"
    );
    assert_eq!(
        ok(
            &store,
            "qvm-prefs --all --label red --exclude sys-net autostart"
        ),
        "default-dvm  autostart  D  False\nsys-usb      autostart  -  True\n"
    );
    assert_eq!(
        ok(&store, "qvm-prefs --hide-default vault,work vcpus"),
        "work  vcpus  -  4\n"
    );
    // dom0 and remote qubes have no such property, so they have no line.
    assert_eq!(
        ok(&store, "qvm-prefs dom0,work,remote-work virt-mode"),
        "work  virt_mode  D  pvh\n"
    );
    assert!(
        ok(&store, "qvm-prefs --all")
            .lines()
            .any(|line| line.starts_with("dom0 "))
    );
}

#[test]
fn changed_lists_values_with_their_defaults() {
    let store = TestSystem::recorded("small.xml");
    assert_eq!(
        ok(&store, "qvm-prefs --changed vault,sys-net,work memory"),
        "sys-net  memory  400 -> 425\nwork     memory  400 -> 800\n"
    );
    assert_eq!(
        ok(&store, "qvm-prefs --changed vault"),
        "vault  netvm  sys-firewall -> None\n"
    );
    assert_eq!(
        ok(&store, "qvm-prefs --changed --all kernel")
            .lines()
            .next()
            .unwrap(),
        "win10  kernel  6.6.77-1.fc37 -> ''"
    );
    assert_eq!(ok(&store, "qvm-prefs --changed --class TemplateVM"), "");
    assert_eq!(
        json(&store, "qvm-prefs --json --changed vault"),
        json!([{"name": "vault", "class": "AppVM",
                "properties": {"netvm": {
                    "value": null, "default": false, "default_value": "sys-firewall"}}}])
    );
    // An explicit value that equals the default does not differ.
    store.succeeds("qvm-prefs vault memory 400");
    assert_eq!(ok(&store, "qvm-prefs --changed vault memory"), "");
    assert_eq!(
        ok(&store, "qvm-prefs --all --hide-default memory")
            .lines()
            .filter(|l| l.starts_with("vault "))
            .count(),
        1
    );
}

#[test]
fn a_damaged_value_is_listed_as_it_is_stored() {
    let store = TestSystem::recorded("small.xml");
    let text = fs::read_to_string(store.store_file()).unwrap();
    fs::write(store.store_file(), text.replacen(">800<", ">much<", 1)).unwrap();
    assert!(
        store
            .run("qvm-prefs --changed work")
            .stdout
            .contains("work  memory            400 -> much\n")
    );
    assert_eq!(
        store.run("qvm-prefs work,vault memory").stdout,
        "work   memory  U  \nvault  memory  D  400\n"
    );
    let listed: Json =
        serde_json::from_str(&store.run("qvm-prefs --json work,vault memory").stdout).unwrap();
    assert!(
        listed[0]["properties"]["memory"]["error"]
            .as_str()
            .unwrap()
            .contains("'much'"),
        "{listed}"
    );
}

#[test]
fn several_qubes_are_changed_and_restored_together() {
    let store = TestSystem::recorded("small.xml");
    let before = fs::read(store.store_file()).unwrap();
    let changed = store.run("qvm-prefs default-dvm,vault,personal vcpus 3");
    assert_eq!(
        (changed.code, changed.stderr.as_str()),
        (0, "qvm-prefs: vcpus set: default-dvm vault personal\n")
    );
    assert_eq!(
        ok(&store, "qvm-prefs default-dvm,vault,personal vcpus"),
        "default-dvm  vcpus  -  3\nvault        vcpus  -  3\npersonal     vcpus  -  3\n"
    );
    let reset = store.run("qvm-prefs -q -D default-dvm,vault,personal vcpus");
    assert_eq!((reset.code, reset.stderr.as_str()), (0, ""));
    assert_eq!(fs::read(store.store_file()).unwrap(), before);
}

#[test]
fn a_change_applies_to_all_qubes_or_none() {
    let store = TestSystem::recorded("small.xml");
    let before = fs::read(store.store_file()).unwrap();
    for (line, exit, words) in [
        // sys-whonix comes last, and gets its network from sys-firewall: that would be a loop.
        (
            "vault,work,sys-firewall netvm sys-whonix",
            1,
            "sys-firewall: ",
        ),
        ("--all vcpus 0", 1, "nothing was changed"),
        ("work,nosuch vcpus 3", 2, "no such domain: 'nosuch'"),
        ("zz* vcpus 3", 2, "no domain matches 'zz*'"),
        (
            "dom0,remote-work vcpus 3",
            1,
            "none of the chosen qubes has vcpus; nothing was changed",
        ),
        ("--all nosuch", 2, "no such property: 'nosuch'"),
        ("--all vcpus 3 more", 2, "unrecognized arguments: more"),
        ("--changed work vcpus 3", 2, "--changed lists"),
        (
            "--exclude work vault,work vcpus 3",
            2,
            "--exclude can only be used with --all",
        ),
    ] {
        let refused = store.run(("qvm-prefs", line));
        assert_eq!(refused.code, exit, "{line}: {refused:?}");
        assert!(
            without_ours(&refused.stderr)
                .lines()
                .last()
                .unwrap()
                .contains(words),
            "{line}: {refused:?}"
        );
        assert_eq!(
            fs::read(store.store_file()).unwrap(),
            before,
            "{line} changed the store"
        );
    }
}

#[test]
fn setting_all_skips_dom0_and_qubes_without_the_property() {
    let store = TestSystem::recorded("small.xml");
    let changed = store.run("qvm-prefs --all --exclude work default_user joe");
    assert_eq!(changed.code, 0, "{changed:?}");
    let others = ok(&store, "qvm-prefs --all default_user");
    assert!(
        others
            .lines()
            .filter(|l| !l.starts_with("dom0 "))
            .all(|line| line.ends_with("  -  joe")),
        "{others}"
    );
    assert!(
        !changed.stderr.contains("dom0") && !changed.stderr.contains("remote-work"),
        "{changed:?}"
    );
}
