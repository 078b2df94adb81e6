//! qubes-domain-xml: the descriptions compared with those that R3.2's own code made of the same
//! qubes, and users' templates.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use qubes_test_support::TestSystem;
use quick_xml::events::{BytesStart, Event};

use crate::systems::create;

/// Creates the converted invented system of R3 that the recorded descriptions belong to, under Xen,
/// on a host of the same size.
fn converted() -> TestSystem {
    let system = TestSystem::empty().online();
    let write = |path: &str, text: &[u8]| {
        let file = system.path(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    };
    let store = fs::read(data("saved.xml")).unwrap();
    write("/var/lib/qubes/qubes.xml", &store);
    for file in ["vmlinuz", "initramfs", "modules.img"] {
        write(
            &format!("/var/lib/qubes/vm-kernels/4.1.13-6/{file}"),
            b"a kernel",
        );
    }
    let host = "[host]\nmemory_mib = 8192\ncpus = 4\n[hypervisor]\nuri = \"xen:///system\"\n";
    write("/etc/qubes/core.toml", host.as_bytes());
    system.succeeds("qubes-db convert");
    system
}

fn data(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/r3")
        .join(name)
}

/// How often each path of the document has each value, such as `devices/disk/source@dev`.
type Places = BTreeMap<String, BTreeMap<String, usize>>;

fn places(xml: &str) -> Places {
    let mut reader = quick_xml::Reader::from_str(xml);
    let (mut path, mut found): (Vec<String>, Places) = (Vec::new(), Places::new());
    let mut add = |place: String, value: &str| {
        *found
            .entry(place)
            .or_default()
            .entry(value.to_string())
            .or_default() += 1;
    };
    let enter =
        |path: &mut Vec<String>, start: &BytesStart<'_>, add: &mut dyn FnMut(String, &str)| {
            path.push(start.name().as_ref().to_string());
            let place = path[1..].join("/");
            let mut attributes = 0;
            for attribute in start.attributes().map(Result::unwrap) {
                let name = attribute.key.as_ref().to_string();
                add(format!("{place}@{name}"), &attribute.value);
                attributes += 1;
            }
            attributes
        };
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => drop(enter(&mut path, &start, &mut add)),
            Event::Empty(start) => {
                if enter(&mut path, &start, &mut add) == 0 {
                    add(path[1..].join("/"), "");
                }
                path.pop();
            }
            Event::End(_) => drop(path.pop()),
            Event::Text(text) => {
                let text = text.trim().to_string();
                if !text.is_empty() {
                    add(path[1..].join("/"), &text);
                }
            }
            Event::Eof => return found,
            _ => {}
        }
    }
}

/// Returns the paths in which two descriptions differ.
fn differences(theirs: &Places, ours: &Places) -> BTreeSet<String> {
    let all: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
    all.into_iter()
        .filter(|place| theirs.get(*place) != ours.get(*place))
        .cloned()
        .collect()
}

/// Returns the paths that docs/domain-xml.md lists: the first column of its table.
fn listed() -> BTreeSet<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/domain-xml.md"))
        .unwrap();
    let rows = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    rows.flat_map(|cell| {
        cell.split(", ")
            .map(|place| place.trim_matches('`').to_string())
    })
    .collect()
}

#[test]
fn differences_from_the_descriptions_of_r3_are_those_the_document_lists() {
    let system = converted();
    let suffix = {
        let xml = system.succeeds("qubes-domain-xml --offline-mode work");
        let name = xml.split("<name>work").nth(1).unwrap();
        name.split('<').next().unwrap().to_string()
    };
    let mut differing = BTreeSet::new();
    let mut compared = 0;
    for entry in fs::read_dir(data("libvirt")).unwrap() {
        let file = entry.unwrap().path();
        let qube = file.file_stem().unwrap().to_str().unwrap().to_string();
        let ours = system.succeeds(["qubes-domain-xml", "--offline-mode", &qube]);
        // A store below a root has other domain names and paths.
        let ours = ours
            .replace(&suffix, "")
            .replace(system.root().to_str().unwrap(), "");
        let differs = differences(&places(&fs::read_to_string(&file).unwrap()), &places(&ours));
        for same in [
            "name",
            "memory",
            "currentMemory",
            "vcpu",
            "os/type",
            "os/kernel",
            "on_crash",
            "os/boot@dev",
        ] {
            assert!(!differs.contains(same), "{qube}: {same}: {ours}");
        }
        differing.extend(differs);
        compared += 1;
    }
    assert_eq!(compared, 9);
    let mut listed = listed();
    if Path::new("/etc/xen/scripts/qubes-block").exists() {
        listed.remove("devices/interface/script@path");
    }
    let unlisted: Vec<_> = differing.difference(&listed).collect();
    let no_more: Vec<_> = listed.difference(&differing).collect();
    assert!(
        unlisted.is_empty() && no_more.is_empty(),
        "not in the document: {unlisted:?}; only there: {no_more:?}"
    );
}

#[test]
fn a_users_template_changes_the_description_and_its_errors_have_file_and_line() {
    let system = TestSystem::empty().online().with_template();
    create(&system, "work", "");
    create(&system, "vault", "");
    let shown = |qube: &str| system.succeeds(["qubes-domain-xml", "--offline-mode", qube]);
    assert!(
        shown("work").contains("<vcpu placement=\"static\">1</vcpu>"),
        "{}",
        shown("work")
    );
    let file = system.path("/etc/qubes/templates/libvirt/qemu/by-name/work.xml");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let every = system.path("/etc/qubes/templates/libvirt/qemu-user.xml");
    fs::write(
        &every,
        "{% extends 'libvirt/qemu.xml' %}\n\
         {% block on %}<on_crash>preserve</on_crash>{% endblock %}",
    )
    .unwrap();
    fs::write(
        &file,
        "{% extends 'libvirt/qemu.xml' %}\n{% block cpu %}\n\
         <cpu mode='{{ vm.nothing }}'/>{% endblock %}",
    )
    .unwrap();
    assert!(shown("vault").contains("<on_crash>preserve</on_crash>"));
    let line = system.fails(1, "qubes-domain-xml --offline-mode work");
    assert!(
        line.contains(&format!("template {} line 3: ", file.display())),
        "{line}"
    );
    fs::write(
        &file,
        "{% extends 'libvirt/qemu.xml' %}{% block cpu %}<cpu mode='{{ vm.qube }}'/>{% endblock %}",
    )
    .unwrap();
    let xml = shown("work");
    assert!(
        xml.contains("<cpu mode='work'/>") && xml.contains("<on_crash>destroy</on_crash>"),
        "{xml}"
    );
    let line = system.fails(1, "qubes-domain-xml --offline-mode dom0");
    assert!(
        line.contains("dom0 is of class AdminVM, which has no domain of its own here"),
        "{line}"
    );
}

#[test]
fn kernel_options_fit_the_hypervisor_unless_the_kernel_brings_its_own() {
    let system = TestSystem::empty().online().with_template();
    for (property, value) in [("virt_mode", "pvh"), ("kernel", "1.0")] {
        system.succeeds(["qvm-prefs", "tpl", property, value]);
    }
    create(&system, "work", "");
    let line = |uri: &str| {
        let output = system
            .command("qubes-domain-xml work")
            .env("QUBES_LIBVIRT_URI", uri)
            .output()
            .unwrap();
        let xml = String::from_utf8(output.stdout).unwrap();
        let start = xml.find("<cmdline>").unwrap() + "<cmdline>".len();
        xml[start..xml.find("</cmdline>").unwrap()].to_string()
    };
    assert_eq!(
        line("qemu:///system"),
        "root=/dev/vda rw console=ttyS0 swiotlb=2048"
    );
    assert!(
        line("xen:///system").starts_with("root=/dev/mapper/dmroot ro nomodeset console=hvc0 ")
    );
    let own = system.path("/var/lib/qubes/vm-kernels/1.0/default-kernelopts-common.txt");
    fs::write(own, "root=LABEL=mine ").unwrap();
    for uri in ["qemu:///system", "xen:///system"] {
        assert_eq!(line(uri), "root=LABEL=mine swiotlb=2048");
    }
}
