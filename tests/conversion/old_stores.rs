//! Stores of R1, R2 and R3: what the tools show, and that reading does not change them. The mapping
//! is described in `docs/migration.md`.

use qubes::format;
use qubes::model::Vm;

use crate::old_system::{OldSystem, find_sample};

/// Returns one property of one qube.
fn property(system: &OldSystem, vm: &str, property: &str) -> String {
    let value = system.succeeds(["qvm-prefs", vm, property]);
    value.trim_end().to_string()
}

/// Asserts what `qvm-prefs` prints, as qube, property and value.
fn assert_properties(system: &OldSystem, expected: &[(&str, &str, &str)]) {
    for (vm, name, value) in expected {
        assert_eq!(property(system, vm, name), *value, "{name} of {vm}");
    }
}

fn list_qubes(system: &OldSystem) -> Vec<String> {
    let fields = "NAME,CLASS,TEMPLATE,NETVM,LABEL,QID,MAXMEM,VCPUS,KERNEL,VIRT_MODE";
    let list = system.succeeds(["qvm-ls", "--raw-data", "--fields", fields]);
    list.lines().map(str::to_owned).collect()
}

fn assert_untouched(system: &OldSystem) {
    assert!(system.is_old());
    assert_eq!(system.images(""), ["qubes.xml"]);
}

fn pci_devices(vm: &Vm) -> Vec<String> {
    vm.assignments("pci")
        .map(|a| format!("{}:{}", a.backend().unwrap_or("-"), a.port()))
        .collect()
}

fn volume_ids(vm: &Vm) -> Vec<&str> {
    vm.volumes
        .iter()
        .filter_map(|v| v.attributes.get("vid"))
        .collect()
}

#[test]
fn a_store_of_r1_is_listed() {
    let system = OldSystem::from_sample("r1.xml");
    assert_eq!(
        list_qubes(&system),
        [
            "alone|StandaloneVM|-|firewall|red|4|4000|2|-|pv",
            "dom0|AdminVM|-|-|black|0|4096|-|-|-",
            "fedora-17|TemplateVM|-|-|gray|1|4000|2|3.2.7-10|pv",
            "firewall|AppVM|fedora-17|net|green|3|2000|2|3.2.7-10|pv",
            "net|AppVM|fedora-17|-|red|2|0|2|3.2.7-10|pv",
        ]
    );
    assert_properties(
        &system,
        &[
            ("alone", "kernel", ""),
            ("fedora-17", "installed_by_rpm", "True"),
            ("net", "provides_network", "True"),
            ("net", "memory", "200"),
        ],
    );
    let qubes = system.qubes();
    assert_eq!(
        pci_devices(qubes.get("net").unwrap()),
        ["dom0:02_00.0", "dom0:03_00.0"],
        "a list without brackets"
    );
    assert_untouched(&system);
}

#[test]
fn a_store_of_r2_is_listed() {
    let system = OldSystem::from_sample("r2.xml");
    assert_eq!(
        list_qubes(&system),
        [
            "dom0|AdminVM|-|-|black|0|4096|-|-|-",
            "fedora-20|TemplateVM|-|-|black|1|1535|2|3.7.6-2|pv",
            "firewall|AppVM|fedora-20|net|green|3|2000|2|3.7.6-2|pv",
            "net|AppVM|fedora-20|-|red|2|0|2|3.7.6-2|pv",
            // The maxmem of the template is 1535, and R4 would inherit it; in R3 this qube had its
            // own.
            "vault|AppVM|fedora-20|-|black|5|4000|2|3.7.6-2|pv",
            "work|AppVM|fedora-20|firewall|green|4|4000|1|3.7.6-2|pv",
        ]
    );
    assert_properties(
        &system,
        &[
            ("work", "memory", "400"),
            ("work", "debug", "True"),
            ("work", "autostart", "True"),
            ("work", "mac", "00:16:3e:5e:6c:55"),
            ("work", "include_in_backups", "False"),
            ("work", "qrexec_timeout", "120"),
            ("work", "kernelopts", "quiet"),
            // R3 always used the value of the template, whatever the qube itself had.
            ("work", "default_user", "tester"),
            ("vault", "netvm", ""),
            ("vault", "default_dispvm", ""),
            ("firewall", "netvm", "net"),
        ],
    );
    let globals = system.succeeds("qubes-prefs --hide-default");
    for (name, value) in [
        ("clockvm", "net"),
        ("default_netvm", "firewall"),
        ("default_template", "fedora-20"),
    ] {
        let line = globals
            .lines()
            .find(|l| l.starts_with(&format!("{name} ")))
            .unwrap();
        assert!(line.ends_with(value), "{line}");
    }
    assert!(!globals.contains("default_fw_netvm"));
    assert_untouched(&system);
}

#[test]
fn services_devices_and_images_of_r2_are_where_r4_looks_for_them() {
    let qubes = OldSystem::from_sample("r2.xml").qubes();
    let work = qubes.get("work").unwrap();
    let features: Vec<_> = work.features.iter().collect();
    assert_eq!(
        features,
        [
            ("internal", "1"),
            ("service.cups", ""),
            ("check-updates", "")
        ]
    );
    assert_eq!(
        qubes
            .get("firewall")
            .unwrap()
            .features
            .get("updates-proxy-setup"),
        Some("1")
    );
    assert_eq!(
        volume_ids(work),
        ["appvms/work/private", "appvms/work/volatile"]
    );
    let net = qubes.get("net").unwrap();
    assert_eq!(pci_devices(net), ["dom0:02_00.0"]);
    let devices: Vec<_> = net.assignments("pci").collect();
    assert_eq!(devices[0].options.get("no-strict-reset"), Some("True"));
    assert_eq!(
        volume_ids(net),
        ["servicevms/net/private", "servicevms/net/volatile"],
        "left where they are"
    );
    let template = qubes.get("fedora-20").unwrap();
    let images = ["root", "private", "volatile"].map(|v| format!("vm-templates/fedora-20/{v}"));
    assert_eq!(volume_ids(template), images);
    assert_eq!(template.features.get("qrexec"), Some("1"));
    assert_eq!(
        qubes.get("dom0").unwrap().features.get("backup-path"),
        Some("dom0-home/user")
    );
    assert!(
        qubes.get("disp50").is_none(),
        "a disposable ended with the session of the old system"
    );
    assert!(qubes.diagnoses.is_empty() && qubes.iter().all(|vm| vm.diagnoses.is_empty()));
}

#[test]
fn a_store_that_r3_wrote_is_listed() {
    let system = OldSystem::from_sample("saved.xml");
    assert_eq!(
        list_qubes(&system),
        [
            "dom0|AdminVM|-|-|black|0|4096|-|-|-",
            "fedora-23|TemplateVM|-|-|black|1|4000|2|4.1.13-6|pv",
            "standalone|StandaloneVM|-|sys-firewall|yellow|5|4000|2|4.1.13-6|pv",
            "sys-firewall|AppVM|fedora-23|sys-net|green|3|3000|2|4.1.13-6|pv",
            "sys-net|AppVM|fedora-23|-|red|2|0|2|4.1.13-6|pv",
            "vault|AppVM|fedora-23|-|black|6|4000|2|4.1.13-6|pv",
            "win-app|AppVM|win-tpl|sys-firewall|orange|9|0|2|-|hvm",
            "win-tpl|TemplateVM|-|-|gray|8|0|2|-|hvm",
            "win7|StandaloneVM|-|sys-firewall|purple|7|0|2|-|hvm",
            "work|AppVM|fedora-23|sys-firewall|blue|4|4000|2|4.1.13-6|pv",
        ]
    );
    assert_properties(
        &system,
        &[
            ("work", "uuid", "67e92c87-65a9-bc7f-b2d3-35c459de9eb5"),
            ("win7", "memory", "512"),
            ("fedora-23", "include_in_backups", "False"),
        ],
    );
    let qubes = system.qubes();
    let feature =
        |vm: &str, name: &str| qubes.get(vm).unwrap().features.get(name).map(str::to_owned);
    assert_eq!(feature("win7", "timezone").as_deref(), Some("3600"));
    assert_eq!(feature("win7", "linux-stubdom").as_deref(), Some(""));
    assert_eq!(feature("win-tpl", "qrexec").as_deref(), Some("1"));
    assert_eq!(feature("win7", "qrexec"), None);
    assert_eq!(system.run("qvm-check work").code, 0);
    assert_eq!(system.run("qvm-check nobody").code, 1);
    assert_untouched(&system);
}

#[test]
fn only_the_bad_parts_of_a_hostile_store_are_lost() {
    let system = OldSystem::from_sample("hostile.xml");
    assert_eq!(
        list_qubes(&system),
        [
            "big|AppVM|tpl|-|red|-|0|2|-|pv",
            "dom0|AdminVM|-|-|black|0|4096|-|-|-",
            "fine|AppVM|tpl|-|blue|11|4000|2|-|pv",
            "loop-a|AppVM|tpl|-|red|2|3000|2|-|pv",
            "loop-b|AppVM|tpl|loop-a|red|3|3000|2|-|pv",
            "no-number|AppVM|-|-|red|-|-|-|-|pv",
            "no-template|AppVM|-|-|red|4|-|-|-|pv",
            "second-four|AppVM|tpl|-|red|-|4000|2|-|pv",
            "self|AppVM|tpl|-|red|6|3000|2|-|pv",
            "tpl|TemplateVM|-|-|black|1|4000|2|-|pv",
        ]
    );
    let warnings = system.run("qvm-ls").stderr;
    for line in [
        "qvm-ls: a second qube is called 'tpl'; only the first is used",
        "qvm-ls: the element at line 11 cannot be used: VM name must not be empty",
        "qvm-ls: the element at line 15 cannot be used: <QubesVm> is not a class of qubes",
        "qvm-ls: default_netvm='4' of the system: no suitable qube has this number; none is used",
        "loop-a: netvm_qid='3' makes the qube its own netvm; its netvm is none",
        "self: netvm_qid='6' makes the qube its own netvm; its netvm is none",
        "no-template: template_qid='99': no template has this number",
        "no-template: netvm_qid='98': no qube that provides network has this number; the netvm is \
         none",
        "no-number: qid is missing; other qubes cannot refer to this qube",
        "second-four: qid='4' is also the number of 'no-template'; \
         references are resolved to 'no-template'",
        "tpl: memory='lots' is not a number; the default is used",
        "tpl: services=__import__('os') is not a list of services; none is imported",
        "big: '../../x' in pcidevs is not a PCI device; it is not assigned",
    ] {
        assert!(
            warnings.lines().any(|l| l == line),
            "{line}\nis not in\n{warnings}"
        );
    }
    assert_eq!(property(&system, "fine", "template"), "tpl");
    assert_eq!(system.run("qvm-prefs no-template").code, 0);
    let qubes = system.qubes();
    assert_eq!(
        volume_ids(qubes.get("no-number").unwrap())[0],
        "appvms/no-number/private",
        "never outside the pool"
    );
    assert_eq!(pci_devices(qubes.get("big").unwrap()), ["dom0:02_00.0"]);
    assert_untouched(&system);
}

#[test]
fn an_old_store_is_never_overwritten_without_conversion() {
    let before = OldSystem::from_sample("saved.xml").before;
    let mut qubes = format::read(before.clone()).unwrap();
    qubes.edit("work").unwrap().properties.set("memory", "500");
    let refusal = format::write(&before, &qubes).unwrap_err().to_string();
    assert!(
        refusal.starts_with("written by Qubes R3 or older"),
        "{refusal}"
    );
}

#[test]
fn damage_anywhere_in_an_old_store_is_an_error_or_a_diagnosis() {
    let mut random = fastrand::Rng::with_seed(20261121);
    let odd = b"<>\"'&/=! []{}:,-0x\n\0\xc3\xa9";
    for name in ["r1.xml", "r2.xml", "saved.xml", "hostile.xml"] {
        let bytes = OldSystem::from_sample(name).before;
        let mut read = 0;
        for _ in 0..1500 {
            let mut damaged = bytes.clone();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..damaged.len());
                match random.u8(..3) {
                    0 => damaged[at] = odd[random.usize(..odd.len())],
                    1 => damaged.insert(at, odd[random.usize(..odd.len())]),
                    _ => drop(damaged.remove(at)),
                }
            }
            if let Ok(qubes) = format::read(damaged) {
                assert!(qubes.contains("dom0"));
                read += 1;
            }
        }
        assert!(read > 300, "{read} of 1500 in {name}");
    }
}

#[test]
fn the_samples_of_every_old_release_are_read() {
    for (name, netvms) in [
        ("r1-qubes.xml", "firewallvm netvm,test-testproxy netvm"),
        ("r2b2-qubes.xml", "firewallvm netvm"),
        ("r2-qubes.xml", "firewallvm netvm,untrusted test-testproxy"),
        (
            "r3-qubes.xml",
            "firewallvm netvm,untrusted test-testproxy,testproxy2 netvm",
        ),
    ] {
        let Some(system) = find_sample(name) else {
            continue;
        };
        let ran = system.run("qvm-ls --raw-data --fields NAME,CLASS,TEMPLATE,NETVM,LABEL,QID");
        assert_eq!((ran.code, &*ran.stderr), (0, ""), "{name}");
        let text = String::from_utf8_lossy(&system.before);
        let elements = text.matches("<Qubes").count() - text.matches("<QubesVmCollection").count();
        let dom0 = usize::from(!text.contains("<QubesAdminVm"));
        let expected = elements + dom0 - text.matches("<QubesDisposableVm").count();
        assert_eq!(
            ran.stdout.lines().count(),
            expected,
            "{name}: {}",
            ran.stdout
        );
        for (vm, netvm) in netvms.split(',').filter_map(|n| n.split_once(' ')) {
            assert_eq!(property(&system, vm, "netvm"), netvm, "{vm} of {name}");
        }
        assert_eq!(property(&system, "netvm", "netvm"), "");
        let read = system.qubes();
        let devices = pci_devices(read.get("netvm").unwrap());
        assert!(
            devices.len() == 2 && devices[1] == "dom0:03_00.0",
            "{name}: {devices:?}"
        );
        assert!(read.iter().all(|vm| vm.diagnoses.is_empty()), "{name}");
        assert_untouched(&system);
    }
}

#[test]
fn an_hvm_qube_of_a_sample_stays_hvm() {
    let Some(system) = find_sample("r3-qubes.xml") else {
        return;
    };
    assert_properties(
        &system,
        &[
            ("test-testhvm", "klass", "StandaloneVM"),
            ("test-testhvm", "virt_mode", "hvm"),
            ("test-testhvm", "kernel", ""),
            ("test-testhvm", "memory", "512"),
            ("netvm", "memory", "200"),
            ("fedora-20-x64-dvm", "vcpus", "1"),
        ],
    );
    assert_untouched(&system);
}
