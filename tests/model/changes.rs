//! Changes of properties: the accepted texts, the messages for refused ones (recorded from
//! upstream's tools on the same store), the changes that follow in the store, and the effects
//! outside it.

use std::fs;
use std::path::{Path, PathBuf};

use qubes::model::{Change, Draft, Effect, PowerState, Qubes, Release, property, volume};
use qubes_test_support::SampleHost;

use crate::sample::{small, vm};

fn value(qubes: &Qubes, name: &str, property: &str) -> String {
    property::value_by_name(qubes, vm(qubes, name), property, &SampleHost::default())
        .unwrap()
        .to_string()
}

fn reattaches(name: &str, change: &Change) -> bool {
    change
        .effects()
        .iter()
        .any(|e| matches!(e, Effect::ReattachNetwork { vm } if *vm == name))
}

/// Sets a property and returns what follows, or the message.
fn set(qubes: &mut Draft, name: &str, property: &str, text: &str) -> Result<Change, String> {
    property::set(qubes, name, property, text, &SampleHost::default()).map_err(|e| e.to_string())
}

fn set_global(qubes: &mut Draft, property: &str, text: &str) -> Result<Change, String> {
    property::set_global(qubes, property, text, &SampleHost::default()).map_err(|e| e.to_string())
}

#[test]
fn a_refused_change_has_upstreams_message_and_changes_nothing() {
    for (name, property, text, words) in [
        ("nope", "label", "red", "no such domain: 'nope'"),
        ("work", "nosuch", "1", "no such property: 'nosuch'"),
        ("dom0", "netvm", "sys-net", "no such property: 'netvm'"),
        (
            "work",
            "vcpus",
            "x",
            "Failed to parse property value as int",
        ),
        ("work", "vcpus", "0", "vcpus must be positive"),
        ("work", "vcpus", "-1", "vcpus must be positive"),
        ("work", "label", "pink", "Label does not exist: pink"),
        (
            "work",
            "netvm",
            "vault",
            "The vault qube does not provide network",
        ),
        (
            "work",
            "netvm",
            "nope",
            "Can't set netvm to non-existing qube nope",
        ),
        (
            "work",
            "netvm",
            "work",
            "The work qube does not provide network",
        ),
        (
            "work",
            "management_dispvm",
            "none",
            "VM name cannot be 'none' nor 'default'",
        ),
        (
            "sys-firewall",
            "netvm",
            "sys-whonix",
            "Loops in network are unsupported",
        ),
        (
            "work",
            "template",
            "vault",
            "wrong VM class: domains['vault'] is of type AppVM and not TemplateVM",
        ),
        (
            "work",
            "template",
            "",
            "Invalid value None for property 'template' of work",
        ),
        (
            "work",
            "debug",
            "maybe",
            "Invalid literal for boolean property: 'maybe'",
        ),
        ("work", "memory", "0", "memory must be positive"),
        (
            "work",
            "memory",
            "lots",
            "Failed to parse property value as int",
        ),
        ("work", "maxmem", "-5", "maxmem must be positive or zero"),
        (
            "work",
            "qrexec_timeout",
            "0",
            "qrexec_timeout must be positive",
        ),
        ("work", "qid", "50", "Failed to access 'qid' property"),
        (
            "work",
            "uuid",
            "x",
            "Failed to parse property value as UUID",
        ),
        (
            "work",
            "ip",
            "300.1.1.1",
            "Failed to parse property value as IPv4Address",
        ),
        ("work", "mac", "zz", "Failed to access 'mac' property"),
        (
            "work",
            "virt_mode",
            "xyz",
            "Invalid virtualization mode, supported values: hvm, pv, pvh",
        ),
        ("work", "kernel", "9.9.9", "Kernel '9.9.9' not installed"),
        (
            "work",
            "default_user",
            "a b",
            "Username can contain only those characters: \
             abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+,.",
        ),
        (
            "sys-net",
            "provides_network",
            "False",
            "The qube is still used by other qubes, change theirs 'netvm' first",
        ),
        (
            "default-dvm",
            "template_for_dispvms",
            "False",
            "Cannot change template_for_dispvms to False while it is in use by the system by \
             any of these properties: default_dispvm, management_dispvm",
        ),
        (
            "work",
            "default_dispvm",
            "vault",
            "Cannot set invalid property to qube 'work', default_dispvm 'vault' has \
             template_for_dispvms set to False",
        ),
        (
            "work",
            "xid",
            "5",
            "property 'xid' on AppVM instance cannot be set",
        ),
        (
            "work",
            "updateable",
            "True",
            "property 'updateable' on AppVM instance cannot be set",
        ),
        (
            "work",
            "keyboard_layout",
            "de",
            "invalid number of keyboard layout parameters",
        ),
        // Own messages: upstream's are not recorded, or are about its daemon.
        ("work", "name", "job", "Failed to access 'name' property"),
        (
            "work",
            "kernelopts",
            "ü",
            "kernelopts of qube 'work' takes printable ASCII only",
        ),
        (
            "work",
            "default_user",
            "",
            "default_user of qube 'work' cannot be empty; -D gives it its default",
        ),
        (
            "work",
            "netvm",
            "remote-work",
            "netvm of qube 'work' cannot be 'remote-work': that is a remote qube",
        ),
        (
            "work",
            "devices_denied",
            "u03",
            "devices_denied 'u03' is not valid: it must consist of codes of seven characters",
        ),
    ] {
        let mut qubes = small();
        let before = qubes.get(name).cloned();
        assert_eq!(
            set(&mut qubes, name, property, text),
            Err(words.to_owned()),
            "{name} {property} {text:?}"
        );
        assert_eq!(qubes.get(name).cloned(), before);
    }
}

#[test]
fn a_refused_global_has_upstreams_message() {
    for (property, text, words) in [
        ("nosuch", "1", "no such property: 'nosuch'"),
        ("default_kernel", "9.9", "Kernel '9.9' not installed"),
        (
            "default_netvm",
            "none",
            "VM name cannot be 'none' nor 'default'",
        ),
        ("clockvm", "none", "VM name cannot be 'none' nor 'default'"),
        (
            "default_template",
            "vault",
            "wrong VM class: domains['vault'] is of type AppVM and not TemplateVM",
        ),
        ("default_pool", "nope", "No such storage pool"),
        (
            "maxmem",
            "1",
            "property 'maxmem' on Qubes instance cannot be set",
        ),
    ] {
        let mut qubes = small();
        let before = qubes.globals.clone();
        assert_eq!(
            set_global(&mut qubes, property, text),
            Err(words.to_owned()),
            "{property} {text:?}"
        );
        assert_eq!(qubes.globals, before);
    }
}

#[test]
fn accepted_texts_are_stored_in_their_normal_form() {
    for (property, text, stored) in [
        ("label", "green", "green"),
        ("label", "label-1", "red"),
        ("vcpus", " 3 ", "3"),
        ("debug", "OFF", "False"),
        ("autostart", "yes", "True"),
        ("ip", "10.137.0.99", "10.137.0.99"),
        ("ip6", "FD00:0:0::1", "fd00::1"),
        ("mac", "00:11:22:AA:BB:CC", "00:11:22:aa:bb:cc"),
        ("virt_mode", "PVH", "pvh"),
        ("kernel", "", ""),
        ("kernel", "5.15.124-1", "5.15.124-1"),
        ("devices_denied", "u03****b******u03****", "b******u03****"),
        ("keyboard_layout", "de+nodeadkeys+", "de+nodeadkeys+"),
        ("guivm", "work", "work"),
        ("bootmode", "nosuch", "nosuch"),
        ("template", "fedora-41-xfce", "fedora-41-xfce"),
        ("netvm", "", ""),
    ] {
        let mut qubes = small();
        set(&mut qubes, "work", property, text).unwrap();
        assert_eq!(
            vm(&qubes, "work").properties.get(property),
            Some(stored),
            "{property} {text:?}"
        );
    }
}

#[test]
fn a_reset_restores_the_default_and_is_allowed_without_an_explicit_value() {
    let (mut qubes, host) = (small(), SampleHost::default());
    property::reset(&mut qubes, "work", "memory", &host).unwrap();
    assert_eq!(value(&qubes, "work", "memory"), "400");
    property::reset(&mut qubes, "work", "memory", &host).unwrap();
    property::reset(&mut qubes, "work", "label", &host).unwrap();
    assert!(property::label(&qubes, vm(&qubes, "work")).is_err());
    for property in ["qid", "name", "uuid", "template", "xid"] {
        assert!(
            property::reset(&mut qubes, "work", property, &host).is_err(),
            "{property}"
        );
    }
    set_global(&mut qubes, "stats_interval", "0").unwrap();
    property::reset_global(&mut qubes, "stats_interval", &host).unwrap();
    assert_eq!(
        property::global_value_by_name(&qubes, "stats_interval", &host)
            .unwrap()
            .to_string(),
        "3"
    );
}

#[test]
fn tags_follow_guivm_and_audiovm_also_when_the_default_changes() {
    let mut qubes = small();
    set(&mut qubes, "work", "guivm", "sys-usb").unwrap();
    assert!(
        vm(&qubes, "work").has_tag("guivm-sys-usb") && !vm(&qubes, "work").has_tag("guivm-dom0")
    );
    set_global(&mut qubes, "default_guivm", "vault").unwrap();
    assert!(
        vm(&qubes, "work").has_tag("guivm-sys-usb"),
        "an explicit guivm stays"
    );
    assert!(
        vm(&qubes, "personal").has_tag("guivm-vault")
            && !vm(&qubes, "personal").has_tag("guivm-dom0")
    );
    property::reset(&mut qubes, "work", "guivm", &SampleHost::default()).unwrap();
    assert!(vm(&qubes, "work").has_tag("guivm-vault"));
    set(&mut qubes, "work", "audiovm", "").unwrap();
    assert!(
        vm(&qubes, "work")
            .tags
            .iter()
            .all(|t| !t.starts_with("audiovm-"))
    );
    set(&mut qubes, "remote-work", "relayvm", "sys-net").unwrap();
    let relay: Vec<_> = vm(&qubes, "remote-work")
        .tags
        .iter()
        .map(|t| &**t)
        .collect();
    assert_eq!(relay, ["relayvm-sys-net"]);
}

#[test]
fn features_follow_clockvm_and_provides_network() {
    let mut qubes = small();
    let clock = |qubes: &Qubes, name: &str| {
        vm(qubes, name)
            .features
            .get("service.clocksync")
            .map(str::to_owned)
    };
    assert_eq!(clock(&qubes, "sys-net").as_deref(), Some("1"));
    set_global(&mut qubes, "clockvm", "sys-firewall").unwrap();
    assert_eq!(
        (clock(&qubes, "sys-net"), clock(&qubes, "sys-firewall")),
        (None, Some("1".into()))
    );

    set(&mut qubes, "vault", "provides_network", "yes").unwrap();
    assert_eq!(value(&qubes, "vault", "icon"), "servicevm-teal");
    set(&mut qubes, "vault", "provides_network", "no").unwrap();
    assert_eq!(value(&qubes, "vault", "icon"), "appvm-teal");
}

#[test]
fn a_new_netvm_is_an_effect_and_must_run_if_the_qube_does() {
    let mut qubes = small();
    let change = set(&mut qubes, "work", "netvm", "sys-net").unwrap();
    assert!(reattaches("work", &change) && change.effects().len() == 1);
    assert_eq!(
        set(&mut qubes, "work", "netvm", "sys-net").unwrap(),
        Change::STORE_ONLY,
        "the same again changes nothing"
    );

    let mut host = SampleHost::default();
    host.states.insert("work".into(), PowerState::Running);
    let refused = property::set(&mut qubes, "work", "netvm", "sys-firewall", &host)
        .unwrap_err()
        .to_string();
    assert_eq!(
        refused,
        "qube 'work' runs, and its new netvm 'sys-firewall' does not; start 'sys-firewall' first"
    );
    host.states
        .insert("sys-firewall".into(), PowerState::Running);
    property::set(&mut qubes, "work", "netvm", "sys-firewall", &host).unwrap();

    host.states.insert("work".into(), PowerState::Paused);
    property::set(&mut qubes, "work", "netvm", "sys-net", &host).unwrap();
    assert_eq!(
        vm(&qubes, "work").features.get("deferred-netvm-original"),
        Some("sys-firewall")
    );
}

#[test]
fn a_default_netvm_that_depends_on_itself_is_refused() {
    let mut qubes = small();
    let change = set_global(&mut qubes, "default_netvm", "sys-whonix").unwrap();
    assert!(
        reattaches("work", &change)
            && !reattaches("vault", &change)
            && !reattaches("sys-firewall", &change)
    );
    set(&mut qubes, "win10", "provides_network", "True").unwrap();
    assert_eq!(
        set_global(&mut qubes, "default_netvm", "win10"),
        Err("Network loop on 'win10'".into())
    );
    set_global(&mut qubes, "default_netvm", "").unwrap();
    set_global(&mut qubes, "default_netvm", "vault").unwrap();
    // Upstream crashes when it is set; it loads a store with this value, but then no qube has an
    // address.
    assert_eq!(
        set_global(&mut qubes, "default_netvm", "dom0"),
        Err("The dom0 qube does not provide network".into())
    );
}

#[test]
fn a_netvm_loop_through_the_default_is_refused() {
    let mut qubes = small();
    set(&mut qubes, "work", "provides_network", "True").unwrap();
    set(&mut qubes, "sys-net", "netvm", "work")
        .expect_err("work's netvm is sys-firewall, whose netvm is sys-net");
    set(&mut qubes, "sys-firewall", "netvm", "work")
        .expect_err("work has the default netvm: sys-firewall");
}

#[test]
fn properties_of_a_halted_qube_cannot_be_set_while_it_runs() {
    let mut qubes = small();
    let mut host = SampleHost::default();
    host.states.insert("work".into(), PowerState::Running);
    host.states.insert("sys-usb".into(), PowerState::Running);
    for (name, property, text) in [
        ("work", "template", "fedora-41-xfce"),
        ("work", "maxmem", "1"),
        ("default-dvm", "template", "debian-12-xfce"),
    ] {
        assert!(
            property::set(&mut qubes, name, property, text, &host).is_err(),
            "{name} {property}"
        );
    }
    host.kernel_files
        .insert("memory-hotplug-supported".into(), String::new());
    let change = property::set(&mut qubes, "work", "maxmem", "4000", &host).unwrap();
    let name = || vm(&qubes, "work").name.clone();
    assert_eq!(
        change.effects(),
        [
            Effect::MaxmemHotplug { vm: name() },
            Effect::CompareMemory { vm: name() }
        ]
    );
}

#[test]
fn a_new_template_changes_the_root_source_also_of_disposables() {
    let (mut qubes, host) = (small(), SampleHost::default());
    set(&mut qubes, "default-dvm", "template", "debian-12-xfce").unwrap();
    for name in ["default-dvm", "sys-usb"] {
        let written = vm(&qubes, name).volume("root").unwrap();
        assert_eq!(
            written.attributes.get("source"),
            Some("vm-templates/debian-12-xfce/root"),
            "{name}"
        );
        let root = volume::resolve(&qubes, vm(&qubes, name), "root", &host).unwrap();
        assert_eq!(
            root.source.as_deref(),
            Some("vm-templates/debian-12-xfce/root"),
            "{name}"
        );
    }
    let private = volume::resolve(&qubes, vm(&qubes, "sys-usb"), "private", &host).unwrap();
    assert_eq!(
        private.source.as_deref(),
        Some("appvms/default-dvm/private")
    );
}

#[test]
fn a_property_unknown_to_the_release_is_refused_with_the_reason() {
    let mut qubes = small();
    let old = SampleHost {
        release: Release::R4_2,
        ..SampleHost::default()
    };
    let refused = property::set(&mut qubes, "work", "bootmode", "x", &old)
        .unwrap_err()
        .to_string();
    assert_eq!(
        refused,
        "bootmode cannot be set for qube 'work': Qubes OS 4.2 does not know it (since 4.3)"
    );
    property::set(&mut qubes, "work", "guivm", "vault", &old).unwrap();
    let older = SampleHost {
        release: Release::R4_0,
        ..SampleHost::default()
    };
    assert!(property::set_global(&mut qubes, "default_guivm", "vault", &older).is_err());
}

#[test]
fn setting_autostart_has_an_effect_on_the_service_manager() {
    let mut qubes = small();
    let name = vm(&qubes, "work").name.clone();
    let change = set(&mut qubes, "work", "autostart", "on").unwrap();
    assert_eq!(change.effects(), [Effect::Autostart { vm: name.clone() }]);
    let change = property::reset(&mut qubes, "work", "autostart", &SampleHost::default()).unwrap();
    assert_eq!(change.effects(), [Effect::Autostart { vm: name }]);
}

#[test]
fn setting_debug_has_an_effect_that_tells_the_user() {
    let mut qubes = small();
    let name = vm(&qubes, "work").name.clone();
    let change = set(&mut qubes, "work", "debug", "on").unwrap();
    assert_eq!(change.effects(), [Effect::DebugNote { vm: name }]);
}

#[test]
fn pvh_and_pci_devices_exclude_each_other() {
    let mut qubes = small();
    let has_pci = qubes
        .iter()
        .find(|v| v.assignments("pci").next().is_some())
        .map(|v| v.name.to_string())
        .unwrap();
    let refused = set(&mut qubes, &has_pci, "virt_mode", "pvh").unwrap_err();
    assert_eq!(
        refused,
        format!("virt_mode of '{has_pci}' cannot be pvh: PCI devices are assigned to it")
    );
    set(&mut qubes, &has_pci, "virt_mode", "pv").unwrap();
}

#[test]
fn an_invalid_value_in_the_store_affects_only_one_property_of_one_qube() {
    let (mut qubes, host) = (small(), SampleHost::default());
    let work = qubes.unchecked().edit("work").unwrap();
    work.properties.set("memory", "much");
    work.properties.set("netvm", "gone");
    work.properties.set("template", "work");
    let work = vm(&qubes, "work");
    let memory = property::memory(&qubes, work, &host)
        .unwrap_err()
        .to_string();
    assert_eq!(
        memory,
        "qube 'work' has memory 'much' in the store: it is not a number; set or reset it"
    );
    let netvm = property::netvm(&qubes, work, &host)
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert_eq!(
        netvm,
        "qube 'work' has netvm 'gone' in the store: there is no such qube; set or reset it"
    );
    assert!(
        property::template(&qubes, work).is_err()
            && volume::resolve_all(&qubes, work, &host).is_ok(),
        "its volumes stand in the store"
    );
    assert_eq!(
        property::vcpus(&qubes, work, &host),
        Ok(4),
        "what is explicit needs no template"
    );
    assert!(property::kernelopts(&qubes, work, &host).is_ok());
    let others = qubes
        .iter()
        .filter(|v| v.class.is_local_guest() && v.name != "work");
    assert!(
        others
            .into_iter()
            .all(|v| property::memory(&qubes, v, &host).is_ok())
    );
    let mut qubes = qubes;
    set(&mut qubes, "work", "memory", "800").unwrap();
    set(&mut qubes, "work", "template", "debian-12-xfce").unwrap();
}

/// The door around the decisions is for tests and for programs of others.
#[test]
fn the_sources_change_a_store_by_decisions_only() {
    fn rust_files(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => rust_files(&path, found),
                false => found.extend(path.extension().is_some_and(|e| e == "rs").then_some(path)),
            }
        }
    }
    let mut files = Vec::new();
    rust_files(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    assert!(files.len() > 100);
    files.retain(|file| fs::read_to_string(file).unwrap().contains(".unchecked()"));
    assert_eq!(files, Vec::<PathBuf>::new());
}
