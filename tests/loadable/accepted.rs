//! Values that qubesd refuses to load or cannot work with: commands refuse to set them, and
//! `qubes-db check` finds them in a store.

use std::fs;

use crate::system::System;

/// The seed of a system from the small sample, written for main (4.4).
const SMALL: u64 = 2;

fn words(line: &str) -> Vec<String> {
    line.split_whitespace()
        .map(|word| word.trim_matches('\'').to_owned())
        .collect()
}

/// Runs each line, which must fail with these words and change nothing.
fn refuses(system: &System, lines: &[(&str, &str)]) {
    for (line, told) in lines {
        let before = system.bytes();
        let done = system.run(&words(line));
        assert!(
            done.code != 0 && done.stderr.contains(told),
            "{line}: {done:?}, not {told:?}"
        );
        assert!(system.bytes() == before, "{line} changed the store");
    }
}

fn accepts(system: &System, lines: &[&str]) {
    for line in lines {
        let done = system.run(&words(line));
        assert_eq!(done.code, 0, "{line}: {done:?}");
        assert_eq!(system.new_refusals(), [], "{line}");
    }
}

/// Replaces text of the store and returns the output of `qubes-db check`.
fn checked(system: &System, from: &str, to: &str) -> String {
    let text = String::from_utf8(system.bytes()).unwrap();
    assert!(text.contains(from), "{from}");
    fs::write(system.store(), text.replacen(from, to, 1)).unwrap();
    let said = system.run(&words("qubes-db check --all")).stdout;
    fs::write(system.store(), text).unwrap();
    said
}

#[test]
fn a_qube_with_a_dot_cannot_be_guivm_audiovm_or_relayvm() {
    let system = System::new(SMALL);
    accepts(
        &system,
        &["qvm-create -l red a.b", "qvm-create -l red plain"],
    );
    let dot = "its name has a dot";
    refuses(
        &system,
        &[
            ("qvm-prefs work guivm a.b", dot),
            ("qvm-prefs work audiovm a.b", dot),
            ("qvm-prefs remote-work relayvm a.b", dot),
            ("qubes-prefs default_guivm a.b", dot),
            ("qubes-prefs default_audiovm a.b", dot),
            ("qvm-create -l red --property guivm=a.b n1", dot),
            (
                "qvm-create -l red -C RemoteVM --property relayvm=a.b n1",
                dot,
            ),
        ],
    );
    accepts(
        &system,
        &[
            "qvm-prefs work guivm plain",
            "qvm-features dom0 set-created-guivm a.b",
            "qvm-create -l red n1",
        ],
    );
    assert_eq!(system.run(&words("qvm-prefs n1 guivm")).stdout, "dom0\n");
    let reference = r#"<property name="guivm">plain</property>"#;
    let said = checked(&system, reference, &reference.replace("plain", "a.b"));
    assert!(
        said.contains("error: work: guivm is 'a.b': its name has a dot"),
        "{said}"
    );
    let first = r#"<property name="default_kernel">"#;
    let said = checked(
        &system,
        first,
        &format!(r#"<property name="default_guivm">a.b</property>{first}"#),
    );
    assert!(
        said.contains("error: default_guivm is 'a.b': its name has a dot"),
        "{said}"
    );
}

#[test]
fn a_reference_with_a_dot_gets_no_tag() {
    let system = System::new(SMALL);
    accepts(&system, &["qvm-create -l red a.b"]);
    let first = r#"<property name="default_kernel">"#;
    let text = String::from_utf8(system.bytes()).unwrap();
    let text = text.replacen(
        first,
        &format!(r#"<property name="default_guivm">a.b</property>{first}"#),
        1,
    );
    fs::write(system.store(), text).unwrap();
    // The damaged store can still be changed; the damage does not grow.
    for line in [
        "qvm-create -l red n1",
        "qvm-clone n1 n2",
        "qvm-prefs -D work guivm",
    ] {
        system.run(&words(line));
    }
    assert!(
        !String::from_utf8(system.bytes())
            .unwrap()
            .contains("guivm-a.b")
    );
}

#[test]
fn kernels_are_only_in_kernel_pools() {
    let system = System::new(SMALL);
    let (kernels, others) = (
        "a kernel pool has no writable volumes",
        "needs a pool of driver linux-kernel",
    );
    refuses(
        &system,
        &[
            ("qvm-create -l red -P linux-kernel n1", kernels),
            ("qvm-create -l red -p private=linux-kernel n1", kernels),
            (
                "qvm-create -l red -C TemplateVM -p root=linux-kernel n1",
                kernels,
            ),
            ("qvm-create -l red -p volatile=linux-kernel n1", kernels),
            ("qvm-clone -P linux-kernel work n1", kernels),
            ("qvm-create -l red -p kernel=varlibqubes n1", others),
            ("qvm-create -l red -p kernel=reflinked n1", others),
        ],
    );
    for (property, pool, told) in [
        ("default_pool", "linux-kernel", kernels),
        ("default_pool_private", "linux-kernel", kernels),
        ("default_pool_volatile", "linux-kernel", kernels),
        ("default_pool_kernel", "varlibqubes", others),
    ] {
        let system = System::new(SMALL);
        accepts(&system, &[&format!("qubes-prefs {property} {pool}")]);
        refuses(
            &system,
            &[("qvm-create -l red n1", told), ("qvm-clone work n1", told)],
        );
        let said = system.run(&words("qubes-db check --all")).stdout;
        assert!(
            said.contains(&format!(
                "{property} is '{pool}', in which no qube can be made"
            )),
            "{said}"
        );
    }
    let private = r#"name="private" pool="varlibqubes""#;
    let said = checked(
        &system,
        private,
        &private.replace("varlibqubes", "linux-kernel"),
    );
    assert!(
        said.contains("error: debian-12-xfce: volume private is in pool 'linux-kernel'"),
        "{said}"
    );
}

#[test]
fn dom0_keeps_its_memory_service_and_its_service_names_have_a_limit() {
    let system = System::new(SMALL);
    let long = format!("qvm-features dom0 service.app-dispvm.{} 1", "a".repeat(250));
    refuses(
        &system,
        &[
            ("qvm-service dom0 meminfo-writer off", "dom0's maxmem"),
            (&long, "at most 255 characters"),
        ],
    );
    let refused =
        system.run(&["qvm-features", "dom0", "service.meminfo-writer", ""].map(str::to_owned));
    assert_eq!(refused.code, 1, "{refused:?}");
    accepts(
        &system,
        &[
            "qvm-service dom0 meminfo-writer on",
            "qvm-service work meminfo-writer off",
        ],
    );
    let said = checked(
        &system,
        "service.meminfo-writer\">1<",
        "service.meminfo-writer\"><",
    );
    assert!(
        said.contains("error: dom0: feature service.meminfo-writer is ''"),
        "{said}"
    );
}

#[test]
fn counts_of_preloaded_disposables_are_digits() {
    let system = System::new(SMALL);
    let template = system.run(&words("qvm-prefs default-dvm template")).stdout;
    refuses(
        &system,
        &[(
            "qvm-features default-dvm preload-dispvm-max 1",
            "it does not support the RPC(s)",
        )],
    );
    for feature in [
        "qrexec",
        "supported-rpc.qubes.WaitForRunningSystem",
        "supported-rpc.qubes.WaitForSession",
    ] {
        accepts(
            &system,
            &[&format!("qvm-features {} {feature} 1", template.trim())],
        );
    }
    for value in ["abc", "True", "-1", "1.5"] {
        for who in [
            "default-dvm preload-dispvm-max",
            "dom0 preload-dispvm-max",
            "dom0 preload-dispvm-threshold",
        ] {
            refuses(
                &system,
                &[(
                    &format!("qvm-features -- {who} {value}"),
                    "a number of digits only",
                )],
            );
        }
    }
    refuses(
        &system,
        &[(
            "qvm-features dom0 preload-dispvm-delay soon",
            "a number of seconds",
        )],
    );
    accepts(
        &system,
        &[
            "qvm-features default-dvm preload-dispvm-max 2",
            "qvm-features dom0 preload-dispvm-max 3",
        ],
    );
    let said = checked(
        &system,
        "preload-dispvm-max\">2<",
        "preload-dispvm-max\">abc<",
    );
    assert!(
        said.contains("default-dvm: feature preload-dispvm-max is 'abc'"),
        "{said}"
    );
}

#[test]
fn a_creation_is_complete_or_changes_nothing_and_reports_everything() {
    let system = System::new(SMALL);
    let before = system.bytes();
    let line = "qvm-create -l red --property updateable=True --property netvm= --property maxmem=x --property gone=1 n1";
    let done = system.run(&words(line));
    assert_eq!(done.code, 2, "{done:?}");
    for property in ["updateable", "maxmem", "gone"] {
        assert!(
            done.stderr.contains(&format!(
                "Error setting property {property} (no VM created)"
            )),
            "{done:?}"
        );
    }
    assert!(system.bytes() == before);
    assert!(!system.store().with_file_name("appvms").join("n1").exists());
    // A file that cannot be imported.
    let line = format!(
        "qvm-create -l red -C StandaloneVM -r {} n1",
        system.store().parent().unwrap().display()
    );
    let done = system.run(&words(&line));
    assert_eq!(
        (done.code, done.stderr.contains("no VM created")),
        (3, true),
        "{done:?}"
    );
    assert!(!system.qubes().contains("n1"));
    assert!(!system.store().with_file_name("appvms").join("n1").exists());
}

#[test]
fn the_last_of_several_labels_or_templates_counts() {
    let system = System::new(SMALL);
    let value = |qube: &str, property: &str| {
        system
            .run(&["qvm-prefs", qube, property].map(str::to_owned))
            .stdout
            .trim_end()
            .to_owned()
    };
    accepts(
        &system,
        &[
            "qvm-create -l red --property label=blue n1",
            "qvm-create --property label=blue -l red n2",
            "qvm-create -l red -t fedora-41-xfce --property template=debian-12-xfce n3",
            "qvm-create -l red --property template=debian-12-xfce -t fedora-41-xfce n4",
            "qvm-create -l red --property memory=500 --property memory=600 n5",
        ],
    );
    assert_eq!(
        (&*value("n1", "label"), &*value("n2", "label")),
        ("blue", "red")
    );
    assert_eq!(
        (&*value("n3", "template"), &*value("n4", "template")),
        ("debian-12-xfce", "fedora-41-xfce")
    );
    assert_eq!(value("n5", "memory"), "600");
    let done = system.run(&words("qvm-create -l red --property label=99 n6"));
    assert!(
        done.code == 2 && done.stderr.contains("no such label: '99'"),
        "{done:?}"
    );
}

#[test]
fn an_explicit_false_ephemeral_is_kept_where_the_release_supports_it() {
    let lines = [
        "qvm-volume config personal:volatile ephemeral False",
        "qvm-pool set reflinked -o ephemeral_volatile=True",
    ];
    let pool = "qvm-pool set varlibqubes -o ephemeral_volatile=True";
    for (seed, stays) in [(SMALL, "False\n"), (SMALL - 1, "True\n")] {
        let system = System::new(seed);
        accepts(&system, &[lines[0], lines[1], pool]);
        assert_eq!(
            system
                .run(&words("qvm-volume info personal:volatile ephemeral"))
                .stdout,
            stays
        );
    }
}

#[test]
fn values_that_qubesd_accepts_are_not_reported() {
    let system = System::new(SMALL);
    for property in [
        "memory\">99999999999999999999",
        "ip6\">fe80::1%eth0",
        "backup_timestamp\">9223372036854775808",
    ] {
        let label = r#"<property name="label">"#;
        let text = String::from_utf8(system.bytes()).unwrap();
        let work = text.find(r#"<property name="name">work<"#).unwrap();
        let (before, after) = text.split_at(work);
        let changed = format!("{before}<property name=\"{property}</property>{after}");
        let changed = changed.replacen(&format!("{label}\n"), label, 1);
        fs::write(system.store(), &changed).unwrap();
        let said = system.run(&words("qubes-db check --all")).stdout;
        assert!(!said.contains("error"), "{property}: {said}");
        let listed = system.run(&words("qvm-ls --raw-data --fields name,memory work"));
        assert_eq!((listed.code, &*listed.stderr), (0, ""), "{property}");
        fs::write(system.store(), &text).unwrap();
    }
}

#[test]
fn a_vid_outside_its_pool_and_a_kernel_with_a_slash_are_found() {
    let system = System::new(SMALL);
    let said = checked(
        &system,
        r#"vid="appvms/personal/private""#,
        r#"vid="appvms/../private""#,
    );
    assert!(
        said.contains("personal: volume private has vid=\"appvms/../private\""),
        "{said}"
    );
    let said = checked(
        &system,
        r#"default_kernel">6.6.77-1.fc37<"#,
        r#"default_kernel">../6.6<"#,
    );
    assert!(
        said.contains("default_kernel is '../6.6', which cannot name"),
        "{said}"
    );
}

#[test]
fn tags_that_new_qubes_cannot_have_are_refused_and_reported() {
    let system = System::new(SMALL);
    for value in ["e-cores a=b", "../x", "created-by-foo"] {
        let done =
            system.run(&["qvm-features", "dom0", "tag-created-vm-with", value].map(str::to_owned));
        assert_eq!(done.code, 1, "{value}: {done:?}");
    }
    let feature = r#"<feature name="config.default.qubes-update-check">"#;
    let text = String::from_utf8(system.bytes()).unwrap();
    let wanted = r#"<feature name="tag-created-vm-with">mine a=b created-by-foo</feature>"#;
    fs::write(
        system.store(),
        text.replacen(feature, &format!("{wanted}{feature}"), 1),
    )
    .unwrap();
    for line in [
        "qvm-create -l red n1",
        "qvm-clone -C RemoteVM remote-work n2",
    ] {
        let done = system.run(&words(line));
        assert_eq!(done.code, 0, "{line}: {done:?}");
        for word in ["'a=b' is not a tag", "qube 'foo' does not exist"] {
            assert!(done.stderr.contains(word), "{line}: {done:?}");
        }
    }
    assert_eq!(
        system.run(&words("qvm-tags n1")).stdout,
        "audiovm-dom0\ncreated-by-dom0\nguivm-dom0\nmine\n"
    );
}

#[test]
fn a_maxmem_below_memory_has_no_effect_and_is_reported() {
    let system = System::new(SMALL);
    let done = system.run(&words("qvm-prefs work maxmem 300"));
    assert!(
        done.code == 0 && done.stderr.contains("maxmem 300 of work has no effect"),
        "{done:?}"
    );
    let done = system.run(&words(
        "qvm-create -l red --property maxmem=3000 --property memory=5000 n1",
    ));
    assert!(
        done.code == 0 && done.stderr.contains("maxmem 3000 of n1 has no effect"),
        "{done:?}"
    );
    accepts(&system, &["qvm-create -l red --property memory=50000 n2"]);
    assert_eq!(system.run(&words("qvm-prefs n2 maxmem")).stdout, "50000\n");
}

#[test]
fn values_that_a_setter_of_qubesd_refuses_are_found_in_the_store() {
    let system = System::new(SMALL);
    let label = r#"<property name="name">personal</property>"#;
    for (name, text) in [
        ("vcpus", "0"),
        ("memory", "0"),
        ("qrexec_timeout", "-5"),
        ("shutdown_timeout", "0"),
        ("default_user", "a b"),
    ] {
        let added = format!(r#"<property name="{name}">{text}</property>{label}"#);
        let said = checked(&system, label, &added);
        assert!(said.contains(&format!("{name} is '{text}': ")), "{said}");
    }
    for (name, text) in [
        ("mac", "x"),
        ("virt_mode", "xen"),
        ("keyboard_layout", "us"),
        ("kernel", "a/b"),
    ] {
        let added = format!(r#"<property name="{name}">{text}</property>{label}"#);
        let said = checked(&system, label, &added);
        assert!(
            said.contains("error") && said.contains(&format!("{name} is '{text}'")),
            "{said}"
        );
    }
    // For its global properties qubesd accepts any number, and refuses computed ones.
    let said = checked(
        &system,
        "</properties>",
        r#"<property name="default_qrexec_timeout">0</property></properties>"#,
    );
    assert!(!said.contains("default_qrexec_timeout"), "{said}");
    let said = checked(
        &system,
        "</properties>",
        r#"<property name="no_cpus">5</property></properties>"#,
    );
    assert!(
        said.contains("property no_cpus of the system cannot be set"),
        "{said}"
    );
    assert_eq!(system.new_refusals(), []);
}

#[test]
fn pci_devices_are_stored_in_lower_case() {
    let system = System::new(SMALL);
    accepts(
        &system,
        &["qvm-prefs personal pcidevs ['00:1F.3','00:1f.3']"],
    );
    let text = String::from_utf8(system.bytes()).unwrap();
    assert_eq!(text.matches("00_1f.3").count(), 1, "{text}");
    let said = checked(&system, "00_1f.3", "00_1F.3");
    assert!(said.contains("has capitals in its PCI address"), "{said}");
}
