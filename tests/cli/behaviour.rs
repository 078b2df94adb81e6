//! Behaviour without recordings: JSON, offline mode, errors, broken pipes, terminals.

use std::fs;
use std::process::{Command, Stdio};

use qubes_test_support::{TestSystem, tool_output};

#[test]
fn json_has_real_types() {
    let store = TestSystem::recorded("small.xml");
    let listed =
        store.run("qvm-ls --json -O name,state,vcpus,netvm,autostart,priv-max,tags work sys-net");
    let list: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    let expected = serde_json::json!([
        {"name": "sys-net", "state": "Halted", "vcpus": 2, "netvm": null, "autostart": true,
         "priv_max": 2147483648_u64, "tags": ["audiovm-dom0", "guivm-dom0"]},
        {"name": "work", "state": "Halted", "vcpus": 4, "netvm": "sys-firewall", "autostart": false,
         "priv_max": 2147483648_u64,
         "tags": ["audiovm-dom0", "created-by-dom0", "guivm-dom0", "job", "zz-last"]}
    ]);
    assert_eq!(list, expected);

    let prefs = store.run("qvm-prefs --json work");
    let prefs: serde_json::Value = serde_json::from_str(&prefs.stdout).unwrap();
    assert_eq!(
        prefs["vcpus"],
        serde_json::json!({"value": 4, "default": false})
    );
    assert_eq!(
        prefs["netvm"],
        serde_json::json!({"value": "sys-firewall", "default": true})
    );
    assert_eq!(
        store.run("qubes-prefs --json clockvm").stdout,
        "\"sys-net\"\n"
    );
}

#[test]
fn options_may_follow_positionals_and_work_without_environment() {
    let store = TestSystem::recorded("small.xml");
    let root = store.root().display().to_string();
    let mut command = Command::new("qvm-prefs");
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
fn errors_have_one_line_and_the_documented_code() {
    let store = TestSystem::recorded("small.xml");
    store.refuses(2, "qvm-prefs nope vcpus 3", "no such domain: 'nope'");
    store.refuses(1, "qvm-prefs work vcpus 0", "vcpus must be positive");
    store.refuses(1, "qvm-prefs work label pink", "Label does not exist: pink");
    store.refuses(
        1,
        "qvm-prefs work kernel 9.9.9",
        "Kernel '9.9.9' not installed",
    );
    store.refuses(2, "qvm-prefs zz* vcpus", "no domain matches 'zz*'");
    store.refuses(1, "qvm-start work", "offline");
    store.refuses(
        1,
        "qvm-ls --qubesxml /nonexistent/qubes.xml",
        "/nonexistent/qubes.xml",
    );
}

#[test]
fn without_a_hypervisor_a_listing_lacks_only_states() {
    let store = TestSystem::recorded("small.xml");
    let live = |line: &str| {
        let mut command = store.command(line);
        command.env_remove("QUBES_OFFLINE").env(
            "QUBES_LIBVIRT_URI",
            "qemu+unix:///session?socket=/nonexistent",
        );
        let ran = tool_output::run(&mut command);
        (ran.stdout, ran.stderr, ran.code)
    };
    let (stdout, stderr, code) = live("qvm-ls --raw-data -O name,state,label dom0 work vault");
    assert_eq!(
        (stdout.as_str(), code),
        ("dom0|Running|black\nvault|NA|teal\nwork|NA|blue\n", 0)
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(
        stderr.starts_with("qvm-ls: power states are not available: "),
        "{stderr}"
    );
    let (stdout, stderr, code) = live("qvm-ls --raw-data -O name,label work");
    assert_eq!(
        (stdout.as_str(), stderr.as_str(), code),
        ("work|blue\n", "", 0),
        "nobody asked for states"
    );
    let (_, stderr, code) = live("qvm-check --running work");
    assert!(
        code == 1 && stderr.contains("power states are not available"),
        "{stderr}"
    );
}

#[test]
fn an_invalid_store_is_refused_in_one_line() {
    for text in [
        "",
        "no xml at all",
        "<qubes><domains>",
        "<!DOCTYPE x [<!ENTITY e 'e'>]><qubes>&e;</qubes>",
    ] {
        let store = TestSystem::recorded("small.xml");
        fs::write(store.store_file(), text).unwrap();
        store.refuses(1, "qvm-ls", "qubes.xml");
        store.refuses(1, "qvm-prefs work vcpus 3", "qubes.xml");
    }
}

#[test]
fn a_closed_pipe_does_not_panic() {
    let store = TestSystem::recorded("small.xml");
    let mut command = store.command("qvm-ls");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command
        .stdout(Stdio::from(writer))
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
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
fn qubes_that_use_each_other_are_removed_in_an_order_that_works() {
    let store = TestSystem::created();
    store.succeeds("qubes-prefs default_kernel 6.6.77-1.fc37");
    for line in [
        "-C TemplateVM -l black a-template",
        "-t a-template -l red --prop provides_network=True b-net",
    ] {
        assert_eq!(store.run(("qvm-create", line)).code, 0, "{line}");
    }
    store.succeeds("qvm-create -t a-template -l red --prop netvm=b-net c-client");
    store.refuses(1, "qvm-remove -f a-template b-net", "template for c-client");
    store.succeeds("qvm-remove -f a-template b-net c-client");
    assert_eq!(store.run("qvm-ls --raw-list").stdout, "dom0\n");
}

#[test]
fn a_standalone_qube_from_a_template_is_its_copy() {
    let store = TestSystem::created();
    store.succeeds("qubes-prefs default_kernel 6.6.77-1.fc37");
    let image = store.root().join("root.img");
    fs::write(&image, "the system of the template".repeat(1000)).unwrap();
    let template = format!(
        "-C TemplateVM -l black --prop memory=777 --root-copy-from {} tpl",
        image.display()
    );
    store.succeeds(("qvm-create", &template));
    store.succeeds("qvm-create --standalone -t tpl -l red own");
    assert_eq!(
        store
            .run("qvm-ls --raw-data -O name,class,label,memory,template own")
            .stdout,
        "own|StandaloneVM|red|-|-\n"
    );
    assert_eq!(store.run("qvm-prefs own memory").stdout, "777\n");
    let copy = fs::read(store.root().join("var/lib/qubes/appvms/own/root.img")).unwrap();
    assert!(copy.starts_with(b"the system of the template"));
    let moved = format!("-C TemplateVM -l black -R {} moved", image.display());
    store.succeeds(("qvm-create", &moved));
    assert!(!image.exists(), "a moved image is gone");
}

#[test]
fn label_template_and_name_can_be_given_as_properties() {
    let store = TestSystem::created();
    store.succeeds("qubes-prefs default_kernel 6.6.77-1.fc37");
    store.succeeds("qvm-create -C TemplateVM --prop label=black --prop name=tpl");
    store.succeeds("qvm-create --prop label=red --prop template=tpl --prop label=blue app");
    assert_eq!(
        store
            .run("qvm-ls --raw-data -O name,label,template app")
            .stdout,
        "app|blue|tpl\n"
    );
    store.succeeds("qvm-create --prop label=red -l green -t tpl other");
    assert_eq!(store.run("qvm-prefs other label").stdout, "green\n");
}

#[test]
fn the_environment_names_the_default_thin_pool() {
    let store = TestSystem::recorded("small.xml");
    let default_pool = |pool: &str| {
        let output = store
            .command("qubes-prefs")
            .arg("default_pool")
            .env("DEFAULT_LVM_POOL", pool)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(default_pool("vm-pool"), "vm-pool\n");
    assert_eq!(
        default_pool("another"),
        "varlibqubes\n",
        "no pool of the store: the one with /var/lib/qubes"
    );
    assert_eq!(
        store.run("qubes-prefs default_pool").stdout,
        "varlibqubes\n"
    );
    let text = fs::read_to_string(store.store_file()).unwrap();
    fs::write(
        store.store_file(),
        text.replace("name=\"slow-hdd\"", "name=\"default\""),
    )
    .unwrap();
    assert_eq!(
        default_pool("vm-pool"),
        "default\n",
        "a pool of that name comes first"
    );
}

#[test]
fn help_and_version_go_to_standard_output() {
    let store = TestSystem::recorded("small.xml");
    let help = store.run("qvm-ls --help");
    assert!(
        help.code == 0 && help.stderr.is_empty() && help.stdout.contains("--offline-mode"),
        "{help:?}"
    );
    let version = store.run("qvm-ls --version");
    assert!(
        version.code == 0 && version.stdout.starts_with("qvm-ls ("),
        "{version:?}"
    );
}

#[test]
fn exceeding_the_file_size_limit_is_an_error() {
    let store = TestSystem::recorded("small.xml");
    let before = fs::read(store.store_file()).unwrap();
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "ulimit -f 2; exec \"$@\"",
        "sh",
        "qvm-prefs",
        "work",
        "memory",
        "333",
    ]);
    let root = store.root().display().to_string();
    let output = command
        .args(["--offline-mode", "--root", &root])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(
        words.contains("cannot") && words.contains("File too large"),
        "{words}"
    );
    assert_eq!(fs::read(store.store_file()).unwrap(), before);
}
