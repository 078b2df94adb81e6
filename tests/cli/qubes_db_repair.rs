//! qubes-db repair for somebody whose qubesd refuses to start: each kind of damage is repaired or
//! explained, after a copy, and guesses are left to a person.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;

use qubes_test_support::domain_texts::domains;
use qubes_test_support::paths::sample;
use qubes_test_support::sound_store::SOUND;
use qubes_test_support::tool_output::wait_for;
use qubes_test_support::{TestSystem, repository};

/// The original text, the damaged text, the kind that check reports, and the text after the repair;
/// `None` where only a person can decide.
type Case = (
    &'static str,
    &'static str,
    &'static str,
    Option<&'static str>,
);

/// The damage, case by case.
const CASES: &[Case] = &[
    (
        "<property name=\"memory\">400</property>\n        ",
        "<property name=\"memory\">much</property>\n        ",
        "bad-value",
        Some(""),
    ),
    (
        "<property name=\"memory\">400",
        "<property name=\"provides_network\">perhaps",
        "bad-value",
        None,
    ),
    (
        "<property name=\"memory\">400</property>\n        ",
        "<property name=\"colour\">blue</property>\n        ",
        "unknown-property",
        Some(""),
    ),
    (
        "<property name=\"memory\">400</property>\n        ",
        "<property name=\"xid\">4</property>\n        ",
        "computed-property",
        Some(""),
    ),
    (
        "\"netvm\">sys-net<",
        "\"netvm\">gone<",
        "dangling",
        Some("\"netvm\"><"),
    ),
    (
        "\"netvm\">sys-net<",
        "\"netvm\">fedora<",
        "unfit",
        Some("\"netvm\"><"),
    ),
    (
        "\"netvm\"></property>",
        "\"netvm\">sys-net</property>",
        "netvm-loop",
        Some("\"netvm\"></property>"),
    ),
    ("\"template\">fedora", "\"template\">gone", "dangling", None),
    ("\"template\">fedora", "\"template\">work", "unfit", None),
    (
        "<property name=\"template\">fedora</property>\n",
        "\n",
        "missing-property",
        None,
    ),
    ("\"qid\">3<", "\"qid\">2<", "qid-twice", Some("\"qid\">3<")),
    (
        "id=\"domain-3\"",
        "id=\"domain-33\"",
        "",
        Some("id=\"domain-33\""),
    ),
    (
        "\"qid\">3<",
        "\"qid\">10001<",
        "bad-value",
        Some("\"qid\">3<"),
    ),
    (
        "\"qid\">3<",
        "\"qid\">three<",
        "bad-value",
        Some("\"qid\">3<"),
    ),
    (
        "        <property name=\"qid\">3</property>\n",
        "",
        "missing-property",
        Some("        <property name=\"qid\">3</property>\n"),
    ),
    (
        "\"label\">red<",
        "\"label\">mauve<",
        "dangling",
        Some("\"label\">red<"),
    ),
    (
        "        <property name=\"label\">red</property>\n        <property name=\"memory\"",
        "        <property name=\"memory\"",
        "missing-property",
        Some("        <property name=\"label\">red</property>\n        <property name=\"memory\""),
    ),
    (
        "class=\"AppVM\"",
        "class=\"appvm\"",
        "unknown-class",
        Some("class=\"AppVM\""),
    ),
    (
        "id=\"domain-3\" class=\"AppVM\"",
        "id=\"domain-3\" class=\"FancyVM\"",
        "unknown-class",
        None,
    ),
    (
        "        <property name=\"name\">work</property>\n",
        "",
        "qube-name",
        Some("        <property name=\"name\">work</property>\n"),
    ),
    (
        "\"name\">work<",
        "\"name\">../work<",
        "qube-name",
        Some("\"name\">work<"),
    ),
    (
        "\"qid\">3<",
        "\"qid\">4</property>\n        <property name=\"qid\">3<",
        "property-twice",
        Some("\"qid\">3<"),
    ),
    (
        "<property name=\"memory\">",
        "<property>500</property>\n        <property name=\"memory\">",
        "nameless",
        Some("<property name=\"memory\">"),
    ),
    (
        "<tags>
        <tag name=\"mine\"/>
      </tags>",
        "<tags>
        <tag name=\"not mine\"/>
      </tags>",
        "bad-tag",
        Some("<tags/>"),
    ),
    (
        "<tag name=\"mine\"/>",
        "<tag/>\n        <tag name=\"mine\"/>",
        "nameless",
        Some("<tag name=\"mine\"/>"),
    ),
    (
        "backend-domain=\"sys-net\"",
        "backend-domain=\"gone\"",
        "device-backend",
        None,
    ),
    ("mode=\"required\"", "mode=\"manual\"", "device-mode", None),
    (
        "rw=\"True\" save",
        "rw=\"True\" snap_on_start=\"False\" save",
        "volume-flag",
        Some("rw=\"True\" save"),
    ),
    ("rw=\"True\" save", "rw=\"False\" save", "volume-flag", None),
    (
        "pool=\"varlibqubes\" vid",
        "pool=\"gone\" vid",
        "volume-pool",
        None,
    ),
    (
        "pool=\"varlibqubes\" vid",
        "pool=\"linux-kernel\" vid",
        "volume-unfit",
        None,
    ),
    (
        "<volume-config>",
        "<volume-config>\n        <volume name=\"kernel\" pool=\"varlibqubes\" vid=\"1.0\"/>",
        "volume-unfit",
        Some(
            "<volume-config>\n        <volume name=\"kernel\" pool=\"linux-kernel\" vid=\"1.0\"/>",
        ),
    ),
    (
        "vid=\"appvms/work/private\"",
        "vid=\"appvms/../private\"",
        "unsafe-path",
        None,
    ),
    (
        "dir_path=\"/var/lib/qubes\" driver",
        "driver",
        "pool-option",
        None,
    ),
    (
        " revisions_to_keep=\"1\"/>",
        " revisions_to_keep=\"x\"/>",
        "pool-option",
        Some("/>"),
    ),
    (
        "<features>\n        <feature name=\"service.cups\"></feature>\n      </features>",
        "<features>\n        <feature name=\"preload-dispvm-max\">abc</feature>\n      </features>",
        "bad-feature",
        Some("<features/>"),
    ),
    (
        "\n    <property name=\"default_netvm\">sys-net</property>",
        "\n    <property name=\"default_netvm\">dom0</property>",
        "unfit",
        Some(""),
    ),
    (
        " size=\"2147483648\"",
        " size=\"2 GiB\"",
        "volume-number",
        Some(""),
    ),
    (
        " size=\"2147483648\"",
        " wonder=\"1\" size=\"2147483648\"",
        "volume-attribute",
        Some(" size=\"2147483648\""),
    ),
    (
        "\n    <property name=\"default_netvm\">sys-net</property>",
        "\n    <property name=\"default_netvm\">gone</property>",
        "dangling",
        Some(""),
    ),
    (
        "\n    <property name=\"default_netvm\">sys-net</property>",
        "\n    <property name=\"default_netvm\">sys-net</property>\n    <property \
         name=\"wonder\">1</property>",
        "unknown-property",
        Some("\n    <property name=\"default_netvm\">sys-net</property>"),
    ),
    (
        "\"default_kernel\">1.0",
        "\"stats_interval\">3",
        "default-kernel",
        None,
    ),
    (
        "id=\"label-8\"",
        "id=\"eight\"",
        "label-number",
        Some("id=\"label-8\""),
    ),
    (
        "id=\"label-8\"",
        "id=\"label-1\"",
        "label-twice",
        Some("id=\"label-8\""),
    ),
    (
        "\n  </pools>",
        "\n    <pool driver=\"file\"/>\n  </pools>",
        "pool-name",
        Some("\n  </pools>"),
    ),
    (
        "\n  </pools>",
        "\n    <pool name=\"linux-kernel\" dir_path=\"/var/lib/qubes/vm-kernels\" \
         driver=\"linux-kernel\"/>\n  </pools>",
        "pool-twice",
        Some("\n  </pools>"),
    ),
    (
        "\n  </pools>",
        "\n    <pool name=\"linux-kernel\" dir_path=\"/other\" driver=\"linux-kernel\"/>\
         \n  </pools>",
        "pool-twice",
        None,
    ),
    ("driver=\"file-reflink\" ", "", "pool-driver", None),
    (
        "keep=\"1\"/>",
        "keep=\"1\" ephemeral_volatile=\"False\"/>",
        "pool-flag",
        Some("keep=\"1\"/>"),
    ),
    (
        "keep=\"1\"/>",
        "keep=\"1\" colour=\"blue\"/>",
        "pool-option",
        Some("keep=\"1\"/>"),
    ),
    (
        "        <property name=\"label\">black</property>\n      </properties>\n    </domain>\
         \n    <domain id=\"domain-1\"",
        "      </properties>\n    </domain>\n    <domain id=\"domain-1\"",
        "no-dom0",
        Some(
            "        <property name=\"label\">black</property>\n      </properties>\n    </domain>\
             \n    <domain id=\"domain-1\"",
        ),
    ),
    (
        "default_netvm\">sys-net<",
        "default_dispvm\">work<",
        "not-for-disposables",
        None,
    ),
    (
        "14cf2e5d-7025-41d7-a69c-dc4282cbdcff",
        "b426f560-25dc-4993-875e-6f7ad1398b59",
        "uuid-twice",
        None,
    ),
    (
        "14cf2e5d-7025-41d7-a69c-dc4282cbdcff",
        "14cf2e5d",
        "bad-value",
        None,
    ),
    (
        "        <property name=\"uuid\">14cf2e5d-7025-41d7-a69c-dc4282cbdcff</property>\n",
        "",
        "missing-property",
        None,
    ),
    (
        "\n      </devices>",
        "\n        <device backend-domain=\"sys-net\" id=\"sda\" mode=\"auto-attach\" \
         identity=\"*\"/>\n      </devices>",
        "device-twice",
        Some("\n      </devices>"),
    ),
    (
        "\n      </devices>",
        "\n      </devices>\n      <devices class=\"pci\">\n        <device \
         backend-domain=\"dom0\" id=\"first\"/>\n        <device backend-domain=\"dom0\" \
         id=\"00_14.0\"/>\n      </devices>",
        "device-port",
        Some(
            "\n      </devices>\n      <devices class=\"pci\">\n        <device \
             backend-domain=\"dom0\" id=\"00_14.0\"/>\n      </devices>",
        ),
    ),
    (
        "<volume-config>",
        "<volume-config>\n        <volume name=\"root\" pool=\"varlibqubes\" \
         vid=\"appvms/work/root\" snap_on_start=\"True\" source=\"vm-templates/gone/root\"/>",
        "volume-source",
        Some(
            "<volume-config>\n        <volume name=\"root\" pool=\"varlibqubes\" \
             vid=\"appvms/work/root\" snap_on_start=\"True\"/>",
        ),
    ),
    (
        "\"template\">fedora</property>\n      </properties>",
        "\"template\">fedora</property>\n      </properties>\n      <volume-config>\
         \n        <volume name=\"private\" pool=\"varlibqubes\" vid=\"appvms/work/private\"/>\
         \n      </volume-config>",
        "volume-shared",
        Some(
            "\"template\">fedora</property>\n      </properties>\n      <volume-config>\
             \n        <volume name=\"private\" pool=\"varlibqubes\"/>\n      </volume-config>",
        ),
    ),
    (
        "\n  </domains>",
        "\n    <domain id=\"domain-0\" class=\"AdminVM\">\n      <properties/>\n    </domain>\
         \n  </domains>",
        "qube-name-twice",
        Some("\n  </domains>"),
    ),
];

fn damage_store((old, new, ..): &Case) -> String {
    assert!(SOUND.contains(old), "{old}");
    SOUND.replacen(old, new, 1)
}

fn kinds_of(store: &TestSystem) -> Vec<(String, bool)> {
    let listed = store.run("qubes-db check --json").json();
    let kind = |d: &serde_json::Value| {
        (
            d["kind"].as_str().unwrap().to_owned(),
            d["automatic"].as_bool().unwrap(),
        )
    };
    listed.as_array().unwrap().iter().map(kind).collect()
}

#[test]
fn each_kind_of_damage_is_repaired_or_explained() {
    for case in CASES {
        let (old, new, kind, repaired) = case;
        let text = damage_store(case);
        let store = TestSystem::with_store(&text);
        let kinds = kinds_of(&store);
        assert_eq!(
            kinds.iter().any(|(k, _)| k == kind),
            !kind.is_empty(),
            "{old} → {new}: {kinds:?}"
        );
        let is_automatic = kinds.iter().all(|(_, automatic)| *automatic);
        let ran = store.run("qubes-db repair --yes");
        if let Some(repaired) = repaired {
            assert_eq!(ran.code, 0, "{old} → {new}: {ran:?}");
            assert_eq!(
                store.store(),
                SOUND.replacen(old, repaired, 1),
                "{old} → {new}: {ran:?}"
            );
            assert_eq!(
                store.run("qubes-db check").code,
                0,
                "{old} → {new}: {ran:?}"
            );
        } else if is_automatic {
            assert_eq!(
                (ran.code, store.run("qubes-db check").code),
                (0, 0),
                "{old} → {new}: {ran:?}"
            );
        } else {
            assert_eq!(ran.code, 1, "{old} → {new}: {ran:?}");
            assert!(
                ran.stdout.contains("    left: by hand: "),
                "{old} → {new}: {ran:?}"
            );
            assert_eq!(
                store.store(),
                text,
                "{old} → {new}: an undecidable value is kept"
            );
        }
        // The other qubes are unchanged.
        let (before, after) = (domains(&text), domains(&store.store()));
        for (name, domain) in before
            .iter()
            .filter(|(name, _)| domains(SOUND).get(*name) == before.get(*name))
        {
            assert_eq!(Some(domain), after.get(name), "{old} → {new}: {name}");
        }
        // Whenever something was written, there is a copy of the original, byte for byte.
        if store.store() != text {
            let copies = store.copies();
            assert_eq!(copies.len(), 1, "{old} → {new}");
            assert_eq!(
                fs::read_to_string(&copies[0]).unwrap(),
                text,
                "{old} → {new}"
            );
            assert!(
                ran.stdout.contains(&copies[0].display().to_string()),
                "{ran:?}"
            );
        }
    }
}

#[test]
fn repair_lists_each_change_with_its_line_and_writes_only_after_consent() {
    let text = SOUND
        .replace("\"memory\">400", "\"memory\">much")
        .replace("\"netvm\">sys-net<", "\"netvm\">gone<");
    let store = TestSystem::with_store(&text);
    let line = |what: &str| 1 + text.lines().position(|l| l.contains(what)).unwrap();
    let file = store.store_file().display().to_string();
    let expected = format!(
        "{file}:{}: error: work: memory is 'much': it is not a number\n    repair: take memory out, \
         so that the default counts\n\
         {file}:{}: error: work: netvm is 'gone': there is no such qube\n    repair: set netvm to \
         none\n",
        line("much"),
        line("gone")
    );
    for words in [
        &["repair", "--dry-run"][..],
        &["repair", "-n", "--yes"],
        &["check"],
    ] {
        let ran = store.run(("qubes-db", words));
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (1, expected.as_str()),
            "{words:?}: {ran:?}"
        );
    }
    let ran = store.run("qubes-db repair");
    assert_eq!(ran.code, 1, "the end of the input is a no: {ran:?}");
    assert!(ran.stdout.ends_with("Write this? [y/N] "), "{ran:?}");
    assert_eq!((store.store(), store.copies().len()), (text.clone(), 0));

    assert_eq!(store.run_with_input("qubes-db repair", "n\n").code, 1);
    assert_eq!(store.store(), text);
    let ran = store.run_with_input("qubes-db repair", "y\n");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.starts_with(&expected), "{ran:?}");
    let again = store.run("qubes-db repair --yes");
    assert_eq!((again.code, again.stdout.as_str()), (0, ""));
    assert!(
        again.stderr.contains("there is nothing to repair"),
        "{again:?}"
    );
    assert_eq!(store.copies().len(), 1);
}

#[test]
fn two_qubes_with_one_name_are_separated() {
    // The same domain twice: one of them is removed.
    let at = SOUND.find("    <domain id=\"domain-3\"").unwrap();
    let end = SOUND.find("  </domains>").unwrap();
    let work = &SOUND[at..end];
    let store =
        TestSystem::with_store(SOUND.replacen("  </domains>", &format!("{work}  </domains>"), 1));
    assert_eq!(kinds_of(&store), [("qube-name-twice".to_owned(), true)]);
    let ran = store.run("qubes-db repair --yes");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(store.store(), SOUND);

    // Two different domains: the second gets a new name, number, UUID and images.
    let other = work.replace("\"memory\">400", "\"memory\">800");
    let store =
        TestSystem::with_store(SOUND.replacen("  </domains>", &format!("{other}  </domains>"), 1));
    let ran = store.run("qubes-db repair --yes");
    assert_eq!(ran.code, 0, "{ran:?}");
    for message in [
        "repaired: call it 'work-2'",
        "give it a free qid",
        "give it a new uuid",
        "repaired: take out vid",
    ] {
        assert!(ran.stdout.contains(message), "{message}: {ran:?}");
    }
    let after = domains(&store.store());
    assert_eq!(
        after["work"],
        domains(SOUND)["work"],
        "the first is as it was"
    );
    assert!(
        after["work-2"].contains("\"memory\">800") && after["work-2"].contains("\"qid\">4<"),
        "{after:?}"
    );
    assert!(
        !after["work-2"].contains("14cf2e5d") && !after["work-2"].contains("vid="),
        "{after:?}"
    );
    assert_eq!(store.run("qvm-prefs work-2 memory").stdout, "800\n");
    assert_eq!(store.run("qvm-prefs work memory").stdout, "400\n");
}

#[test]
fn a_missing_template_is_replaced_by_the_default_template() {
    let text = SOUND
        .replace(
            "<property name=\"default_netvm\">sys-net</property>",
            "<property name=\"default_template\">fedora</property>",
        )
        .replacen("\"template\">fedora", "\"template\">gone", 1);
    let store = TestSystem::with_store(&text);
    let ran = store.run("qubes-db repair --yes");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains(
        "sys-net: template is 'gone': there is no such qube\n    repaired: set template to 'fedora'"
    ));
    assert_eq!(
        store.store(),
        text.replacen("\"template\">gone", "\"template\">fedora", 1)
    );
}

#[test]
fn a_netvm_loop_is_broken_at_one_qube() {
    let provides = SOUND.replace(r#""memory">400"#, r#""provides_network">True"#);
    let text = provides.replace(r#""netvm"></property>"#, r#""netvm">work</property>"#);
    let store = TestSystem::with_store(&text);
    let ran = store.run("qubes-db repair --yes");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        store.store(),
        provides,
        "sys-net is the first, and has none again"
    );
}

/// Damage to the text that can be repaired without loss, with the expected result and message.
#[test]
fn damaged_characters_are_repaired_without_loss() {
    let good = SOUND.as_bytes();
    let wide = |big: bool| -> Vec<u8> {
        let mark = if big { [0xFE, 0xFF] } else { [0xFF, 0xFE] };
        let unit = |u: u16| {
            if big {
                u.to_be_bytes()
            } else {
                u.to_le_bytes()
            }
        };
        mark.into_iter()
            .chain(SOUND.encode_utf16().flat_map(unit))
            .collect()
    };
    let cups = "<feature name=\"service.cups\"></feature>";
    let with = |value: &str| SOUND.replace(cups, &cups.replace("></", &format!(">{value}</")));
    let cases: Vec<(&str, Vec<u8>, String, &str)> = vec![
        (
            "zeros at the end",
            [good, &[0; 4096]].concat(),
            SOUND.into(),
            "zeros (NUL), as a power loss leaves them",
        ),
        (
            "zeros inside",
            SOUND.replace(">work<", ">wo\0\0rk<").into_bytes(),
            SOUND.into(),
            "2 bytes are zeros",
        ),
        (
            "garbage at the end",
            [good, b"\x01\x02 xyzzy"].concat(),
            SOUND.into(),
            "the end of the store is followed by text that is not XML",
        ),
        (
            "the half of another file behind it",
            [good, &good[900..1500]].concat(),
            SOUND.into(),
            "the end of the store is followed by",
        ),
        (
            "twice",
            [good, good].concat(),
            SOUND.into(),
            "the whole file again",
        ),
        ("UTF-16", wide(false), SOUND.into(), "the file is in UTF-16"),
        (
            "UTF-16, the other way round",
            wide(true),
            SOUND.into(),
            "the file is in UTF-16",
        ),
        (
            "Latin-1",
            with("@")
                .replace('@', "\u{0}")
                .bytes()
                .map(|b| if b == 0 { 0xF6 } else { b })
                .collect(),
            with("ö"),
            "not UTF-8",
        ),
        (
            "a declaration of another encoding",
            [b"<?xml version=\"1.0\" encoding=\"latin1\"?>\n", good].concat(),
            SOUND.into(),
            "the XML declaration",
        ),
        (
            "an ampersand",
            with("salt & pepper").into_bytes(),
            with("salt &amp; pepper"),
            "'&' that does not begin a reference",
        ),
        (
            "an entity of HTML",
            with("a&nbsp;b").into_bytes(),
            with("a&amp;nbsp;b"),
            "'&' that does not begin a reference",
        ),
        (
            "an escape character",
            with("a\u{1b}[2Jb").into_bytes(),
            with("a[2Jb"),
            "1 bytes are control characters",
        ),
    ];
    for (what, bytes, expected, message) in cases {
        let store = TestSystem::with_store(SOUND);
        fs::write(store.store_file(), &bytes).unwrap();
        let check = store.run("qubes-db check");
        assert_eq!(check.code, 1, "{what}: {check:?}");
        assert!(
            check.stdout.contains(message) && check.stdout.contains("nothing is lost"),
            "{what}: {check:?}"
        );
        let ran = store.run("qubes-db repair --yes");
        assert_eq!(ran.code, 0, "{what}: {ran:?}");
        assert!(ran.stdout.contains(message), "{what}: {ran:?}");
        assert_eq!(store.store(), expected, "{what}");
        assert_eq!(
            fs::read(&store.copies()[0]).unwrap(),
            bytes,
            "{what}: the copy"
        );
    }
}

#[test]
fn unknown_elements_survive_a_repair_of_the_root_or_are_reported_as_lost() {
    let (before, behind) = ("<wonder since=\"1\"><of>it</of></wonder>", "<wonder/>");
    let text = SOUND
        .replacen("  <domains>", &format!("  {before}\n  <domains>"), 1)
        .replacen("  </domains>", &format!("  </domains>\n  {behind}"), 1);
    for root in ["<qubes version=3>", "<qubes><qubes>", "\0\0\0\0\0\0\0"] {
        let store = TestSystem::with_store(text.replacen("<qubes>", root, 1));
        let ran = store.run("qubes-db repair --yes");
        assert_eq!(
            (ran.code, store.store().as_str()),
            (0, text.as_str()),
            "{root:?}: {ran:?}"
        );
    }

    let store = TestSystem::with_store(
        text.replacen("<qubes>", "<qubes version=3>", 1)
            .replacen("</of>", "", 1),
    );
    let ran = store.run("qubes-db repair --salvage --yes");
    assert!(
        ran.stdout
            .contains("the unknown element <wonder> cannot be read"),
        "{ran:?}"
    );
    let without = text.replacen(&format!("  {before}\n"), "", 1);
    assert_eq!(
        (ran.code, store.store()),
        (0, without),
        "all the rest is there"
    );
}

#[test]
fn lost_domains_are_restored_from_a_copy_only_on_request() {
    let at = SOUND.find("<tag name=\"mine\"/>").unwrap();
    let cut = &SOUND[..at];
    let unreadable = SOUND.replace("<tag name=\"mine\"/>", "<tag name=mine/>");
    for text in [cut, unreadable.as_str()] {
        let fresh = || {
            let store = TestSystem::with_store(text);
            store.write_copy(
                "2026-11-18-08:00:00",
                &SOUND.replace("\"memory\">400", "\"memory\">300"),
            );
            store.write_copy("2026-11-19-08:00:00", "<qubes>");
            store
        };
        let store = fresh();
        let line = 1 + SOUND.lines().position(|l| l.contains("domain-3")).unwrap();
        let lost = format!(
            "{}:{line}: the domain of 'work' cannot be read: ",
            store.store_file().display()
        );
        // Nothing is decided without a choice.
        for words in [
            &["repair", "--yes"][..],
            &["repair"],
            &["repair", "--dry-run"],
        ] {
            let ran = store.run(("qubes-db", words));
            assert_eq!(ran.code, 1, "{words:?}: {ran:?}");
            assert!(ran.stdout.contains(&lost), "{words:?}: {ran:?}");
            assert!(
                ran.stdout
                    .contains("  1  the 3 domains that can be read, without the rest"),
                "{ran:?}"
            );
            assert!(ran.stdout.contains(
                "  2  the same, and from copy 2026-11-18-08:00:00 what it has besides: work"
            ));
            assert!(
                ran.stdout
                    .contains("  3  copy 2026-11-18-08:00:00 as a whole: 4 qubes"),
                "{ran:?}"
            );
            assert_eq!((store.store().as_str(), store.copies().len()), (text, 2));
        }
        let check = store.run("qubes-db check").stdout;
        assert!(
            check.contains("error: work: the domain of 'work' cannot be read"),
            "{check}"
        );

        let without = "    <domain id=\"domain-3\"";
        let alone = format!(
            "{}  </domains>\n</qubes>\n",
            &SOUND[..SOUND.find(without).unwrap()]
        );
        for (words, input) in [
            (&["repair", "--salvage", "--yes"][..], ""),
            (&["repair"], "1\ny\n"),
        ] {
            let store = fresh();
            let ran = store.run_with_input(("qubes-db", words), input);
            assert_eq!(ran.code, 0, "{ran:?}");
            assert_eq!(store.store(), alone);
        }
        let completed = SOUND.replace("\"memory\">400", "\"memory\">300");
        for (words, input) in [
            (&["repair", "--from", "2026-11-18", "--yes"][..], ""),
            (&["repair"], "2\ny\n"),
            (&["repair"], "3\n"),
        ] {
            let store = fresh();
            let ran = store.run_with_input(("qubes-db", words), input);
            assert_eq!(store.store(), completed, "{words:?} {input:?}: {ran:?}");
            let kept = store.copies().pop().unwrap();
            assert_eq!(fs::read_to_string(kept).unwrap(), text);
        }
    }
}

#[test]
fn a_file_without_a_store_is_left_alone_and_copies_are_named() {
    let noise: Vec<u8> = (0..50_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    for (what, bytes) in [
        ("empty", &b""[..]),
        ("zeros", &[0; 8192]),
        ("noise", &noise),
        ("html", b"<html><body/></html>"),
    ] {
        let store = TestSystem::with_store(SOUND);
        fs::write(store.store_file(), bytes).unwrap();
        let ran = store.run("qubes-db repair --yes");
        assert_eq!(ran.code, 1, "{what}: {ran:?}");
        assert!(
            ran.stderr
                .contains("nothing of a store can be found in it; nothing was changed; no copy in"),
            "{ran:?}"
        );
        store.write_copy("2026-11-18-08:00:00", SOUND);
        let ran = store.run("qubes-db repair --yes");
        assert!(
            ran.stderr.contains("qubes-db restore 2026-11-18-08:00:00"),
            "{what}: {ran:?}"
        );
        assert_eq!(fs::read(store.store_file()).unwrap(), bytes, "{what}");
    }
}

#[test]
fn intact_items_of_damaged_sections_are_kept() {
    let store = TestSystem::with_store(SOUND.replace("<label id=\"label-8\"", "<label id=label-8"));
    let ran = store.run("qubes-db repair --salvage --yes");
    assert!(
        ran.stdout
            .contains("the section <labels> is damaged; 1 of its items can be read"),
        "{ran:?}"
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    let text = store.store();
    assert!(
        text.contains("<label id=\"label-1\" color=\"0xcc0000\">red</label>"),
        "{text}"
    );
    assert!(
        domains(&text)["fedora"].contains("\"label\">red<"),
        "black is not a label any more"
    );
}

#[test]
fn a_store_changed_during_the_prompt_is_not_overwritten() {
    let text = SOUND.replace("\"memory\">400", "\"memory\">much");
    let store = TestSystem::with_store(&text);
    let mut child = store.spawn("qubes-db repair");
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut seen = Vec::new();
    while !seen.ends_with(b"[y/N]") {
        assert!(
            out.read_until(b']', &mut seen).unwrap() > 0,
            "{}",
            String::from_utf8_lossy(&seen)
        );
    }
    let other = text.replace("\"memory\">much", "\"memory\">lots");
    fs::write(store.store_file(), &other).unwrap();
    child.stdin.take().unwrap().write_all(b"y\n").unwrap();
    let ran = wait_for(child);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("changed"), "{ran:?}");
    assert_eq!((store.store(), store.copies().len()), (other, 0));
}

#[test]
fn repair_works_in_any_state_and_refuses_beside_qubesd() {
    let text = SOUND.replace("\"memory\">400", "\"memory\">much");
    // The note of a writer that was killed.
    let store = TestSystem::with_store(&text);
    let note = store.root().join("run/qubes/lock");
    fs::create_dir_all(&note).unwrap();
    fs::write(note.join("database.holder"), "999999 qvm-create\n").unwrap();
    assert_eq!(store.run("qubes-db repair --yes").code, 0);
    // A file outside any system, without a writable directory: inspection works.
    let lone = tempfile::tempdir().unwrap();
    let file = lone.path().join("copied.xml");
    fs::write(&file, &text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
    let xml = file.to_str().unwrap();
    assert_eq!(
        store
            .run(["qubes-db", "repair", "--dry-run", "--qubesxml", xml])
            .code,
        1
    );
    assert!(
        store
            .run(["qubes-db", "check", "--qubesxml", xml])
            .stdout
            .contains("memory is 'much'")
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    // A running qubesd would overwrite the file.
    let store = TestSystem::with_store(&text);
    fs::create_dir_all(store.root().join("run")).unwrap();
    let qubesd = UnixListener::bind(store.root().join("run/qubesd.sock")).unwrap();
    let ran = store.run("qubes-db repair --yes");
    assert!(
        ran.code == 1 && ran.stderr.contains("qubesd is running"),
        "{ran:?}"
    );
    assert_eq!((store.store(), store.copies().len()), (text.clone(), 0));
    assert_eq!(store.run("qubes-db check").code, 1, "looking is allowed");
    assert_eq!(store.run("qubes-db repair --yes --force-write").code, 0);
    drop(qubesd);
    // The file is missing; the only copy is the one from before the repair.
    fs::remove_file(store.store_file()).unwrap();
    let ran = store.run("qubes-db repair --yes");
    assert!(
        ran.code == 1 && ran.stderr.contains("qubesd would refuse every copy"),
        "{ran:?}"
    );
    assert!(!ran.stderr.contains("qubes-db restore"), "{ran:?}");
    let history = store.run("qubes-db history").stdout;
    assert!(
        history.contains("qubesd refuses it for 1 error"),
        "{history}"
    );
    // A copy that qubesd loads is preferred to a newer one that it refuses.
    let good = text.replacen("much", "400", 1);
    store.write_copy("2020-02-02-02:02:02", &good);
    let ran = store.run("qubes-db check");
    assert!(
        ran.stderr
            .contains("the newest copy that loads is 2020-02-02-02:02:02"),
        "{ran:?}"
    );
}

#[test]
fn an_old_store_is_left_to_conversion() {
    let text = "<QubesVmCollection updatevm=\"None\"></QubesVmCollection>\n";
    let store = TestSystem::with_store(text);
    let ran = store.run("qubes-db repair --yes");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.stderr.contains("written by Qubes R3 or older")
            && ran.stderr.contains("qubes-db convert"),
        "{ran:?}"
    );
    assert_eq!(store.store(), text);
    assert_eq!(kinds_of(&store)[0].0, "old-format");
}

#[test]
fn findings_of_one_kind_are_abbreviated() {
    let sample = fs::read_to_string(sample("n1000.xml")).unwrap();
    let store = TestSystem::with_store(&sample);
    let few = store.run("qubes-db check").stdout;
    assert!(few.lines().count() < 60, "{few}");
    assert!(
        few.contains("more of this kind (volume-flag); --all lists each"),
        "{few}"
    );
    for all in [&["check", "--all"][..], &["check", "-v"]] {
        assert_eq!(
            store.run(("qubes-db", all)).stdout.lines().count(),
            2 * kinds_of(&store).len()
        );
    }
    let ran = store.run("qubes-db repair --yes");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.lines().count() < 70, "{ran:?}");
    // The meaning is the same: without the text that releases take for true.
    let output = |text: &str| {
        [
            "rw",
            "save_on_stop",
            "snap_on_start",
            "ephemeral",
            "ephemeral_volatile",
        ]
        .iter()
        .fold(text.to_owned(), |text, flag| {
            text.replace(&format!(" {flag}=\"False\""), "")
        })
    };
    assert_eq!(store.store(), output(&sample));
}

/// `docs/repair.md` lists for each kind whether it is repaired; the cases above show it.
#[test]
fn the_documentation_lists_every_kind_and_its_outcome() {
    let doc = fs::read_to_string(repository("docs/repair.md")).unwrap();
    let rows = doc
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|row| {
            let mut cells = row.split('|').map(str::trim);
            (
                cells.next().unwrap().trim_end_matches('`').to_owned(),
                cells.nth(1).unwrap().to_owned(),
            )
        });
    let rows: BTreeMap<String, String> = rows.collect();
    let kinds: BTreeSet<String> = qubes::model::check::FindingKind::ALL
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        rows.keys().cloned().collect::<BTreeSet<_>>(),
        kinds,
        "a row for each kind, and no other"
    );
    for case in CASES.iter().filter(|case| !case.2.is_empty()) {
        let store = TestSystem::with_store(damage_store(case));
        for (kind, automatic) in kinds_of(&store)
            .into_iter()
            .filter(|(kind, _)| kind == case.2)
        {
            let row = &rows[&kind];
            let word = if automatic { "repairs" } else { "explains" };
            assert!(
                row.contains(word),
                "{kind}: docs/repair.md says {row:?}, and it {word} {}",
                case.1
            );
        }
    }
}

/// Runs the example of `docs/repair.md`, command by command.
#[test]
fn the_documented_example_works() {
    let doc = fs::read_to_string(repository("docs/repair.md")).unwrap();
    let example = doc
        .split("## An example")
        .nth(1)
        .unwrap()
        .split("\n## ")
        .next()
        .unwrap();
    let lines = example.lines().filter_map(|line| line.strip_prefix("    "));
    let text = SOUND
        .replace("\"memory\">400", "\"memory\">much")
        .replace("\"netvm\">sys-net<", "\"netvm\">gone<");
    let store = TestSystem::with_store(text.replace("tag name=\"mine\"", "tag name=\"not mine\""));
    let (mut expected, mut output) = (String::new(), String::new());
    for line in lines {
        expected += &format!("{line}\n");
        if let Some(command) = line.strip_prefix("$ ") {
            let words: Vec<&str> = command.split_whitespace().collect();
            let ran = store.run((words[0], &words[1..]));
            output += &format!("{line}\n{}{}", ran.stdout, ran.stderr);
        }
    }
    let mut output = output.replace(&store.root().display().to_string(), "");
    for copy in store.copies() {
        let name = copy.file_stem().unwrap().to_string_lossy().into_owned();
        output = output.replace(name.strip_prefix("qubes-").unwrap(), "2026-11-21-08:15:00");
    }
    assert_eq!(output, expected);
}
