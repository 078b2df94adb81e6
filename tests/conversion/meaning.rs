//! A converted store means what the old one meant: to our tools before and after, and to R3.2's own
//! tools.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use qubes::format;

use crate::old_system::{OldSystem, sample};

const FIELDS: &str = "NAME,CLASS,TEMPLATE,NETVM,LABEL,QID,MEMORY,MAXMEM,VCPUS,KERNEL,VIRT_MODE";

fn listed(system: &OldSystem) -> String {
    system.ok(&format!("qvm-ls --raw-data --fields {FIELDS}"))
}

/// Every property of every qube as the tools tell it, but for what a conversion gives to a qube
/// that has none.
fn told(system: &OldSystem) -> String {
    let mut all = listed(system);
    for name in system.ok("qvm-ls --raw-list").lines() {
        let properties = system.ok(&format!("qvm-prefs {name}"));
        all.extend(
            properties
                .lines()
                .filter(|l| !l.starts_with("uuid"))
                .map(|l| format!("{name}: {l}\n")),
        );
        all.push_str(&system.run(&format!("qvm-features {name}")).stdout);
    }
    all + &system.ok("qubes-prefs")
}

fn converted_means_the_same(system: &OldSystem, name: &str) {
    let before = told(system);
    let ran = system.run("qubes-db convert");
    assert_eq!(ran.code, 0, "{name}: {ran:?}");
    system.is_sound(name);
    assert_eq!(told(system), before, "{name}");
    let written = fs::read(system.store()).unwrap();
    let read = format::read(written.clone()).unwrap();
    assert_eq!(format::write(&written, &read).unwrap(), written, "{name}");
}

#[test]
fn own_samples_mean_the_same_before_and_after() {
    for name in ["r1.xml", "r2.xml", "saved.xml"] {
        converted_means_the_same(&OldSystem::own(name), name);
    }
}

#[test]
fn the_samples_of_every_old_release_mean_the_same_before_and_after() {
    for name in [
        "r1-qubes.xml",
        "r2b2-qubes.xml",
        "r2-qubes.xml",
        "r2-qubes-mangled-paths.xml",
        "r3-qubes.xml",
    ] {
        let Some(system) = sample(name) else { continue };
        converted_means_the_same(&system, name);
    }
}

/// R3.2 loaded these samples and saved them again: what it wrote means what the originals mean.
#[test]
fn what_r3_made_of_a_sample_becomes_the_same() {
    for name in [
        "r1-qubes.xml",
        "r2b2-qubes.xml",
        "r2-qubes.xml",
        "r3-qubes.xml",
    ] {
        let (Some(original), Some(resaved)) =
            (sample(name), sample(&format!("golden/resaved-{name}")))
        else {
            continue;
        };
        original.ok("qubes-db convert");
        resaved.ok("qubes-db convert");
        assert_eq!(listed(&original), listed(&resaved), "{name}");
    }
}

/// `$ qvm-prefs … -l NAME` and what it printed, by qube.
fn golden() -> BTreeMap<String, BTreeMap<String, String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/r3/tools-qvm-prefs.txt");
    let text = fs::read_to_string(path).unwrap();
    let blocks = text.split("$ ").filter_map(|block| {
        let (command, printed) = block.split_once('\n')?;
        let name = command.split_once(" -l ")?.1.to_string();
        let pair = |line: &str| {
            line.split_once(" : ")
                .map(|(k, v)| (k.trim().to_string(), v.trim().to_string()))
        };
        Some((name, printed.lines().filter_map(pair).collect()))
    });
    blocks.collect()
}

#[test]
fn properties_are_those_that_r3_printed() {
    let system = OldSystem::own("saved.xml");
    system.ok("qubes-db convert");
    let golden = golden();
    assert_eq!(golden.len(), 6);
    for (name, printed) in golden.iter().filter(|(name, _)| *name != "dom0") {
        let is_hvm = printed["type"].contains("HVM");
        let has_devices = printed["pcidevs"] != "[]";
        let is_template = printed["type"].starts_with("Template");
        for (old, new) in [
            ("label", "label"),
            ("template", "template"),
            ("netvm", "netvm"),
            ("autostart", "autostart"),
            ("installed_by_rpm", "installed_by_rpm"),
            ("include_in_backups", "include_in_backups"),
            ("vcpus", "vcpus"),
            ("memory", "memory"),
            ("maxmem", "maxmem"),
            ("kernel", "kernel"),
            ("default_user", "default_user"),
            ("qrexec_timeout", "qrexec_timeout"),
        ] {
            let Some(printed) = printed.get(old) else {
                continue;
            };
            let expected = match old {
                // R4's templates have no netvm of their own accord; they are updated over qrexec.
                "netvm" if is_template => "",
                // A qube that takes no part in balancing says so with maxmem.
                "maxmem" if is_hvm || has_devices => "0",
                _ => printed.trim_end_matches(" (default)"),
            };
            assert_eq!(
                system.ok(&format!("qvm-prefs {name} {new}")).trim_end(),
                expected,
                "{new} of {name}"
            );
        }
        let debug = system.ok(&format!("qvm-prefs {name} debug"));
        assert_eq!(
            debug.trim_end() == "True",
            printed["debug"] == "on",
            "debug of {name}"
        );
    }
}

#[test]
fn a_hostile_store_is_converted_with_what_can_be_understood() {
    let system = OldSystem::own("hostile.xml");
    let ran = system.run("qubes-db convert");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stderr
            .contains("\ntpl: memory='lots' is not a number; the default is used\n"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("the element at line 15 cannot be used"),
        "{}",
        ran.stderr
    );
    // What has no template has none afterwards either: that is for a person to decide, and told.
    let refused = ran
        .stderr
        .lines()
        .filter(|l| l.contains("which qubesd refuses the store for"))
        .count();
    assert!(refused >= 2, "{}", ran.stderr);
    let checked = system.run("qubes-db check");
    assert!(
        checked
            .stdout
            .lines()
            .filter(|l| !l.starts_with("    "))
            .all(|l| l.contains("template")),
        "nothing but the two missing templates is wrong: {checked:?}"
    );
    let read = format::read(fs::read(system.store()).unwrap()).unwrap();
    let mut numbers: Vec<u16> = read.iter().map(|vm| vm.qid().unwrap().number()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(
        numbers.len(),
        read.len(),
        "every qube has a number of its own"
    );
}

#[test]
fn disposables_have_the_template_they_had() {
    let text = String::from_utf8(OldSystem::own("saved.xml").before).unwrap();
    let dvm = "  <QubesAppVm qid=\"20\" name=\"fedora-23-dvm\" internal=\"True\" label=\"gray\" \
        template_qid=\"1\" \
               uses_default_netvm=\"True\" vcpus=\"1\" \
               dir_path=\"/var/lib/qubes/appvms/fedora-23-dvm\"/>\n";
    let other = dvm
        .replace("qid=\"20\"", "qid=\"21\"")
        .replace("fedora-23-dvm", "other-dvm");
    let with = |more: &str| {
        text.replace(
            "</QubesVmCollection>",
            &format!("{more}</QubesVmCollection>"),
        )
    };

    let system = OldSystem::with(with(dvm).as_bytes());
    system.ok("qubes-db convert");
    system.is_sound("with a template for disposables");
    assert_eq!(
        system.ok("qvm-prefs fedora-23-dvm template_for_dispvms"),
        "True\n"
    );
    assert_eq!(system.ok("qubes-prefs default_dispvm"), "fedora-23-dvm\n");
    assert_eq!(
        system.ok("qvm-prefs work default_dispvm"),
        "fedora-23-dvm\n"
    );
    // Disposables of a qube without network had none, and those of this template have.
    assert_eq!(system.ok("qvm-prefs vault default_dispvm").trim(), "");

    let system = OldSystem::with(with(&(dvm.to_string() + &other)).as_bytes());
    fs::create_dir_all(system.base().join("dvmdata")).unwrap();
    let target = "/var/lib/qubes/appvms/other-dvm";
    std::os::unix::fs::symlink(target, system.base().join("dvmdata/vmdir")).unwrap();
    system.ok("qubes-db convert");
    assert_eq!(
        system.ok("qubes-prefs default_dispvm"),
        "other-dvm\n",
        "what R3's link says"
    );
}

#[test]
fn a_store_for_4_0_has_nothing_that_4_0_refuses() {
    let system = OldSystem::whole();
    system.configure("[store]\nrelease = \"4.0\"");
    system.ok("qubes-db convert");
    system.is_sound("for 4.0");
    let read = format::read(fs::read(system.store()).unwrap()).unwrap();
    let net = read.get("sys-net").unwrap();
    assert_eq!(
        (
            net.properties.get("maxmem"),
            net.features.get("service.meminfo-writer")
        ),
        (None, Some(""))
    );
}

#[test]
fn what_r4_would_refuse_is_left_out_and_told() {
    for (attribute, text) in [
        ("vcpus", "0"),
        ("memory", "0"),
        ("qrexec_timeout", "0"),
        ("default_user", "a b"),
        ("pcidevs", "['00:1F.3']"),
    ] {
        let store = format!(
            "<QubesVmCollection><QubesHVm qid=\"3\" name=\"win\" label=\"red\" \
             dir_path=\"/var/lib/qubes/appvms/win\" \
             {attribute}=\"{text}\"/></QubesVmCollection>"
        );
        let system = OldSystem::with(store.as_bytes());
        let ran = system.run("qubes-db convert");
        assert_eq!(ran.code, 0, "{ran:?}");
        if attribute != "pcidevs" {
            assert!(
                ran.stderr.contains(&format!("win: {attribute}='{text}': ")),
                "{ran:?}"
            );
        }
        let checked = system.run("qubes-db check").stdout;
        assert!(
            !checked.contains(attribute) && !checked.contains("1F"),
            "{attribute}: {checked}"
        );
    }
}
