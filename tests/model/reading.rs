//! Values of properties in cases that the samples of `tests/format/dumps.rs` lack: kernels with
//! option files, PCI devices, running domains, LVM, early stores of R4, inherited features, tags.

use qubes::model::check::{Finding, NetvmLoops};
use qubes::model::rules::removal;
use qubes::model::{
    Draft, Effect, Qubes, Release, VmName, check, class_properties, dump, features, network,
    property, tags, volume,
};
use qubes_test_support::SampleHost;
use qubes_test_support::paths::sample;
use qubes_test_support::system::{parse, small_store};

use crate::sample::{small, vm};

fn value(qubes: &Qubes, name: &str, property: &str, host: &SampleHost) -> String {
    property::value_by_name(qubes, vm(qubes, name), property, host)
        .unwrap()
        .to_string()
}

#[test]
fn kernel_options_come_from_the_files_of_the_kernel() {
    let (mut qubes, mut host) = (small(), SampleHost::default());
    assert_eq!(value(&qubes, "vault", "kernelopts", &host), "swiotlb=2048");
    host.kernel_files.insert(
        "default-kernelopts-nopci.txt".into(),
        "nopat quiet\n".into(),
    );
    host.kernel_files
        .insert("default-kernelopts-pci.txt".into(), " iommu=soft \n".into());
    assert_eq!(
        value(&qubes, "vault", "kernelopts", &host),
        "nopat quiet",
        "the template's, which has no PCI device"
    );
    assert_eq!(
        value(&qubes, "sys-usb", "kernelopts", &host),
        "iommu=soft",
        "it has one"
    );
    features::set(
        &mut qubes,
        "dom0",
        "suspend-s0ix",
        "1",
        &SampleHost::default(),
    )
    .unwrap();
    assert_eq!(
        value(&qubes, "sys-usb", "kernelopts", &host),
        "iommu=soft qubes_exp_pm_use_suspend=1"
    );
    property::set(&mut qubes, "sys-usb", "kernel", "", &host).unwrap();
    assert_eq!(value(&qubes, "sys-usb", "kernelopts", &host), "");
    property::set(&mut qubes, "fedora-41-xfce", "kernelopts", "mine", &host).unwrap();
    assert_eq!(value(&qubes, "vault", "kernelopts", &host), "mine");
}

#[test]
fn the_kernel_property_sets_the_kernel_volume() {
    let (mut qubes, host) = (small(), SampleHost::default());
    property::set(&mut qubes, "vault", "kernel", "5.15.124-1", &host).unwrap();
    let kernel = volume::resolve(&qubes, vm(&qubes, "vault"), "kernel", &host).unwrap();
    assert_eq!(
        (kernel.vid.as_str(), kernel.rw, kernel.size),
        ("5.15.124-1", false, 0)
    );
    assert_eq!(
        vm(&qubes, "vault")
            .volume("kernel")
            .unwrap()
            .attributes
            .get("vid"),
        Some("5.15.124-1")
    );
    property::reset(&mut qubes, "vault", "kernel", &host).unwrap();
    assert_eq!(
        vm(&qubes, "vault")
            .volume("kernel")
            .unwrap()
            .attributes
            .get("vid"),
        Some("6.6.77-1.fc37")
    );
}

#[test]
fn a_volume_that_the_class_lacks_is_missing_not_empty() {
    let (qubes, host) = (small(), SampleHost::default());
    let dom0 = vm(&qubes, "dom0");
    assert_eq!(volume::resolve_all(&qubes, dom0, &host).unwrap(), []);
    assert!(removal::volumes_to_remove(&qubes, dom0, &host).is_empty());
    for name in ["root", "private", "volatile", "kernel"] {
        let refused = volume::resolve(&qubes, dom0, name, &host)
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("dom0") && refused.contains(name),
            "{refused}"
        );
    }
    let own = volume::resolve(&qubes, vm(&qubes, "vault"), "windows", &host)
        .unwrap_err()
        .to_string();
    assert!(own.contains("vault") && own.contains("windows"), "{own}");
    // Existing volumes are listed once, in the order of the class.
    let names = |name: &str| -> Vec<String> {
        volume::resolve_all(&qubes, vm(&qubes, name), &host)
            .unwrap()
            .into_iter()
            .map(|v| v.name)
            .collect()
    };
    assert_eq!(names("vault"), ["root", "private", "volatile", "kernel"]);
}

#[test]
fn the_default_kernel_cannot_be_reset_while_a_qube_inherits_it() {
    let (mut qubes, host) = (small(), SampleHost::default());
    let refused = property::reset_global(&mut qubes, "default_kernel", &host)
        .unwrap_err()
        .to_string();
    assert!(
        refused.starts_with("default_kernel cannot be reset: it has no default, and qube '"),
        "{refused}"
    );
    let names: Vec<String> = qubes.names().map(|n| n.to_string()).collect();
    for name in names
        .iter()
        .filter(|n| vm(&small(), n).class.is_local_guest())
    {
        property::set(&mut qubes, name, "kernel", "", &host).unwrap();
    }
    property::reset_global(&mut qubes, "default_kernel", &host).unwrap();
}

#[test]
fn memory_of_a_windows_qube_is_balanced_only_with_an_agent() {
    let (mut qubes, host) = (small(), SampleHost::default());
    property::reset(&mut qubes, "win10", "maxmem", &host).unwrap();
    property::set(&mut qubes, "win10", "virt_mode", "pvh", &host).unwrap();
    assert_eq!(
        value(&qubes, "win10", "maxmem", &host),
        "4096",
        "never below memory"
    );
    property::set(&mut qubes, "win10", "memory", "3000", &host).unwrap();
    assert_eq!(value(&qubes, "win10", "maxmem", &host), "4000");
    property::set(&mut qubes, "win10", "virt_mode", "hvm", &host).unwrap();
    for (feature, text, maxmem) in [
        ("qrexec", "", "0"),
        ("qrexec", "1", "4000"),
        ("supported-service.cups", "1", "0"),
        ("supported-service.meminfo-writer", "1", "4000"),
    ] {
        features::set(&mut qubes, "win10", feature, text, &SampleHost::default()).unwrap();
        assert_eq!(
            value(&qubes, "win10", "maxmem", &host),
            maxmem,
            "{feature}={text}"
        );
    }
    features::set(&mut qubes, "win10", "os", "Linux", &SampleHost::default()).unwrap();
    assert_eq!(
        value(&qubes, "win10", "maxmem", &host),
        "16202",
        "half of the host's"
    );
    property::set(&mut qubes, "win10", "memory", "700", &host).unwrap();
    assert_eq!(value(&qubes, "win10", "maxmem", &host), "7000");
}

#[test]
fn ipv6_is_on_along_the_netvms() {
    let (mut qubes, host) = (small(), SampleHost::default());
    features::set(&mut qubes, "sys-net", "ipv6", "1", &SampleHost::default()).unwrap();
    assert_eq!(value(&qubes, "work", "ip6", &host), "fd09:24ef:4179::a89:9");
    assert_eq!(
        value(&qubes, "work", "visible_gateway6", &host),
        "fd09:24ef:4179::a89:5"
    );
    features::set(
        &mut qubes,
        "sys-firewall",
        "ipv6",
        "",
        &SampleHost::default(),
    )
    .unwrap();
    assert_eq!(value(&qubes, "work", "ip6", &host), "");
    assert_eq!(
        value(&qubes, "sys-firewall", "ip6", &host),
        "",
        "its own word counts first"
    );
}

#[test]
fn features_are_inherited_from_templates_netvms_and_dom0() {
    let (mut qubes, host) = (small(), SampleHost::default());
    let look = |qubes: &Qubes| {
        let disposable = vm(qubes, "sys-usb");
        (
            features::get_with_template(qubes, disposable, "x").map(str::to_owned),
            features::get_with_template_and_adminvm(qubes, disposable, "x").map(str::to_owned),
            features::get_with_adminvm(qubes, disposable, "x").map(str::to_owned),
            features::get_with_netvm(qubes, vm(qubes, "work"), "x", &host).map(str::to_owned),
        )
    };
    assert_eq!(look(&qubes), (None, None, None, None));
    features::set(&mut qubes, "dom0", "x", "admin", &SampleHost::default()).unwrap();
    assert_eq!(
        look(&qubes),
        (None, Some("admin".into()), Some("admin".into()), None)
    );
    features::set(
        &mut qubes,
        "fedora-41-xfce",
        "x",
        "template",
        &SampleHost::default(),
    )
    .unwrap();
    features::set(&mut qubes, "sys-net", "x", "net", &SampleHost::default()).unwrap();
    let template = Some("template".to_owned());
    assert_eq!(
        look(&qubes),
        (
            template.clone(),
            template,
            Some("admin".into()),
            Some("net".into())
        )
    );
    features::set(&mut qubes, "default-dvm", "x", "", &SampleHost::default()).unwrap();
    assert_eq!(
        look(&qubes).0.as_deref(),
        Some(""),
        "the first that has it wins, also when it is off"
    );
}

#[test]
fn a_loop_of_netvms_in_the_store_does_not_hang() {
    let (mut qubes, host) = (small(), SampleHost::default());
    qubes
        .unchecked()
        .edit("sys-net")
        .unwrap()
        .properties
        .set("netvm", "sys-whonix");
    let work = vm(&qubes, "work");
    let chain: Vec<&str> = property::netvm_chain(&qubes, work, &host)
        .map(|v| v.name.as_str())
        .collect();
    assert_eq!(chain, ["work", "sys-firewall", "sys-net", "sys-whonix"]);
    assert_eq!(value(&qubes, "work", "ip6", &host), "");
}

#[test]
fn the_default_pool_is_explicit_or_holds_the_system() {
    let (mut qubes, host) = (small(), SampleHost::default());
    let pool = |qubes: &Qubes| {
        property::global_value_by_name(qubes, "default_pool", &SampleHost::default())
            .map(|v| v.to_string())
    };
    assert_eq!(pool(&qubes).as_deref(), Ok("varlibqubes"));
    qubes
        .unchecked()
        .pools
        .0
        .retain(|p| p.name() != "varlibqubes");
    let words = "the system has no default_pool, and there is no default; \
         set it with qubes-prefs default_pool VALUE";
    assert_eq!(pool(&qubes).unwrap_err().to_string(), words);
    qubes.unchecked().pools.0[1]
        .attributes
        .set("name", "default");
    assert_eq!(pool(&qubes).as_deref(), Ok("default"));
    property::set_global(&mut qubes, "default_pool", "slow-hdd", &host).unwrap();
    assert_eq!(pool(&qubes).as_deref(), Ok("slow-hdd"));
}

#[test]
fn values_of_early_stores_count_until_the_property_is_set() {
    let (mut qubes, host) = (small(), SampleHost::default());
    let work = qubes.unchecked().edit("work").unwrap();
    work.properties.set("hvm", "True");
    work.properties.set("dispvm_allowed", "True");
    work.features.set("service.meminfo-writer", "");
    for (property, old, new) in [
        ("virt_mode", "hvm", "pv"),
        ("template_for_dispvms", "True", "False"),
        ("maxmem", "0", "5"),
    ] {
        assert_eq!(value(&qubes, "work", property, &host), old);
        let row = qubes::model::Property::find(
            qubes::model::Scope::Class(&vm(&qubes, "work").class),
            property,
        )
        .unwrap();
        assert!(!row.is_default(vm(&qubes, "work")));
        property::set(&mut qubes, "work", property, new, &host).unwrap();
        assert_eq!(value(&qubes, "work", property, &host), new);
    }
    let work = vm(&qubes, "work");
    assert!(!work.properties.contains("hvm") && !work.features.contains("service.meminfo-writer"));
    qubes
        .unchecked()
        .edit("work")
        .unwrap()
        .features
        .set("service.meminfo-writer", "");
    property::reset(&mut qubes, "work", "maxmem", &host).unwrap();
    assert_eq!(value(&qubes, "work", "maxmem", &host), "4000");
}

#[test]
fn invalid_features_are_refused_and_valid_ones_have_effects() {
    let mut qubes = small();
    let refused = features::set(
        &mut qubes,
        "work",
        "preload-dispvm",
        "x",
        &SampleHost::default(),
    )
    .unwrap_err()
    .to_string();
    assert_eq!(
        refused,
        "feature 'preload-dispvm' of qube 'work' is managed by the system and cannot be changed"
    );
    let refused = features::set(&mut qubes, "work", "bad name", "1", &SampleHost::default())
        .unwrap_err()
        .to_string();
    assert_eq!(
        refused,
        "feature 'bad name' of qube 'work' cannot be set to '1': a feature's name is made of \
         letters, digits, . _ and -"
    );
    assert!(
        features::remove(&mut qubes, "work", "nosuch")
            .unwrap()
            .effects()
            .is_empty()
    );
    let work = vm(&qubes, "work").name.clone();
    let change = features::set(
        &mut qubes,
        "work",
        "service.cups",
        "1",
        &SampleHost::default(),
    )
    .unwrap();
    assert_eq!(
        change.effects(),
        [Effect::QubesDbFeature {
            vm: work.clone(),
            feature: "service.cups".into()
        }]
    );
    let change = features::set(
        &mut qubes,
        "dom0",
        "service.cups",
        "",
        &SampleHost::default(),
    )
    .unwrap();
    assert_eq!(
        change.effects(),
        [Effect::Dom0Service {
            service: "cups".into(),
            on: false
        }]
    );
    let change = features::set(
        &mut qubes,
        "work",
        "service.meminfo-writer",
        "",
        &SampleHost::default(),
    )
    .unwrap();
    assert_eq!(change.effects(), [Effect::MaxmemHotplug { vm: work }]);
    let work = vm(&qubes, "work");
    assert_eq!(
        (
            work.properties.get("maxmem"),
            work.features.get("service.meminfo-writer")
        ),
        (Some("0"), None)
    );
}

#[test]
fn invalid_tags_are_refused_and_valid_ones_added_once() {
    let mut qubes = small();
    for _ in 0..2 {
        tags::add(&mut qubes, "work", "new-tag").unwrap();
        let tags = &vm(&qubes, "work").tags;
        assert_eq!(tags.iter().filter(|tag| *tag == "new-tag").count(), 1);
    }
    assert!(
        tags::add(&mut qubes, "work", "bad tag").is_err()
            && tags::add(&mut qubes, "nope", "x").is_err()
    );
    assert!(
        tags::add(&mut qubes, "work", "created-by-x").is_err(),
        "there is no qube x"
    );
    features::set(
        &mut qubes,
        "vault",
        "tag-created-vm-with",
        "of-vault",
        &SampleHost::default(),
    )
    .unwrap();
    tags::add(&mut qubes, "work", "created-by-vault").unwrap();
    assert!(vm(&qubes, "work").has_tag("created-by-vault"));
    assert!(vm(&qubes, "work").has_tag("of-vault"));
    assert!(vm(&qubes, "work").has_tag("created-by-dom0"));
    for _ in 0..2 {
        tags::remove(&mut qubes, "work", "created-by-dom0").unwrap();
        assert!(!vm(&qubes, "work").has_tag("created-by-dom0"));
    }
}

/// The quick check of listings must report every problem that the complete check of `qubes-db
/// check` finds to break a qube.
fn assert_quick_check_is_complete(
    qubes: &Qubes,
    name: &str,
    host: &SampleHost,
    change: &str,
) -> bool {
    let qube = vm(qubes, name);
    let thorough = check::qube_findings(qubes, qube, host, &mut NetvmLoops::default())
        .into_iter()
        .filter(Finding::is_breaking);
    let thorough: Vec<String> = thorough.map(|finding| finding.text).collect();
    assert_eq!(
        check::qube_problems(qubes, qube, host, &mut NetvmLoops::default()),
        thorough,
        "{name}: {change}"
    );
    !thorough.is_empty()
}

#[test]
fn the_quick_check_of_listings_finds_everything_that_breaks_a_qube() {
    const TEXTS: [&str; 14] = [
        "",
        "0",
        "01",
        "-1",
        "254",
        "255",
        "10001",
        "99999999999999999999",
        "True",
        "False",
        "work",
        "sys-usb",
        "dom0",
        "a b",
    ];
    let names: Vec<VmName> = small().names().cloned().collect();
    let mut broken = 0;
    for release in [Release::R4_0, Release::R4_4] {
        let host = SampleHost {
            release,
            ..SampleHost::default()
        };
        for name in names.iter().map(VmName::as_str) {
            let sound = small();
            let original = vm(&sound, name).clone();
            let mut qubes = small();
            let properties: Vec<&str> = class_properties(&original.class)
                .map(|p| p.name)
                .chain(["hvm", "wonder"])
                .collect();
            for (property, text) in properties.iter().flat_map(|p| TEXTS.map(|text| (*p, text))) {
                qubes
                    .unchecked()
                    .edit(name)
                    .unwrap()
                    .properties
                    .set(property, text);
                broken += usize::from(assert_quick_check_is_complete(
                    &qubes,
                    name,
                    &host,
                    &format!("{property}={text}"),
                ));
                *qubes.unchecked().edit(name).unwrap() = original.clone();
            }
            for property in original.properties.names() {
                qubes
                    .unchecked()
                    .edit(name)
                    .unwrap()
                    .properties
                    .remove(property);
                broken += usize::from(assert_quick_check_is_complete(
                    &qubes, name, &host, property,
                ));
                *qubes.unchecked().edit(name).unwrap() = original.clone();
            }
            let attributes = [
                "pool",
                "vid",
                "size",
                "revisions_to_keep",
                "snap_on_start",
                "source",
                "ephemeral",
                "wonder",
            ];
            for (volume, attribute) in
                (0..original.volumes.len()).flat_map(|v| attributes.map(|a| (v, a)))
            {
                for text in TEXTS {
                    qubes.unchecked().edit(name).unwrap().volumes[volume]
                        .attributes
                        .set(attribute, text);
                    let change = format!("volume {volume}: {attribute}={text}");
                    broken +=
                        usize::from(assert_quick_check_is_complete(&qubes, name, &host, &change));
                }
                qubes.unchecked().edit(name).unwrap().volumes[volume]
                    .attributes
                    .remove(attribute);
                broken += usize::from(assert_quick_check_is_complete(
                    &qubes, name, &host, attribute,
                ));
                *qubes.unchecked().edit(name).unwrap() = original.clone();
            }
        }
    }
    assert!(broken > 1000, "{broken} changes broke a qube");
}

#[test]
fn inherited_values_equal_those_of_the_template() {
    let host = SampleHost::default();
    let mut inherited = 0;
    for name in ["small", "random-1", "random-2", "n1000"] {
        let qubes = parse(&sample(&format!("{name}.xml")));
        for qube in qubes.iter() {
            for property in class_properties(&qube.class).filter(|p| p.is_default(qube)) {
                let template =
                    Some(qube).filter(|qube| property::is_inherited(&qubes, qube, property, &host));
                let Some(template) =
                    template.and_then(|qube| property::template(&qubes, qube).ok()?)
                else {
                    continue;
                };
                let (own, given) = (
                    property::value(&qubes, qube, property, &host),
                    property::value_by_name(&qubes, template, property.name, &host),
                );
                assert_eq!(own, given, "{name}: {} of {}", property.name, qube.name);
                inherited += 1;
            }
        }
    }
    assert!(inherited > 1000, "{inherited} values are inherited");
}

/// Builds `n` qubes, each the netvm of the one before; the last has none or, in a loop, the first.
fn chain(n: usize, is_loop: bool) -> Qubes {
    let (store, mut domains) = (small_store(), String::new());
    for k in 0..n {
        let netvm = if k + 1 < n {
            format!("c{}", k + 1)
        } else {
            String::from(if is_loop { "c0" } else { "" })
        };
        domains += &format!(
            r#"<domain id="domain-{id}" class="AppVM"><properties><property name="label" ref="label-1">red</property>
<property name="name">c{k}</property><property name="qid">{id}</property><property name="template">fedora-41-xfce
</property><property name="provides_network">True</property><property name="netvm">{netvm}</property></properties>
<features/><devices class="pci"/><tags/></domain>"#,
            id = 1000 + k
        );
    }
    qubes::format::read(
        store
            .replace("</domains>", &(domains + "</domains>"))
            .into_bytes(),
    )
    .unwrap()
}

/// Returns the CPU time in seconds of all checks of all qubes.
fn cost(n: usize, is_loop: bool) -> f64 {
    use nix::sys::resource::{UsageWho, getrusage};
    let used = || {
        let usage = getrusage(UsageWho::RUSAGE_THREAD).unwrap();
        let times = [usage.user_time(), usage.system_time()];
        times
            .iter()
            .map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6)
            .sum::<f64>()
    };
    let (qubes, host) = (chain(n, is_loop), SampleHost::default());
    let begun = used();
    let loops = |findings: &[Finding]| {
        findings
            .iter()
            .filter(|f| f.text.contains("lead back to it"))
            .count()
    };
    assert_eq!(
        loops(&check::findings(&qubes, &host)),
        if is_loop { n } else { 0 }
    );
    let mut ways = NetvmLoops::default();
    for vm in qubes.iter() {
        check::qube_problems(&qubes, vm, &host, &mut ways);
        check::qube_refusals(&qubes, vm, &host, &mut ways);
        network::has_ipv6(&qubes, vm, &host);
    }
    used() - begun
}

#[test]
fn the_cost_of_a_chain_of_netvms_is_linear() {
    for is_loop in [false, true] {
        let least = |n| {
            (0..3)
                .map(|_| cost(n, is_loop))
                .fold(f64::INFINITY, f64::min)
        };
        let (few, many) = (least(200), least(800));
        // With four times as many qubes, a cubic cost is 64 times higher, a quadratic one 16 times.
        assert!(
            many < few * 11.0,
            "{few} s for 200, {many} s for 800 (a loop: {is_loop})"
        );
    }
}

#[test]
fn a_feature_is_looked_up_along_a_limited_number_of_netvms() {
    let (mut qubes, host) = (Draft::new(chain(100, false)), SampleHost::default());
    features::set(&mut qubes, "c64", "ipv6", "1", &host).unwrap();
    assert!(
        network::has_ipv6(&qubes, vm(&qubes, "c0"), &host)
            && network::has_ipv6(&qubes, vm(&qubes, "c64"), &host)
    );
    features::remove(&mut qubes, "c64", "ipv6").unwrap();
    features::set(&mut qubes, "c65", "ipv6", "1", &host).unwrap();
    assert!(
        !network::has_ipv6(&qubes, vm(&qubes, "c0"), &host)
            && network::has_ipv6(&qubes, vm(&qubes, "c1"), &host)
    );
}

#[test]
fn a_stored_text_is_shown_in_the_form_of_upstreams_setter() {
    let store = small_store();
    for (property, stored, shown) in [
        ("virt_mode", "PVH", "pvh"),
        ("virt_mode", "xen", "xen"),
        ("mac", "00:16:3E:AA:BB:CC", "00:16:3e:aa:bb:cc"),
        ("devices_denied", "u01****b******u01****", "b******u01****"),
    ] {
        let name = "<property name=\"name\">work</property>";
        let text = format!("<property name=\"{property}\">{stored}</property>{name}");
        let qubes = qubes::format::read(store.replacen(name, &text, 1).into_bytes()).unwrap();
        assert_eq!(
            value(&qubes, "work", property, &SampleHost::default()),
            shown,
            "{property} {stored}"
        );
        assert_eq!(vm(&qubes, "work").properties.get(property), Some(stored));
    }
}

#[test]
fn a_dump_has_the_explicit_ephemeral_of_a_volume() {
    let store = small_store();
    for said in [true, false] {
        let word = if said { "True" } else { "False" };
        let (before, work) = store.split_at(store.find(r#"<property name="name">work<"#).unwrap());
        let work = work.replacen(
            r#"name="volatile""#,
            &format!(r#"name="volatile" ephemeral="{word}""#),
            1,
        );
        let qubes = qubes::format::read(format!("{before}{work}").into_bytes()).unwrap();
        let dump = dump::dump_system(&qubes, &SampleHost::default());
        assert_eq!(
            dump["domains"]["work"]["volumes"]["volatile"]["ephemeral"],
            said
        );
        assert!(
            dump["domains"]["work"]["volumes"]["private"]
                .get("ephemeral")
                .is_none()
        );
    }
}
