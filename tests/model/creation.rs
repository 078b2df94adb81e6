//! Plans of new qubes, new systems and removals, and the messages for refused ones (recorded from
//! upstream's tools on the same store).

use qubes::model::rules::{creation, removal};
use qubes::model::{
    Class, Draft, NewQube, PoolChoice, PowerState, QubeUse, Qubes, Release, Vm, class_properties,
    features, global_properties, plan_new_system, property,
};
use qubes_test_support::SampleHost;
use uuid::Uuid;

use crate::sample::small;

fn new_qube(class: Class, name: &str) -> NewQube<'_> {
    NewQube {
        class,
        name,
        label: "red",
        template: None,
        pools: PoolChoice::default(),
        uuid: Uuid::from_u128(7),
        created_by: "dom0",
        auto_cleanup: false,
    }
}

fn plan(qubes: &Qubes, request: &NewQube<'_>) -> Result<Vm, String> {
    let mut numbers = [8012, 8012, 42].into_iter().cycle();
    let mut random = |_| numbers.next().unwrap_or(0);
    creation::plan(qubes, request, &SampleHost::default(), &mut random).map_err(|e| e.to_string())
}

fn properties(vm: &Vm) -> Vec<(&str, &str)> {
    vm.properties.iter().collect()
}

fn tags(vm: &Vm) -> Vec<&str> {
    let mut tags: Vec<&str> = vm.tags.iter().map(|t| &**t).collect();
    tags.sort_unstable();
    tags
}

fn volume(vm: &Vm, name: &str) -> Vec<(String, String)> {
    let attributes = &vm.volume(name).unwrap().attributes;
    attributes
        .iter()
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect()
}

fn attributes(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
        .collect()
}

#[test]
fn a_new_appvm_gets_number_template_tags_and_volumes() {
    let vm = plan(&small(), &new_qube(Class::AppVM, "new")).unwrap();
    assert_eq!(
        properties(&vm),
        [
            ("label", "red"),
            ("name", "new"),
            ("qid", "14"),
            ("uuid", "00000000-0000-0000-0000-000000000007"),
            ("template", "fedora-41-xfce"),
        ]
    );
    assert_eq!(tags(&vm), ["audiovm-dom0", "created-by-dom0", "guivm-dom0"]);
    assert_eq!(
        vm.features.get("check-updates"),
        Some(""),
        "check_updates_vm is off in this store"
    );
    let names: Vec<&str> = vm.volumes.iter().map(|v| v.name()).collect();
    assert_eq!(names, ["root", "private", "volatile", "kernel"]);
    assert_eq!(
        volume(&vm, "root"),
        attributes(&[
            ("name", "root"),
            ("pool", "varlibqubes"),
            ("vid", "appvms/new/root"),
            ("revisions_to_keep", "0"),
            ("rw", "True"),
            ("snap_on_start", "True"),
            ("size", "10737418240"),
            ("source", "vm-templates/fedora-41-xfce/root"),
        ])
    );
    assert_eq!(
        volume(&vm, "private"),
        attributes(&[
            ("name", "private"),
            ("pool", "varlibqubes"),
            ("vid", "appvms/new/private"),
            ("revisions_to_keep", "1"),
            ("rw", "True"),
            ("save_on_stop", "True"),
            ("size", "2147483648"),
        ])
    );
    assert_eq!(
        volume(&vm, "kernel"),
        attributes(&[
            ("name", "kernel"),
            ("pool", "linux-kernel"),
            ("vid", "6.6.77-1.fc37"),
            ("revisions_to_keep", "0")
        ])
    );
}

#[test]
fn freed_numbers_are_reused() {
    let mut qubes = small();
    qubes.unchecked().remove("vault").unwrap();
    let vm = plan(&qubes, &new_qube(Class::AppVM, "new")).unwrap();
    assert_eq!(vm.qid(), small().get("vault").unwrap().qid());
}

#[test]
fn templates_and_standalones_own_their_root_volume() {
    let qubes = small();
    let template = plan(&qubes, &new_qube(Class::TemplateVM, "new")).unwrap();
    assert!(volume(&template, "root").contains(&("vid".into(), "vm-templates/new/root".into())));
    assert!(volume(&template, "root").contains(&("save_on_stop".into(), "True".into())));
    let standalone = plan(&qubes, &new_qube(Class::StandaloneVM, "new")).unwrap();
    assert!(volume(&standalone, "root").contains(&("vid".into(), "appvms/new/root".into())));
    let remote = plan(&qubes, &new_qube(Class::RemoteVM, "new")).unwrap();
    assert!(remote.volumes.is_empty() && remote.features.is_empty());
}

#[test]
fn a_pool_can_be_chosen_for_all_volumes_or_for_one() {
    let qubes = small();
    let vm = |pools| {
        plan(
            &qubes,
            &NewQube {
                pools,
                ..new_qube(Class::AppVM, "new")
            },
        )
    };
    let all = vm(PoolChoice {
        all: Some("reflinked"),
        by_volume: &[],
    })
    .unwrap();
    let pool = |vm: &Vm, name: &str| {
        vm.volume(name)
            .unwrap()
            .attributes
            .get("pool")
            .map(str::to_owned)
            .unwrap()
    };
    assert_eq!(
        ["root", "private", "volatile", "kernel"].map(|v| pool(&all, v)),
        ["varlibqubes", "reflinked", "reflinked", "linux-kernel"]
    );
    assert_eq!(
        all.volume("private")
            .unwrap()
            .attributes
            .get("revisions_to_keep"),
        Some("3")
    );
    let one = vm(PoolChoice {
        all: None,
        by_volume: &[("private", "vm-pool")],
    })
    .unwrap();
    assert_eq!(
        one.volume("private").unwrap().attributes.get("vid"),
        Some("qubes_dom0/vm-new-private")
    );
    assert_eq!(pool(&one, "volatile"), "varlibqubes");
    for (pools, words) in [
        (
            PoolChoice {
                all: Some("nopool"),
                by_volume: &[],
            },
            "Unknown storage pool nopool",
        ),
        (
            PoolChoice {
                all: None,
                by_volume: &[("private", "nopool")],
            },
            "Unknown storage pool nopool",
        ),
        (
            PoolChoice {
                all: None,
                by_volume: &[("root", "vm-pool")],
            },
            "volume 'root' of 'new' is a snapshot of its template's; its pool cannot be chosen",
        ),
        (
            PoolChoice {
                all: None,
                by_volume: &[("extra", "vm-pool")],
            },
            "qube 'new' has no volume 'extra'",
        ),
    ] {
        assert_eq!(vm(pools).unwrap_err(), words);
    }
}

#[test]
fn a_disposable_inherits_the_settings_of_its_template() {
    let (mut qubes, host) = (small(), SampleHost::default());
    property::set(&mut qubes, "default-dvm", "memory", "777", &host).unwrap();
    property::set(&mut qubes, "default-dvm", "guivm", "sys-usb", &host).unwrap();
    let dvm = qubes.unchecked().edit("default-dvm").unwrap();
    dvm.features.set("preload-dispvm-max", "2");
    dvm.tags.push("mine".into());
    let request = NewQube {
        auto_cleanup: true,
        ..new_qube(Class::DispVM, "disp42")
    };
    let vm = plan(&qubes, &request).unwrap();
    assert_eq!(
        properties(&vm),
        [
            ("auto_cleanup", "True"),
            ("dispid", "42"),
            ("label", "red"),
            ("memory", "777"),
            ("name", "disp42"),
            ("qid", "14"),
            ("uuid", "00000000-0000-0000-0000-000000000007"),
            ("guivm", "sys-usb"),
            ("template", "default-dvm"),
        ],
        "8012 is taken by sys-usb"
    );
    assert_eq!(vm.features.get("appmenus-dispvm"), Some("1"));
    assert!(!vm.features.contains("preload-dispvm-max"));
    assert_eq!(
        tags(&vm),
        [
            "audiovm-dom0",
            "created-by-dom0",
            "disp-created-by-dom0",
            "guivm-sys-usb",
            "mine"
        ]
    );
    assert!(
        volume(&vm, "root").contains(&("source".into(), "vm-templates/fedora-41-xfce/root".into()))
    );
    assert!(
        volume(&vm, "private").contains(&("source".into(), "appvms/default-dvm/private".into()))
    );
    assert!(volume(&vm, "private").contains(&("size".into(), "2147483648".into())));
    assert!(volume(&vm, "volatile").contains(&("size".into(), (12u64 << 30).to_string())));
}

#[test]
fn tags_that_the_creator_lists_are_added() {
    let mut qubes = small();
    features::set(
        &mut qubes,
        "dom0",
        "tag-created-vm-with",
        "one two",
        &SampleHost::default(),
    )
    .unwrap();
    let vm = plan(&qubes, &new_qube(Class::AppVM, "new")).unwrap();
    assert_eq!(
        tags(&vm),
        [
            "audiovm-dom0",
            "created-by-dom0",
            "guivm-dom0",
            "one",
            "two"
        ]
    );
}

#[test]
fn an_invalid_request_is_refused_with_upstreams_message() {
    let mut qubes = small();
    let request_for = |class, name, template| NewQube {
        template,
        ..new_qube(class, name)
    };
    for (request, words) in [
        (
            request_for(Class::AppVM, "work", None),
            "Qube already exists: work",
        ),
        (
            request_for(Class::AppVM, "dom0", None),
            "Qube already exists: dom0",
        ),
        (
            request_for(Class::AppVM, "1new", None),
            "VM name cannot start with hyphen, underscore, dot or numbers",
        ),
        (
            request_for(Class::AppVM, "none", None),
            "VM name cannot be 'none' nor 'default'",
        ),
        (
            request_for(Class::AppVM, "this-name-is-much-too-long-for-a-qube", None),
            "VM name must be shorter than 32 characters",
        ),
        (
            request_for(Class::AppVM, "new", Some("nope")),
            "No such domain: 'nope'",
        ),
        (
            request_for(Class::AppVM, "new", Some("vault")),
            "wrong VM class: domains['vault'] is of type AppVM and not TemplateVM",
        ),
        (
            request_for(Class::DispVM, "new", Some("work")),
            "template for disposable (work) needs to be an AppVM with template_for_dispvms=True",
        ),
        (
            request_for(Class::TemplateVM, "new", Some("fedora-41-xfce")),
            "a TemplateVM has no template; leave --template out",
        ),
        (
            request_for(Class::AdminVM, "new", None),
            "qubes of class 'AdminVM' cannot be created",
        ),
        (
            request_for(Class::from_store("NoClass"), "new", None),
            "qubes of class 'NoClass' cannot be created",
        ),
        (
            NewQube {
                label: "pink",
                ..request_for(Class::AppVM, "new", None)
            },
            "Label does not exist: pink",
        ),
    ] {
        assert_eq!(plan(&qubes, &request).map(|_| ()), Err(words.to_owned()));
    }
    property::reset_global(&mut qubes, "default_template", &SampleHost::default()).unwrap();
    let refused = plan(&qubes, &new_qube(Class::AppVM, "new")).unwrap_err();
    assert_eq!(
        refused,
        "no template given for 'new', and the system has no default_template; \
         name one with --template"
    );
}

#[test]
fn an_older_release_gets_only_what_it_can_load() {
    let qubes = small();
    let old = SampleHost {
        release: Release::R4_1,
        ..SampleHost::default()
    };
    let refused = creation::plan(&qubes, &new_qube(Class::AppVM, "a.b"), &old, &mut |_| 0)
        .unwrap_err()
        .to_string();
    assert_eq!(
        refused,
        "VM name 'a.b' has a dot, which Qubes OS 4.1 does not allow (since 4.3)"
    );
    let refused = creation::plan(&qubes, &new_qube(Class::RemoteVM, "far"), &old, &mut |_| 0)
        .unwrap_err()
        .to_string();
    assert_eq!(
        refused,
        "Qubes OS 4.1 does not know remote qubes (since 4.3)"
    );
    let mut qubes = Draft::new(plan_new_system(&old));
    for number in 1..=254 {
        let name = format!("t{number}");
        let vm = creation::plan(
            &qubes,
            &new_qube(Class::RemoteVM, &name),
            &SampleHost::default(),
            &mut |_| 0,
        )
        .unwrap();
        creation::add(&mut qubes, vm).unwrap();
    }
    let refused = creation::plan(
        &qubes,
        &new_qube(Class::StandaloneVM, "one-more"),
        &old,
        &mut |_| 0,
    )
    .unwrap_err()
    .to_string();
    assert_eq!(
        refused,
        "cannot create another qube: all 254 numbers of Qubes OS 4.1 are in use"
    );
}

#[test]
fn a_new_system_has_labels_two_pools_and_dom0() {
    let host = SampleHost::default();
    let qubes = plan_new_system(&host);
    let text = String::from_utf8(qubes::format::write_new(&qubes).unwrap()).unwrap();
    assert!(text.contains(
        r#"<pool name="varlibqubes" dir_path="/var/lib/qubes" driver="file-reflink" revisions_to_keep="1"/>"#
    ));
    assert!(text.contains(
        r#"<pool name="linux-kernel" dir_path="/var/lib/qubes/vm-kernels" driver="linux-kernel"/>"#
    ));
    assert!(text.contains(r#"<property name="default_pool_kernel">linux-kernel</property>"#));
    assert!(text.contains(r#"<domain id="domain-0" class="AdminVM">"#));
    assert_eq!(qubes.labels.iter().count(), 8);
    let readable =
        global_properties().filter(|p| !matches!(p.name, "default_kernel" | "default_template"));
    for property in readable {
        assert!(
            property::global_value(&qubes, property, &host).is_ok(),
            "{}",
            property.name
        );
    }
    let dom0 = qubes.get("dom0").unwrap();
    for property in class_properties(&dom0.class) {
        assert!(
            property::value(&qubes, dom0, property, &host).is_ok(),
            "{}",
            property.name
        );
    }
    let copying = plan_new_system(&SampleHost {
        can_reflink: false,
        ..SampleHost::default()
    });
    assert_eq!(
        copying
            .pools
            .get("varlibqubes")
            .unwrap()
            .option("setup_check"),
        Some("no")
    );
    let mapped = plan_new_system(&SampleHost {
        can_reflink: false,
        can_map_devices: true,
        ..SampleHost::default()
    });
    let pool = mapped.pools.get("varlibqubes").unwrap();
    assert_eq!((pool.driver(), pool.option("setup_check")), ("file", None));
}

/// Upstream cannot save a store in which a qube inherits a missing default_kernel.
#[test]
fn creation_without_a_default_kernel_is_refused() {
    let (mut qubes, host) = (
        Draft::new(plan_new_system(&SampleHost::default())),
        SampleHost::default(),
    );
    let refused = plan(&qubes, &new_qube(Class::TemplateVM, "first")).unwrap_err();
    assert_eq!(
        refused,
        "the system has no default_kernel, and there is no default; \
         set it with qubes-prefs default_kernel VALUE"
    );
    property::set_global(&mut qubes, "default_kernel", "5.15.124-1", &host).unwrap();
    plan(&qubes, &new_qube(Class::TemplateVM, "first")).unwrap();
}

#[test]
fn a_qube_in_use_is_not_removed_and_its_uses_are_listed() {
    let (mut qubes, host) = (small(), SampleHost::default());
    for (name, uses) in [
        (
            "sys-net",
            vec!["global property clockvm", "netvm for sys-firewall"],
        ),
        (
            "sys-firewall",
            vec![
                "global property default_netvm",
                "global property updatevm",
                "netvm for sys-whonix",
            ],
        ),
        (
            "fedora-41-xfce",
            vec![
                "global property default_template",
                "template for default-dvm",
                "template for personal",
                "template for sys-firewall",
                "template for sys-net",
                "template for vault",
            ],
        ),
        ("whonix-gateway-17", vec!["template for sys-whonix"]),
    ] {
        let messages: Vec<String> = removal::find_uses(&qubes, name, &host)
            .iter()
            .map(QubeUse::to_string)
            .collect();
        for wanted in &uses {
            assert!(
                messages.iter().any(|t| t == wanted),
                "{name}: {wanted} in {messages:?}"
            );
        }
        let refused = removal::remove_if_unused(&mut qubes, name, &host)
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert_eq!(refused, format!("Domain is in use: '{name}'"));
        assert!(qubes.contains(name));
    }
}

#[test]
fn an_unused_qube_is_removed_unless_it_runs_or_belongs_to_a_package() {
    let (mut qubes, host) = (small(), SampleHost::default());
    let messages = |qubes: &Qubes, host: &SampleHost| {
        removal::plan(qubes, "vault", host)
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        removal::plan(&qubes, "nope", &host)
            .map(|_| ())
            .unwrap_err()
            .to_string(),
        "no such domain: 'nope'"
    );
    assert_eq!(
        removal::plan(&qubes, "dom0", &host)
            .map(|_| ())
            .unwrap_err()
            .to_string(),
        "Domain 'dom0' cannot be removed."
    );
    let mut running = SampleHost::default();
    running.states.insert("vault".into(), PowerState::Paused);
    assert_eq!(
        messages(&qubes, &running),
        "Domain is not powered off: 'vault'"
    );
    property::set(&mut qubes, "vault", "installed_by_rpm", "True", &host).unwrap();
    assert!(messages(&qubes, &host).contains("package manager"));
    property::reset(&mut qubes, "vault", "installed_by_rpm", &host).unwrap();
    removal::remove_if_unused(&mut qubes, "vault", &host).unwrap();
    assert!(!qubes.contains("vault"));
}
