//! A store is written back as it was read: untouched parts byte for byte, touched parts with only
//! their changes.

use qubes::format;
use qubes::model::device::{DeviceAssignment, DeviceClass};
use qubes::model::{Class, Label, Labels, Pool, Qubes, TextMap, Vm, VmName, VolumeConfig};

const SAMPLES: [&str; 5] = ["n1000", "r40-small", "random-1", "random-2", "small"];

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(format!(
        "{}/tests/data/r4/{name}.xml",
        env!("CARGO_MANIFEST_DIR")
    ))
    .unwrap()
}

fn vm_names(qubes: &Qubes) -> Vec<String> {
    qubes.names().map(|n| n.to_string()).collect()
}

#[test]
fn every_sample_is_written_back_byte_for_byte() {
    for name in SAMPLES {
        let bytes = sample(name);
        let mut qubes = format::read(bytes.clone()).unwrap();
        assert_eq!(
            format::write(&bytes, &qubes).unwrap(),
            bytes,
            "{name}: not looked at"
        );
        assert!(qubes.iter().all(|vm| vm.diagnoses.is_empty()), "{name}");
        for vm in vm_names(&qubes) {
            qubes.edit(&vm).unwrap();
        }
        assert!(
            format::write(&bytes, &qubes).unwrap() == bytes,
            "{name}: every qube touched, none changed"
        );
    }
}

/// Sorts tags, which upstream writes in an order that differs from run to run.
fn with_sorted_tags(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    for tags in lines.chunk_by_mut(|a, b| a.contains("<tag ") && b.contains("<tag ")) {
        tags.sort_unstable();
    }
    lines
}

#[test]
fn a_new_file_equals_the_one_that_upstream_wrote() {
    for name in ["n1000", "random-1", "random-2", "small"] {
        let original = String::from_utf8(sample(name)).unwrap();
        let qubes = format::read(original.clone().into_bytes()).unwrap();
        let mut fresh = Qubes::new(
            qubes.labels.clone(),
            qubes.pools.clone(),
            qubes.globals.clone(),
        );
        for vm in qubes.iter() {
            fresh.add(vm.clone()).unwrap();
        }
        let written = String::from_utf8(format::write_new(&fresh).unwrap()).unwrap();
        assert_eq!(
            with_sorted_tags(&written),
            with_sorted_tags(&original),
            "{name}"
        );
    }
}

/// Returns the file after a change to the collection that was read from it.
fn write_changed(bytes: &[u8], change: impl FnOnce(&mut Qubes)) -> Vec<u8> {
    let mut qubes = format::read(bytes.to_vec()).unwrap();
    change(&mut qubes);
    format::write(bytes, &qubes).unwrap()
}

/// Applies `change`, checks that only the expected lines differ, applies `undo` to the written
/// file, and expects the original bytes.
fn assert_reversible(
    bytes: &[u8],
    (removed, added): (&[&str], &[&str]),
    change: impl FnOnce(&mut Qubes),
    undo: impl FnOnce(&mut Qubes),
) {
    let after = write_changed(bytes, change);
    let (old, new) = (
        std::str::from_utf8(bytes).unwrap(),
        std::str::from_utf8(&after).unwrap(),
    );
    assert_eq!(
        lines_only_in(old, new),
        sort_lines(removed),
        "lines that went"
    );
    assert_eq!(
        lines_only_in(new, old),
        sort_lines(added),
        "lines that came"
    );
    let again = write_changed(&after, undo);
    assert_eq!(std::str::from_utf8(&again).unwrap(), old);
}

fn sort_lines<'t>(lines: &[&'t str]) -> Vec<&'t str> {
    let mut lines = lines.to_vec();
    lines.sort_unstable();
    lines
}

/// Returns the trimmed lines of `a` that `b` has less often, sorted.
fn lines_only_in<'t>(a: &'t str, b: &str) -> Vec<&'t str> {
    let mut left: Vec<&str> = b.lines().collect();
    let missing = a
        .lines()
        .filter(|line| match left.iter().position(|l| l == line) {
            Some(at) => {
                left.remove(at);
                false
            }
            None => true,
        });
    let mut missing: Vec<&str> = missing.map(str::trim).collect();
    missing.sort_unstable();
    missing
}

#[test]
fn properties_are_added_and_removed_in_place() {
    let bytes = sample("small");
    let added = [
        "<property name=\"include_in_backups\">False</property>",
        "<property name=\"netvm\"></property>",
    ];
    assert_reversible(
        &bytes,
        (&[], &added),
        |q| {
            let work = q.edit("work").unwrap();
            work.properties.set("netvm", "");
            work.properties.set("include_in_backups", "False");
        },
        |q| {
            let work = q.edit("work").unwrap();
            work.properties.remove("netvm");
            work.properties.remove("include_in_backups");
        },
    );
    let text = write_changed(&bytes, |q| {
        q.edit("work").unwrap().properties.set("netvm", "sys-net")
    });
    let text = String::from_utf8(text).unwrap();
    let work = &text[text.find("<property name=\"name\">work<").unwrap()..];
    let (kernelopts, netvm, template) = (
        work.find("\"kernelopts\"").unwrap(),
        work.find("\"netvm\"").unwrap(),
        work.find("\"template\"").unwrap(),
    );
    assert!(
        kernelopts < netvm && netvm < template,
        "late properties in alphabetical order"
    );
}

#[test]
fn a_changed_value_changes_one_line() {
    assert_reversible(
        &sample("small"),
        (
            &["<property name=\"memory\">800</property>"],
            &["<property name=\"memory\">&lt;a&gt; &amp; b\u{17C}</property>"],
        ),
        |q| {
            q.edit("work")
                .unwrap()
                .properties
                .set("memory", "<a> & b\u{17C}")
        },
        |q| q.edit("work").unwrap().properties.set("memory", "800"),
    );
}

#[test]
fn features_tags_and_options_are_added_and_removed() {
    assert_reversible(
        &sample("small"),
        (
            &[],
            &[
                "<feature name=\"a&quot;b\">x",
                "y</feature>",
                "<tag name=\"mm\"/>",
                "<option name=\"new\"></option>",
            ],
        ),
        |q| {
            let work = q.edit("work").unwrap();
            work.features.set("a\"b", "x\ny");
            work.tags.push("mm".into());
            work.devices[1].assignments[1].options.set("new", "");
        },
        |q| {
            let work = q.edit("work").unwrap();
            work.features.remove("a\"b");
            work.tags.retain(|t| &**t != "mm");
            work.devices[1].assignments[1].options.remove("new");
        },
    );
}

#[test]
fn the_first_child_opens_an_empty_element_and_the_last_closes_it() {
    let added = ["<tags>", "<tag name=\"x\"/>", "</tags>"];
    assert_reversible(
        &sample("small"),
        (&["<tags/>"], &added),
        |q| q.edit("dom0").unwrap().tags.push("x".into()),
        |q| q.edit("dom0").unwrap().tags.clear(),
    );
}

fn assignment(backend: &str, port: &str) -> DeviceAssignment {
    let attributes = [
        ("backend-domain", backend),
        ("id", port),
        ("mode", "required"),
        ("identity", "*"),
    ];
    DeviceAssignment {
        attributes: attributes.into_iter().collect(),
        options: TextMap::new(),
    }
}

#[test]
fn devices_are_added_and_removed() {
    let added = [
        "<device backend-domain=\"sys-usb\" id=\"sdz\" mode=\"required\" identity=\"*\"/>",
        "<devices class=\"mic\">",
        "<device backend-domain=\"dom0\" id=\"mic\" mode=\"required\" identity=\"*\"/>",
        "</devices>",
    ];
    assert_reversible(
        &sample("small"),
        (&[], &added),
        |q| {
            let work = q.edit("work").unwrap();
            work.devices[1]
                .assignments
                .push(assignment("sys-usb", "sdz"));
            work.devices.push(DeviceClass {
                class: "mic".into(),
                assignments: vec![assignment("dom0", "mic")],
            });
        },
        |q| {
            let work = q.edit("work").unwrap();
            work.devices[1].assignments.pop();
            work.devices.pop();
        },
    );
    assert_reversible(
        &sample("small"),
        (
            &[
                "<device backend-domain=\"sys-usb\" id=\"sda\" mode=\"ask-to-attach\" \
                 identity=\"*\">",
            ],
            &["<device backend-domain=\"sys-usb\" id=\"sda\" mode=\"required\" identity=\"*\">"],
        ),
        |q| {
            q.edit("work").unwrap().devices[1].assignments[0]
                .attributes
                .set("mode", "required")
        },
        |q| {
            q.edit("work").unwrap().devices[1].assignments[0]
                .attributes
                .set("mode", "ask-to-attach")
        },
    );
}

#[test]
fn volume_attributes_and_volumes_are_added_and_removed() {
    let old = "<volume name=\"private\" pool=\"vm-pool\" vid=\"qubes_dom0/vm-work-private\" \
        revisions_to_keep=\"2\" \
               rw=\"True\" save_on_stop=\"True\" snap_on_start=\"False\" size=\"2147483648\"/>";
    let new = old.replace("2147483648\"", "5\" ephemeral=\"True\"");
    let extra = "<volume name=\"data\" pool=\"vm-pool\"/>";
    assert_reversible(
        &sample("small"),
        (&[old], &[&new, extra]),
        |q| {
            let work = q.edit("work").unwrap();
            work.volumes[1].attributes.set("size", "5");
            work.volumes[1].attributes.set("ephemeral", "True");
            let attributes = [("name", "data"), ("pool", "vm-pool")]
                .into_iter()
                .collect();
            work.volumes.push(VolumeConfig { attributes });
        },
        |q| {
            let work = q.edit("work").unwrap();
            work.volumes[1].attributes.set("size", "2147483648");
            work.volumes[1].attributes.remove("ephemeral");
            work.volumes.pop();
        },
    );
}

#[test]
fn globals_pools_and_labels_are_added_and_removed() {
    let bytes = sample("small");
    let added = [
        "<label id=\"label-12\" color=\"0x123456\">mauve</label>",
        "<pool name=\"p\" driver=\"file\"/>",
        "<property name=\"default_guivm\">dom0</property>",
    ];
    assert_reversible(
        &bytes,
        (&[], &added),
        |q| {
            let mut labels: Vec<Label> = q.labels.iter().cloned().collect();
            labels.push(Label {
                index: 12,
                color: "0x123456".into(),
                name: "mauve".into(),
            });
            q.labels = Labels::new(labels);
            q.pools.0.push(Pool {
                attributes: [("name", "p"), ("driver", "file")].into_iter().collect(),
            });
            q.globals.set("default_guivm", "dom0");
        },
        |q| {
            q.labels = Labels::new(q.labels.iter().filter(|l| l.index != 12).cloned().collect());
            q.pools.0.pop();
            q.globals.remove("default_guivm");
        },
    );
}

fn new_vm(name: &str) -> Vm {
    let mut vm = Vm::new(VmName::new(name).unwrap(), Class::AppVM);
    vm.properties.set("template", "debian-12-xfce");
    vm.properties.set("qid", "77");
    vm.properties.set("label", "red");
    vm.tags = vec!["z".into(), "a".into()];
    vm
}

#[test]
fn qubes_are_inserted_in_order_and_removed_with_their_blanks() {
    for name in ["small", "r40-small", "n1000"] {
        let bytes = sample(name);
        for vm in ["aaa", "mmm", "zzz"] {
            let with = write_changed(&bytes, |q| q.add(new_vm(vm)).unwrap());
            let again = format::read(with.clone()).unwrap();
            assert_eq!(
                again.get(vm).unwrap().properties.get("template"),
                Some("debian-12-xfce")
            );
            let without = write_changed(&with, |q| drop(q.remove(vm).unwrap()));
            assert!(without == bytes, "{name} {vm}");
        }
        let both = write_changed(&bytes, |q| {
            q.add(new_vm("zzz")).unwrap();
            q.add(new_vm("aaa")).unwrap();
        });
        let one = write_changed(&both, |q| drop(q.remove("aaa").unwrap()));
        assert!(
            write_changed(&one, |q| drop(q.remove("zzz").unwrap())) == bytes,
            "{name}"
        );
    }
}

#[test]
fn removing_every_qube_leaves_a_readable_file() {
    let bytes = sample("small");
    let emptied = write_changed(&bytes, |q| {
        vm_names(q).iter().for_each(|n| drop(q.remove(n).unwrap()))
    });
    let text = String::from_utf8(emptied.clone()).unwrap();
    assert!(text.ends_with("  <domains/>\n</qubes>\n"), "{text}");
    let with = write_changed(&emptied, |q| q.add(new_vm("one")).unwrap());
    assert_eq!(
        vm_names(&format::read(with.clone()).unwrap()),
        ["dom0", "one"]
    );
    assert_eq!(write_changed(&with, |q| drop(q.remove("one"))), emptied);
}

#[test]
fn unknown_content_survives_changes() {
    let strange = r#"<?xml version="1.0" encoding="utf-8"?>
<!-- mine --><qubes made-by='hand' >
<future><domain class="AppVM"/></future><labels><label id="label-1" color='0xcc0000'>red<!-- rouge --></label></labels>
  <properties><property name="clockvm" why="x">work</property></properties>
  <domains ><!-- <domain> --><domain class='AppVM' id = "domain-3" extra="1">
    <properties>
      <!-- before --><property   name='name'>work</property> <!-- after -->
      <property name="memory">400</property>	<property name="memory" unit="MiB"><![CDATA[5]]>00</property>
      <property name="qid">3</property><?keep me?>
      <property name="label" ref="label-1"/>
    </properties>
    <features></features><future><properties><property name="name">other</property></properties></future>
    <devices class="toaster"><device id="1" heat="&lt;9"/><slot/></devices>
  </domain></domains></qubes>
"#;
    let qubes = format::read(strange.as_bytes().to_vec()).unwrap();
    let work = qubes.get("work").unwrap();
    assert_eq!(work.properties.get("memory"), Some("500"));
    assert_eq!(work.properties.get("label"), Some("label-1"));
    assert_eq!(
        work.devices[0].assignments[0].attributes.get("heat"),
        Some("<9")
    );
    assert_eq!(qubes.labels.find("red").unwrap().index, 1);

    let after = write_changed(strange.as_bytes(), |q| {
        let work = q.edit("work").unwrap();
        work.properties.set("memory", "600");
        work.properties.set("label", "blue");
        work.properties.set("autostart", "True");
        work.features.set("gui", "1");
        work.devices[0].assignments[0].attributes.set("heat", "'3'");
        q.globals.set("clockvm", "");
    });
    let expected = strange
        .replace("<![CDATA[5]]>00", "600")
        .replace(" ref=\"label-1\"/>", ">blue</property>")
        .replace(
            "    <properties>\n",
            "    <properties>\n      <property name=\"autostart\">True</property>\n",
        )
        .replace(
            "<features></features>",
            "<features><feature name=\"gui\">1</feature></features>",
        )
        .replace("&lt;9", "'3'")
        .replace(" why=\"x\">work<", " why=\"x\"><");
    assert_eq!(String::from_utf8(after).unwrap(), expected);
}
