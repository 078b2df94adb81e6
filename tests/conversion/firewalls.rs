//! The firewall files of R3 are converted with the store.

use std::fs;
use std::os::unix::fs::symlink;

use crate::old_system::{OldSystem, RESTRICTIVE_R3_RULES, RESTRICTIVE_R4_RULES};

const BLOCK_ALL: &str = "<firewall version=\"2\">\n  <rules>\n    <rule>\n      <properties>\
    \n        \
<property name=\"action\">drop</property>\n      </properties>\n    </rule>\n  </rules>\
\n</firewall>\n";

#[test]
fn rules_are_converted_to_the_paths_of_r4() {
    let system = OldSystem::with_images();
    system.succeeds("qubes-db convert");
    for file in ["appvms/work", "appvms/sys-firewall", "vm-templates/win-tpl"] {
        assert_eq!(
            system.read(&format!("{file}/firewall.xml")),
            RESTRICTIVE_R4_RULES,
            "{file}"
        );
    }
    assert_eq!(
        system.read("servicevms/sys-firewall/firewall.xml"),
        RESTRICTIVE_R3_RULES,
        "the old one stays where it is"
    );
    assert_eq!(
        system.read("vm-templates/fedora-23/firewall.xml"),
        BLOCK_ALL,
        "R3's default of templates"
    );
    assert!(
        !system.base().join("appvms/vault/firewall.xml").exists(),
        "the default of both is everything"
    );
    let kept = system.copy_names();
    let copy = |qube: &str| {
        kept.iter()
            .find(|n| n.starts_with(&format!("{qube}-firewall-")))
            .unwrap()
    };
    for qube in ["work", "win-tpl"] {
        assert_eq!(
            system.read(&format!("backup/{}", copy(qube))),
            RESTRICTIVE_R3_RULES,
            "{qube}"
        );
    }
}

#[test]
fn existing_rules_of_r4_are_kept() {
    let system = OldSystem::with_images();
    let own = BLOCK_ALL.replace("drop", "accept");
    fs::write(system.base().join("appvms/work/firewall.xml"), &own).unwrap();
    fs::create_dir_all(system.base().join("appvms/sys-firewall")).unwrap();
    fs::write(system.base().join("appvms/sys-firewall/firewall.xml"), &own).unwrap();
    system.succeeds("qubes-db convert");
    assert_eq!(system.read("appvms/work/firewall.xml"), own);
    assert_eq!(system.read("appvms/sys-firewall/firewall.xml"), own);
}

#[test]
fn invalid_rules_block_everything_and_are_reported() {
    let system = OldSystem::with_images();
    fs::write(
        system.base().join("appvms/work/firewall.xml"),
        "<QubesFirewallRules policy=\"allow\"",
    )
    .unwrap();
    fs::write(
        system.base().join("appvms/standalone/firewall.xml"),
        RESTRICTIVE_R3_RULES.replace("10.0.0.0", "not an address"),
    )
    .unwrap();
    let huge = format!(
        "<QubesFirewallRules policy=\"allow\">{}</QubesFirewallRules>",
        " ".repeat(5 << 20)
    );
    fs::write(system.base().join("appvms/win7/firewall.xml"), &huge).unwrap();
    fs::create_dir(system.base().join("appvms/win-app/firewall.xml")).unwrap();
    let ran = system.run("qubes-db convert");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(system.read("appvms/work/firewall.xml"), BLOCK_ALL);
    assert_eq!(system.read("appvms/win7/firewall.xml"), BLOCK_ALL);
    assert!(
        !system
            .read("appvms/standalone/firewall.xml")
            .contains("address")
    );
    for (qube, why) in [
        ("work", "nothing is let through"),
        (
            "standalone",
            "rule 1: 'not an address' is neither an address nor a name; it is left out",
        ),
        (
            "win7",
            "it is larger than 4194304 bytes; nothing is let through",
        ),
        (
            "win-app",
            "it is not a regular file; the file is left unchanged",
        ),
    ] {
        let line = ran
            .stderr
            .lines()
            .find(|l| l.starts_with(&format!("{qube}: /")))
            .unwrap();
        assert!(line.ends_with(why), "{line}");
    }
    let copy = system
        .copy_names()
        .into_iter()
        .find(|n| n.starts_with("win7-firewall-"))
        .unwrap();
    assert_eq!(
        system.read(&format!("backup/{copy}")),
        huge,
        "kept as a whole"
    );
}

#[test]
fn damaged_rules_never_allow_more() {
    use qubes::firewall::{Action, FirewallVersion, convert_r3, detect_version};
    let mut random = fastrand::Rng::with_seed(20261121);
    let odd = b"<>\"'&/=! 0169.-x\n\0\xc3\xa9";
    for _ in 0..3000 {
        let mut damaged = RESTRICTIVE_R3_RULES.as_bytes().to_vec();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..damaged.len());
            match random.u8(..3) {
                0 => damaged[at] = odd[random.usize(..odd.len())],
                1 => damaged.insert(at, odd[random.usize(..odd.len())]),
                _ => drop(damaged.remove(at)),
            }
        }
        let read = convert_r3(&damaged, 1000);
        let shown = String::from_utf8_lossy(&damaged).into_owned();
        assert_eq!(
            detect_version(&read.rules.to_file()),
            FirewallVersion::R4,
            "{shown}"
        );
        assert_eq!(
            read.rules.0.last().map(|rule| rule.action),
            Some(Action::Drop),
            "{shown}"
        );
        // No rule allows everything.
        let open = read
            .rules
            .0
            .iter()
            .filter(|r| r.action == Action::Accept && r.host.is_none() && !r.is_dns);
        let about_everything = open.filter(|r| r.protocol.is_none());
        assert_eq!(about_everything.count(), 0, "{shown}");
    }
}

#[test]
fn absolute_links_to_rules_are_resolved_below_the_root() {
    let system = OldSystem::with_images();
    let machine = tempfile::Builder::new()
        .prefix("qubes-machine-")
        .tempdir()
        .unwrap();
    let inside = system
        .root()
        .join(machine.path().strip_prefix("/").unwrap());
    fs::create_dir_all(&inside).unwrap();
    for qube in ["work", "sys-firewall"] {
        fs::create_dir(machine.path().join(qube)).unwrap();
        fs::write(
            machine.path().join(qube).join("firewall.xml"),
            "the machine's",
        )
        .unwrap();
    }
    fs::rename(system.base().join("appvms/work"), inside.join("work")).unwrap();
    fs::create_dir(inside.join("sys-firewall")).unwrap();
    for qube in ["work", "sys-firewall"] {
        symlink(
            machine.path().join(qube),
            system.base().join("appvms").join(qube),
        )
        .unwrap();
    }
    system.succeeds("qubes-db convert");
    for qube in ["work", "sys-firewall"] {
        let file = format!("{qube}/firewall.xml");
        assert_eq!(
            fs::read_to_string(inside.join(&file)).unwrap(),
            RESTRICTIVE_R4_RULES,
            "{qube}"
        );
        assert_eq!(
            fs::read_to_string(machine.path().join(&file)).unwrap(),
            "the machine's",
            "{qube}"
        );
    }
    let copy = system
        .copy_names()
        .into_iter()
        .find(|name| name.starts_with("work-firewall-"))
        .unwrap();
    assert_eq!(system.read(&format!("backup/{copy}")), RESTRICTIVE_R3_RULES);
}

/// Somebody tries the conversion on a copy.
#[test]
fn converting_a_copy_of_the_store_keeps_the_rules_of_the_system() {
    for is_converted in [false, true] {
        let system = OldSystem::with_images();
        let copy = system.root().join("copy.xml");
        fs::copy(system.store_file(), &copy).unwrap();
        if is_converted {
            system.succeeds("qubes-db convert");
        }
        fs::write(
            system.base().join("appvms/work/firewall.xml"),
            RESTRICTIVE_R3_RULES,
        )
        .unwrap();
        let ran = system.run(format!("qubes-db convert --qubesxml {}", copy.display()));
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(
            system.read("appvms/work/firewall.xml"),
            RESTRICTIVE_R3_RULES
        );
        assert_eq!(
            system.base().join("appvms/sys-firewall").exists(),
            is_converted
        );
        let line = ran
            .stderr
            .lines()
            .find(|line| line.starts_with("work: "))
            .unwrap();
        assert!(
            line.contains("/appvms/work is the directory of work of "),
            "{line}"
        );
        assert!(
            line.ends_with(", too: no firewall rules are written there"),
            "{line}"
        );
    }
}
