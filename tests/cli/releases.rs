//! Changes load in the release that is written for, and untouched content stays as it is, for each
//! of 4.0 to 4.4. The tables are taken from upstream's history, independently of the property
//! table.

use std::fs;

use qubes_test_support::domain_texts::domains;
use qubes_test_support::{TestSystem, paths};

const RELEASES: [&str; 5] = ["4.0", "4.1", "4.2", "4.3", "4.4"];

/// A property of work, a value, and the first release that loads it.
const INTRODUCED: &[(&str, &str, &str)] = &[
    ("memory", "444", "4.0"),
    ("kernelopts", "quiet", "4.0"),
    ("provides_network", "True", "4.0"),
    ("netvm", "none", "4.0"),
    ("template_for_dispvms", "True", "4.0"),
    ("shutdown_timeout", "90", "4.0"),
    ("management_dispvm", "default-dvm", "4.0"),
    ("guivm", "dom0", "4.1"),
    ("audiovm", "dom0", "4.1"),
    ("keyboard_layout", "de++", "4.1"),
    ("devices_denied", "b******", "4.3"),
    ("bootmode", "default", "4.3"),
];

/// A global property, a value, and the first release that loads it.
const INTRODUCED_GLOBALS: &[(&str, &str, &str)] = &[
    ("stats_interval", "7", "4.0"),
    ("default_shutdown_timeout", "70", "4.0"),
    ("default_qrexec_timeout", "70", "4.0"),
    ("default_guivm", "dom0", "4.1"),
    ("default_audiovm", "dom0", "4.1"),
];

fn new_system(text: &str, release: &str) -> TestSystem {
    let system = TestSystem::with_store(text);
    system.write("/var/lib/qubes/vm-kernels/6.6.77-1.fc37/vmlinuz", "");
    system.configure(&format!("[store]\nrelease = \"{release}\"\n"));
    system
}

/// Returns the text of a qube's domain.
fn domain(system: &TestSystem, name: &str) -> String {
    domains(&system.store()).remove(name).unwrap()
}

/// Returns the kinds of the findings about a qube.
fn kinds_of(system: &TestSystem, qube: &str) -> Vec<String> {
    let listed = system.run("qubes-db check --json").json();
    let findings = listed.as_array().unwrap().iter();
    findings
        .filter(|finding| finding["qube"] == qube)
        .map(|finding| finding["kind"].as_str().unwrap().to_owned())
        .collect()
}

fn sample(name: &str) -> String {
    fs::read_to_string(paths::sample(name)).unwrap()
}

/// `small.xml` with a pool of files, so that images can be created.
fn small() -> String {
    sample("small.xml").replace(
        "driver=\"file\"",
        "driver=\"file-reflink\" setup_check=\"no\"",
    )
}

#[test]
fn a_property_is_set_only_in_releases_that_know_it() {
    for release in RELEASES {
        for (table, command) in [
            (INTRODUCED, "qvm-prefs work"),
            (INTRODUCED_GLOBALS, "qubes-prefs"),
        ] {
            for (property, value, since) in table {
                let system = new_system(&small(), release);
                let before = system.store();
                let ran = system.run(format!("{command} {property} {value}"));
                let stored = format!(
                    "<property name=\"{property}\">{}</property>",
                    value.replace("none", "")
                );
                if *since <= release {
                    assert_eq!(ran.code, 0, "{release}: {property}: {ran:?}");
                    let (has, had) = (system.store(), before);
                    assert!(has != had || had.contains(&stored), "{release}: {property}");
                    assert!(has.contains(&stored), "{release}: {property}");
                } else {
                    assert_eq!(ran.code, 1, "{release}: {property}: {ran:?}");
                    let reason = format!("Qubes OS {release} does not know it (since {since})");
                    assert!(
                        ran.stderr.contains(property) && ran.stderr.contains(&reason),
                        "{release}: {ran:?}"
                    );
                    assert_eq!(system.store(), before, "{release}: {property}");
                }
            }
        }
    }
}

#[test]
fn properties_too_new_for_the_release_are_reported_and_can_be_removed() {
    for (property, value, since) in INTRODUCED.iter().filter(|(_, _, since)| *since > "4.0") {
        for release in RELEASES {
            let line = format!("        <property name=\"{property}\">{value}</property>\n");
            let text = small().replace("        <property name=\"vcpus\">4</property>\n", &line);
            let system = new_system(&text, release);
            let is_reported = kinds_of(&system, "work").contains(&"too-new".to_owned());
            assert_eq!(is_reported, *since > release, "{release}: {property}");
            if is_reported {
                system.succeeds("qvm-prefs vault memory 444");
                assert!(
                    system.store().contains(&line),
                    "{release}: {property} is kept while untouched"
                );
                system.succeeds(format!("qvm-prefs -D work {property}"));
                assert!(!system.store().contains(&line), "{release}: {property}");
            }
        }
    }
}

#[test]
fn a_new_qube_loads_in_each_release() {
    for release in RELEASES {
        let system = new_system(&small(), release);
        system.succeeds("qvm-create --label red new");
        let new = domain(&system, "new");
        assert!(
            !new.contains("\"False\""),
            "{release}: a false flag is left out, never written: {new}"
        );
        assert!(new.contains("<property name=\"uuid\">"), "{release}: {new}");
        assert_eq!(
            kinds_of(&system, "new"),
            Vec::<String>::new(),
            "{release}: {new}"
        );
        for (property, _, since) in INTRODUCED {
            let is_set = new.contains(&format!("name=\"{property}\""));
            assert!(!is_set || *since <= release, "{release}: {property}: {new}");
        }

        let dotted = system.run("qvm-create --label red a.b");
        assert_eq!(dotted.code == 0, release >= "4.3", "{release}: {dotted:?}");
        let remote = system.run("qvm-create --class RemoteVM --label red far");
        assert_eq!(remote.code == 0, release >= "4.3", "{release}: {remote:?}");
        if release < "4.3" {
            assert!(
                remote
                    .stderr
                    .contains(&format!("Qubes OS {release} does not know remote qubes")),
                "{remote:?}"
            );
        }
    }
}

#[test]
fn an_ephemeral_key_is_written_only_in_releases_that_know_it() {
    for release in RELEASES {
        let volatile =
            "<volume name=\"volatile\" pool=\"varlibqubes\" vid=\"appvms/default-dvm/volatile\"";
        let text = small();
        assert!(text.contains(volatile));
        let text = text.replace(
            volatile,
            &volatile.replace("<volume ", "<volume ephemeral=\"True\" "),
        );
        let system = new_system(&text, release);
        system.succeeds("qvm-create --class DispVM --template default-dvm --label red disp");
        let disp = domain(&system, "disp");
        assert_eq!(
            disp.contains("ephemeral=\"True\""),
            release >= "4.1",
            "{release}: {disp}"
        );
        assert!(!disp.contains("\"False\""), "{release}: {disp}");
        assert_eq!(
            kinds_of(&system, "disp"),
            Vec::<String>::new(),
            "{release}: {disp}"
        );
        assert_eq!(
            kinds_of(&system, "default-dvm").contains(&"too-new".to_owned()),
            release < "4.1",
            "{release}"
        );
    }
}

#[test]
fn qube_numbers_are_limited_by_the_release() {
    let mut text = small();
    let taken: String = (1..255)
        .filter(|n| !text.contains(&format!("\"qid\">{n}<")))
        .map(|n| {
            format!(
                "    <domain id=\"domain-{n}\" class=\"StandaloneVM\">\n      <properties>\
                 \n        \
                 <property name=\"label\">red</property>\n        <property \
                 name=\"name\">q{n}</property>\n        \
                 <property name=\"qid\">{n}</property>\n        \
                 <property name=\"uuid\">00000000-0000-4000-8000-{n:012}</property>\
                 \n      </properties>\n    </domain>\n"
            )
        })
        .collect();
    text = text.replacen("  </domains>", &format!("{taken}  </domains>"), 1);
    for release in RELEASES {
        let system = new_system(&text, release);
        let ran = system.run("qvm-create --label red new");
        assert_eq!(ran.code == 0, release >= "4.2", "{release}: {ran:?}");
        if release < "4.2" {
            assert!(
                ran.stderr
                    .contains(&format!("all 254 numbers of Qubes OS {release} are in use")),
                "{ran:?}"
            );
            // A number beyond the limit is reported.
            let later = new_system(&text.replacen("\"qid\">254<", "\"qid\">300<", 1), release);
            assert_eq!(kinds_of(&later, "q254"), ["bad-value"], "{release}");
        } else {
            assert!(domain(&system, "new").contains("\"qid\">255<"), "{release}");
        }
    }
}

#[test]
fn untouched_content_is_kept_byte_for_byte_in_every_release() {
    for name in ["small.xml", "random-1.xml", "r40-small.xml"] {
        let text = sample(name);
        for release in RELEASES {
            let system = new_system(&text, release);
            let qube = if name == "random-1.xml" {
                system.succeeds("qvm-ls --raw-list --class AppVM")
            } else {
                "work".into()
            };
            let qube = qube.lines().next().unwrap().to_owned();
            let before = domain(&system, &qube);
            system.succeeds(format!("qvm-prefs {qube} memory 4321"));
            let after = system.store();
            let lines = |text: &str| {
                text.lines()
                    .filter(|l| !l.contains("\"memory\""))
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            };
            assert_eq!(
                lines(&text),
                lines(&after),
                "{name} {release}: nothing but memory differs"
            );
            assert_ne!(before, domain(&system, &qube));
        }
    }
}

#[test]
fn device_assignments_are_kept_and_those_the_release_misreads_are_reported() {
    let devices = |devices: &str| {
        let text = small();
        let at = text.rfind("      <devices class=\"block\">").unwrap();
        let end = at + text[at..].find("</devices>\n").unwrap() + "</devices>\n".len();
        format!("{}{devices}{}", &text[..at], &text[end..])
    };
    let block = |attributes: &str| {
        format!(
            "<devices class=\"block\">\n        <device backend-domain=\"sys-usb\" \
             id=\"sda\"{attributes}/>\n      </devices>\n"
        )
    };
    let (mode, identity) = (Some("device-mode"), Some("device-identity"));
    let cases = [
        // As written by 4.0 to 4.2, early 4.3, 4.3.12 and later; and unknown content.
        (block(""), None, None),
        (block(" required=\"yes\""), None, None),
        (block(" required=\"no\""), mode, None),
        (block(" mode=\"required\" identity=\"*\""), None, None),
        (block(" mode=\"auto-attach\" identity=\"*\""), mode, None),
        (block(" mode=\"required\" identity=\"a:b\""), identity, None),
        (
            block(">\n          <option name=\"identity\">a:b</option>\n        </device")
                .replace("</device/>", "</device>"),
            identity,
            None,
        ),
        (
            "<devices class=\"usb\">\n        <device backend-domain=\"*\" id=\"2-1\" \
             mode=\"required\" identity=\"*\"/>\n      </devices>\n"
                .to_string(),
            None,
            None,
        ),
        (
            "<devices class=\"mtp\">\n        <device backend-domain=\"sys-usb\" id=\"x\" \
             wonder=\"1\">\n          <option name=\"y\"></option>\n        </device>\
             \n      </devices>\n"
                .to_string(),
            None,
            None,
        ),
        (
            "<devices class=\"usb\">\n        <device backend-domain=\"gone\" id=\"2-1\"/>\
             \n      </devices>\n"
                .to_string(),
            Some("device-backend"),
            Some("device-backend"),
        ),
    ];
    for (text, before, since) in cases {
        let text = format!("      {text}");
        for release in RELEASES {
            let system = new_system(&devices(&text), release);
            let kinds = kinds_of(&system, "work");
            let reported: Vec<&String> =
                kinds.iter().filter(|k| k.starts_with("device-")).collect();
            let expected: Vec<&str> = if release < "4.3" { before } else { since }
                .into_iter()
                .collect();
            assert_eq!(reported, expected, "{release}: {text}");
            // Another property of the same qube changes; the assignments stay as they are.
            system.succeeds("qvm-prefs work memory 444");
            system.succeeds("qvm-tags work add other");
            assert!(system.store().contains(&text), "{release}: {text}");
        }
    }
}

#[test]
fn a_qube_that_provides_devices_is_not_removed() {
    for devices in [
        "<devices class=\"block\"><device backend-domain=\"sys-spare\" id=\"sda\" \
         mode=\"ask-to-attach\" identity=\"*\"/></devices>",
        "<devices class=\"wonder\"><device backend-domain=\"sys-spare\" id=\"x\"/></devices>",
    ] {
        let system = new_system(&small(), "4.3");
        system.succeeds("qvm-create --label red sys-spare");
        let sound = system.store();
        fs::write(
            system.store_file(),
            sound.replacen(
                "      <devices class=\"block\">",
                &format!("      {devices}\n      <devices class=\"block\">"),
                1,
            ),
        )
        .unwrap();
        let ran = system.run("qvm-remove --force sys-spare");
        assert_eq!(ran.code, 1, "{devices}: {ran:?}");
        assert!(
            ran.stderr
                .contains("sys-spare cannot be removed. It is in use as:"),
            "{devices}: {ran:?}"
        );
        fs::write(system.store_file(), &sound).unwrap();
        system.succeeds("qvm-remove --force sys-spare");
    }
}
