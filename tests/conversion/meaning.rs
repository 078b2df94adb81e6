//! A converted store keeps its meaning, as shown by our tools before and after, and by R3.2's own
//! tools.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use qubes::format;

use crate::old_system::{OldSystem, find_sample};

const FIELDS: &str = "NAME,CLASS,TEMPLATE,NETVM,LABEL,QID,MEMORY,MAXMEM,VCPUS,KERNEL,VIRT_MODE";

fn list_qubes(system: &OldSystem) -> String {
    system.succeeds(format!("qvm-ls --raw-data --fields {FIELDS}"))
}

/// Prints every property of every qube, except those that a conversion adds.
fn print_settings(system: &OldSystem) -> String {
    let mut all = list_qubes(system);
    for name in system.succeeds("qvm-ls --raw-list").lines() {
        let properties = system.succeeds(format!("qvm-prefs {name}"));
        all.extend(
            properties
                .lines()
                .filter(|l| !l.starts_with("uuid"))
                .map(|l| format!("{name}: {l}\n")),
        );
        all.push_str(&system.run(format!("qvm-features {name}")).stdout);
    }
    all + &system.succeeds("qubes-prefs")
}

fn assert_conversion_keeps_meaning(system: &OldSystem, name: &str) {
    let before = print_settings(system);
    let ran = system.run("qubes-db convert");
    assert_eq!(ran.code, 0, "{name}: {ran:?}");
    system.assert_sound(name);
    assert_eq!(print_settings(system), before, "{name}");
    let written = fs::read(system.store_file()).unwrap();
    let read = format::read(written.clone()).unwrap();
    assert_eq!(format::write(&written, &read).unwrap(), written, "{name}");
}

#[test]
fn own_samples_keep_their_meaning() {
    for name in ["r1.xml", "r2.xml", "saved.xml"] {
        assert_conversion_keeps_meaning(&OldSystem::from_sample(name), name);
    }
}

#[test]
fn samples_of_every_old_release_keep_their_meaning() {
    for name in [
        "r1-qubes.xml",
        "r2b2-qubes.xml",
        "r2-qubes.xml",
        "r2-qubes-mangled-paths.xml",
        "r3-qubes.xml",
    ] {
        let Some(system) = find_sample(name) else {
            continue;
        };
        assert_conversion_keeps_meaning(&system, name);
    }
}

/// R3.2 loaded these samples and saved them again: the results mean the same as the originals.
#[test]
fn samples_resaved_by_r3_convert_to_the_same_system() {
    for name in [
        "r1-qubes.xml",
        "r2b2-qubes.xml",
        "r2-qubes.xml",
        "r3-qubes.xml",
    ] {
        let (Some(original), Some(resaved)) = (
            find_sample(name),
            find_sample(&format!("golden/resaved-{name}")),
        ) else {
            continue;
        };
        original.succeeds("qubes-db convert");
        resaved.succeeds("qubes-db convert");
        assert_eq!(list_qubes(&original), list_qubes(&resaved), "{name}");
    }
}

/// Returns the recorded output of `qvm-prefs -l NAME`, by qube.
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
fn properties_match_the_output_of_r3() {
    let system = OldSystem::from_sample("saved.xml");
    system.succeeds("qubes-db convert");
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
                // Templates of R4 have no netvm by default; they are updated over qrexec.
                "netvm" if is_template => "",
                // A qube without memory balancing has maxmem 0.
                "maxmem" if is_hvm || has_devices => "0",
                _ => printed.trim_end_matches(" (default)"),
            };
            assert_eq!(
                system
                    .succeeds(format!("qvm-prefs {name} {new}"))
                    .trim_end(),
                expected,
                "{new} of {name}"
            );
        }
        let debug = system.succeeds(format!("qvm-prefs {name} debug"));
        assert_eq!(
            debug.trim_end() == "True",
            printed["debug"] == "on",
            "debug of {name}"
        );
    }
}

#[test]
fn valid_parts_of_a_hostile_store_are_converted() {
    let system = OldSystem::from_sample("hostile.xml");
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
    // A missing template stays missing, is reported, and is for a person to decide.
    let refused = ran
        .stderr
        .lines()
        .filter(|l| l.contains("for which qubesd refuses the store"))
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
    let read = format::read(fs::read(system.store_file()).unwrap()).unwrap();
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
fn disposables_keep_their_template() {
    let text = String::from_utf8(OldSystem::from_sample("saved.xml").before).unwrap();
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

    let system = OldSystem::new(with(dvm).as_bytes());
    system.succeeds("qubes-db convert");
    system.assert_sound("with a template for disposables");
    assert_eq!(
        system.succeeds("qvm-prefs fedora-23-dvm template_for_dispvms"),
        "True\n"
    );
    assert_eq!(
        system.succeeds("qubes-prefs default_dispvm"),
        "fedora-23-dvm\n"
    );
    assert_eq!(
        system.succeeds("qvm-prefs work default_dispvm"),
        "fedora-23-dvm\n"
    );
    // Disposables of a qube without network had no network, but those of this template have.
    assert_eq!(system.succeeds("qvm-prefs vault default_dispvm").trim(), "");

    let system = OldSystem::new(with(&(dvm.to_string() + &other)).as_bytes());
    fs::create_dir_all(system.base().join("dvmdata")).unwrap();
    let target = "/var/lib/qubes/appvms/other-dvm";
    std::os::unix::fs::symlink(target, system.base().join("dvmdata/vmdir")).unwrap();
    system.succeeds("qubes-db convert");
    assert_eq!(
        system.succeeds("qubes-prefs default_dispvm"),
        "other-dvm\n",
        "what R3's link says"
    );
}

#[test]
fn a_store_for_4_0_has_nothing_that_4_0_refuses() {
    let system = OldSystem::with_images();
    system.configure("[store]\nrelease = \"4.0\"");
    system.succeeds("qubes-db convert");
    system.assert_sound("for 4.0");
    let read = format::read(fs::read(system.store_file()).unwrap()).unwrap();
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
fn values_that_r4_refuses_are_dropped_and_reported() {
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
        let system = OldSystem::new(store.as_bytes());
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
