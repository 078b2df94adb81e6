//! One broken qube does not take the system down: it is marked, can be inspected, repaired with
//! ordinary tools, or removed, and everything else keeps working. Upstream refuses the whole file
//! for nearly all of these cases.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use qubes_test_support::TestSystem;
use qubes_test_support::domain_texts::domains;

/// One kind of damage to `small.xml`.
struct Damage {
    what: &'static str,
    /// The broken qube.
    qube: &'static str,
    /// The text in its domain that is replaced, and the replacement.
    change: (&'static str, &'static str),
    /// A part of the warning.
    message: &'static str,
    /// The commands that repair it: ordinary tools where possible, else `qubes-db repair`.
    repair: &'static [&'static str],
}

const SET_NETVM: &[&str] = &["qvm-prefs personal netvm sys-firewall"];
const SET_TEMPLATE: &[&str] = &["qvm-prefs work template debian-12-xfce"];
const REPAIR: &[&str] = &["qubes-db repair --yes"];

const DAMAGES: &[Damage] = &[
    Damage {
        what: "a bad value",
        qube: "work",
        change: ("\"vcpus\">4<", "\"vcpus\">many<"),
        message: "vcpus is 'many': it is not a number",
        repair: &["qvm-prefs work vcpus 4"],
    },
    Damage {
        what: "a bad value, forgotten",
        qube: "work",
        change: ("\"vcpus\">4<", "\"vcpus\">many<"),
        message: "vcpus is 'many': it is not a number",
        repair: &["qvm-prefs -D work vcpus"],
    },
    Damage {
        what: "an unknown property",
        qube: "work",
        change: ("\"vcpus\">4<", "\"wonder\">4<"),
        message: "a qube of class AppVM has no property wonder",
        repair: &["qvm-prefs -D work wonder"],
    },
    Damage {
        what: "a computed property",
        qube: "work",
        change: ("\"vcpus\">4<", "\"xid\">4<"),
        message: "xid is computed and cannot be set",
        repair: &["qvm-prefs -D work xid"],
    },
    Damage {
        what: "a template that is gone",
        qube: "work",
        change: ("\"template\">debian-12-xfce<", "\"template\">gone<"),
        message: "template is 'gone': there is no such qube",
        repair: SET_TEMPLATE,
    },
    Damage {
        what: "a template of the wrong class",
        qube: "work",
        change: ("\"template\">debian-12-xfce<", "\"template\">vault<"),
        message: "template is 'vault': a AppVM cannot be the template",
        repair: SET_TEMPLATE,
    },
    Damage {
        what: "a qube that is its own template",
        qube: "work",
        change: ("\"template\">debian-12-xfce<", "\"template\">work<"),
        message: "template is 'work': a AppVM cannot be the template",
        repair: SET_TEMPLATE,
    },
    Damage {
        what: "no template",
        qube: "work",
        change: (
            "        <property name=\"template\">debian-12-xfce</property>\n",
            "",
        ),
        message: "template is missing",
        repair: SET_TEMPLATE,
    },
    Damage {
        what: "a netvm that is gone",
        qube: "personal",
        change: ("\"netvm\">sys-whonix<", "\"netvm\">gone<"),
        message: "netvm is 'gone': there is no such qube",
        repair: SET_NETVM,
    },
    Damage {
        what: "a netvm that provides no network",
        qube: "personal",
        change: ("\"netvm\">sys-whonix<", "\"netvm\">vault<"),
        message: "netvm is 'vault', which does not provide network",
        repair: &["qvm-prefs personal netvm none"],
    },
    Damage {
        what: "a qube that is its own netvm",
        qube: "personal",
        change: ("\"netvm\">sys-whonix<", "\"netvm\">personal<"),
        message: "netvm is 'personal'",
        repair: &["qvm-prefs -D personal netvm"],
    },
    Damage {
        what: "a qid that another has",
        qube: "work",
        change: ("\"qid\">9<", "\"qid\">10<"),
        message: "qid 10 is that of 'personal', too",
        repair: REPAIR,
    },
    Damage {
        what: "a qid that is not a number",
        qube: "work",
        change: ("\"qid\">9<", "\"qid\">nine<"),
        message: "qid is 'nine': it is not a number",
        repair: REPAIR,
    },
    Damage {
        what: "no qid",
        qube: "work",
        change: ("        <property name=\"qid\">9</property>\n", ""),
        message: "qid is missing",
        repair: &["qvm-prefs work qid 9"],
    },
    Damage {
        what: "no uuid",
        qube: "work",
        change: (
            "        <property name=\"uuid\">57243b89-0d63-4276-8143-798bdf698dee</property>\n",
            "",
        ),
        message: "uuid is missing",
        repair: &["qvm-prefs work uuid 57243b89-0d63-4276-8143-798bdf698dee"],
    },
    Damage {
        what: "a uuid that is none",
        qube: "work",
        change: ("57243b89-0d63-4276-8143-798bdf698dee", "57243b89"),
        message: "uuid is '57243b89': it is not a UUID",
        repair: REPAIR,
    },
    Damage {
        what: "a uuid that another has",
        qube: "work",
        change: (
            "57243b89-0d63-4276-8143-798bdf698dee",
            "e97321da-93a2-4796-bd91-d87ab99c47ad",
        ),
        message: "uuid e97321da-93a2-4796-bd91-d87ab99c47ad is that of 'personal', too",
        repair: REPAIR,
    },
    Damage {
        what: "a label that does not exist",
        qube: "work",
        change: ("\"label\">blue<", "\"label\">mauve<"),
        message: "label is 'mauve': it is not a label of this system",
        repair: &["qvm-prefs work label blue"],
    },
    Damage {
        what: "no label",
        qube: "work",
        change: ("        <property name=\"label\">blue</property>\n", ""),
        message: "label is missing",
        repair: &["qvm-prefs work label blue"],
    },
    Damage {
        what: "an unknown class",
        qube: "work",
        change: ("class=\"AppVM\"", "class=\"FancyVM\""),
        message: "'FancyVM' is not a class of qubes",
        repair: &["qvm-remove --force work"],
    },
    Damage {
        what: "no class",
        qube: "work",
        change: (" class=\"AppVM\"", ""),
        message: "the domain has no class",
        repair: &["qvm-remove --force work"],
    },
    Damage {
        what: "a tag that is none",
        qube: "work",
        change: ("<tag name=\"job\"/>", "<tag name=\"j o b\"/>"),
        message: "tag 'j o b' has other characters than",
        repair: &["qvm-tags work del <j_o_b>"],
    },
    Damage {
        what: "a device of a mode that is none",
        qube: "work",
        change: ("mode=\"ask-to-attach\"", "mode=\"manual\""),
        message: "block device 'sda' has mode 'manual'",
        repair: REPAIR,
    },
    Damage {
        what: "a property twice that is written once",
        qube: "work",
        change: (
            "<property name=\"qid\">9<",
            "<property name=\"qid\">8</property><property name=\"qid\">9<",
        ),
        message: "property 'qid' occurs twice",
        repair: REPAIR,
    },
    Damage {
        what: "a volume in a pool that is gone",
        qube: "work",
        change: (
            "pool=\"vm-pool\" vid=\"qubes_dom0/vm-work-private\"",
            "pool=\"gone\" vid=\"qubes_dom0/vm-work-private\"",
        ),
        message: "volume private is in pool 'gone', which does not exist",
        repair: &["qvm-remove --force work"],
    },
    Damage {
        what: "a snapshot of a volume that is gone",
        qube: "work",
        change: (
            "source=\"vm-templates/debian-12-xfce/root\"",
            "source=\"vm-templates/gone/root\"",
        ),
        message: "",
        repair: SET_TEMPLATE,
    },
    Damage {
        what: "a size that is not a number",
        qube: "work",
        change: ("size=\"2147483648\"", "size=\"2 GiB\""),
        message: "volume private has size=\"2 GiB\", which is not a number",
        repair: REPAIR,
    },
];

/// `small.xml` with pools of files below the root, so that images can be created and removed.
fn sample() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/r4/small.xml");
    let text = fs::read_to_string(path).unwrap();
    let text = text.replace(
        "driver=\"file\"",
        "driver=\"file-reflink\" setup_check=\"no\"",
    );
    let lvm = "volume_group=\"qubes_dom0\" thin_pool=\"vm-pool\" driver=\"lvm_thin\"";
    text.replace(
        lvm,
        "dir_path=\"/var/lib/qubes-vm\" driver=\"file-reflink\" setup_check=\"no\"",
    )
    .replace("vid=\"qubes_dom0/vm-work-", "vid=\"appvms/work/")
}

fn damage_sample(damage: &Damage) -> String {
    let (old, new) = damage.change;
    let (old, new) = (in_sample(old), in_sample(new));
    let mark = format!("\"name\">{}<", damage.qube);
    let sample = sample();
    let mut domains: Vec<String> = sample.split("    <domain ").map(str::to_owned).collect();
    let domain = domains.iter_mut().find(|d| d.contains(&mark)).unwrap();
    assert!(domain.contains(&old), "{}: {old}", damage.what);
    *domain = domain.replacen(&old, &new, 1);
    domains.join("    <domain ")
}

fn in_sample(text: &str) -> String {
    text.replace("qubes_dom0/vm-work-", "appvms/work/")
}

fn new_system(text: &str) -> TestSystem {
    let system = TestSystem::with_store(text);
    system.write("/var/lib/qubes/vm-kernels/6.6.77-1.fc37/vmlinuz", "");
    for pool in ["qubes-vm", "qubes-reflink"] {
        fs::create_dir_all(system.path("/var/lib").join(pool)).unwrap();
    }
    system
}

/// Splits a command line into words; `<j_o_b>` is one word with blanks.
fn words(line: &str) -> Vec<String> {
    let unquoted = |w: &str| match w.strip_prefix('<').and_then(|w| w.strip_suffix('>')) {
        Some(word) => word.replace('_', " "),
        None => w.to_owned(),
    };
    line.split_whitespace().map(unquoted).collect()
}

/// Asserts that two stores have the same domains, byte for byte, except some.
fn assert_same_except(what: &str, before: &str, after: &str, except: &[&str]) {
    let (mut before, mut after) = (domains(before), domains(after));
    for name in except {
        before.remove(*name);
        after.remove(*name);
    }
    assert_eq!(before, after, "{what}");
}

fn errors(system: &TestSystem) -> Vec<String> {
    let listed = system.run("qubes-db check --json").json();
    let errors = listed
        .as_array()
        .unwrap()
        .iter()
        .filter(|d| d["severity"] == "error");
    errors
        .map(|d| d["text"].as_str().unwrap().to_owned())
        .collect()
}

const NAMES: &str = "debian-12-xfce default-dvm dom0 fedora-41-xfce personal remote-work \
    sys-firewall sys-net sys-usb \
                     sys-whonix vault whonix-gateway-17 win10 work";

#[test]
fn a_sound_system_has_no_marks_and_no_warnings() {
    let system = new_system(&sample());
    assert_eq!(errors(&system), Vec::<String>::new());
    for line in [
        "qvm-ls",
        "qvm-prefs work",
        "qvm-prefs vault memory 444",
        "qvm-ls --json",
    ] {
        let ran = system.run(words(line));
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{line}: {ran:?}");
        assert!(
            !ran.stdout.contains(" !") && !ran.stdout.contains("\"broken\""),
            "{line}: {ran:?}"
        );
    }
}

#[test]
fn a_broken_qube_is_marked_in_tables_and_json_but_not_in_raw_output() {
    for damage in DAMAGES.iter().filter(|d| !d.message.is_empty()) {
        let system = new_system(&damage_sample(damage));
        let what = damage.what;
        let listed = system.run("qvm-ls");
        assert_eq!(listed.code, 0, "{what}: {listed:?}");
        let names: Vec<&str> = listed
            .stdout
            .lines()
            .skip(1)
            .filter_map(|l| l.split_whitespace().next())
            .collect();
        assert_eq!(names.join(" "), NAMES, "{what}");
        let marked: Vec<&str> = listed.stdout.lines().filter(|l| l.contains(" !")).collect();
        assert_eq!(marked.len(), 1, "{what}: {listed:?}");
        assert!(
            marked[0].starts_with(&format!("{} !", damage.qube)),
            "{what}: {listed:?}"
        );
        // One line gives the reason.
        assert_eq!(listed.stderr.lines().count(), 1, "{what}: {listed:?}");
        assert!(
            listed.stderr.starts_with(&format!("{}: ", damage.qube)),
            "{what}: {listed:?}"
        );
        assert!(listed.stderr.contains(damage.message), "{what}: {listed:?}");

        assert_eq!(
            system
                .succeeds("qvm-ls --raw-list")
                .replace('\n', " ")
                .trim(),
            NAMES,
            "{what}"
        );
        assert_eq!(
            system
                .succeeds("qvm-ls --raw-data --fields name")
                .replace('\n', " ")
                .trim(),
            NAMES,
            "{what}"
        );
        let json = system.run("qvm-ls --json").json();
        for qube in json.as_array().unwrap() {
            let texts = qube
                .get("broken")
                .map_or("", |texts| texts[0].as_str().unwrap());
            assert_eq!(
                qube["name"] == damage.qube,
                texts.contains(damage.message) && !texts.is_empty(),
                "{what}: {qube}"
            );
        }
    }
}

#[test]
fn a_broken_qube_can_be_inspected() {
    for damage in DAMAGES.iter().filter(|d| !d.what.contains("class")) {
        let system = new_system(&damage_sample(damage));
        let ran = system.run(words(&format!("qvm-prefs {}", damage.qube)));
        assert_eq!(ran.code, 0, "{}: {ran:?}", damage.what);
        assert!(ran.stdout.lines().count() > 40, "{}: {ran:?}", damage.what);
        assert!(
            ran.stdout
                .lines()
                .any(|l| l.ends_with(damage.qube) && l.starts_with("name ")),
            "{ran:?}"
        );
        let of_intact =
            new_system(&sample()).succeeds(words(&format!("qvm-prefs {}", damage.qube)));
        let differing = of_intact
            .lines()
            .filter(|line| !ran.stdout.contains(line))
            .count();
        assert!(
            differing <= 24,
            "{}: {differing} lines differ: {ran:?}",
            damage.what
        );
        assert!(ran.stderr.lines().count() <= 1, "{}: {ran:?}", damage.what);
        assert!(
            system
                .run(words(&format!("qvm-tags {}", damage.qube)))
                .stdout
                .contains("created-by-dom0"),
            "{}",
            damage.what
        );
        assert_eq!(
            system
                .run(words(&format!("qvm-features {}", damage.qube)))
                .code,
            0,
            "{}",
            damage.what
        );
    }
}

#[test]
fn other_qubes_work_and_damage_stays_with_one_warning() {
    for damage in DAMAGES {
        let text = damage_sample(damage);
        let system = new_system(&text);
        let what = damage.what;
        let vault = system.run("qvm-prefs vault memory");
        assert_eq!(
            (vault.code, vault.stdout.as_str(), vault.stderr.as_str()),
            (0, "400\n", ""),
            "{what}: {vault:?}"
        );
        // Damage that shows only in comparison with other qubes is left to qubes-db check.
        let is_refused = !errors(&system).is_empty() && !damage.message.is_empty();
        let set = system.run("qvm-prefs vault memory 444");
        assert_eq!(set.code, 0, "{what}: {set:?}");
        assert_eq!(
            set.complaints().count(),
            usize::from(is_refused),
            "{what}: one line, or none: {set:?}"
        );
        if is_refused {
            assert!(
                set.stderr.contains("qubesd would refuse it: ")
                    && set.stderr.contains(damage.message),
                "{set:?}"
            );
        }
        assert_same_except(what, &text, &system.store(), &["vault"]);
        assert_eq!(system.succeeds("qvm-prefs vault memory"), "444\n");
        system.succeeds("qvm-features vault colour blue");
        system.succeeds("qvm-tags vault add blue");
        system.succeeds("qubes-prefs stats_interval 7");
        assert_same_except(what, &text, &system.store(), &["vault"]);
        system.succeeds("qvm-create --label red new");
        assert_eq!(
            system.succeeds("qvm-prefs new template"),
            "fedora-41-xfce\n",
            "{what}"
        );
        assert!(
            system
                .root()
                .join("var/lib/qubes/appvms/new/private.img")
                .exists(),
            "{what}"
        );
        assert_same_except(what, &text, &system.store(), &["vault", "new"]);
        // No damage was added.
        let (before, after) = (errors(&new_system(&text)), errors(&system));
        assert_eq!(before, after, "{what}");
        system.succeeds("qvm-remove --force new");
        assert_same_except(what, &text, &system.store(), &["vault"]);
    }
}

#[test]
fn a_broken_qube_is_repaired_by_the_ordinary_tools() {
    for damage in DAMAGES {
        let text = damage_sample(damage);
        let system = new_system(&text);
        let what = damage.what;
        for line in damage.repair {
            let ran = system.run(words(line));
            assert!(
                ran.code == 0 || line.starts_with("qubes-db"),
                "{what}: {line}: {ran:?}"
            );
        }
        assert_eq!(errors(&system), Vec::<String>::new(), "{what}");
        let listed = system.run("qvm-ls");
        assert!(
            !listed.stdout.contains(" !") && listed.stderr.is_empty(),
            "{what}: {listed:?}"
        );
        if !damage.repair[0].starts_with("qubes-db") {
            assert_same_except(what, &text, &system.store(), &[damage.qube]);
        }
    }
}

#[test]
fn a_broken_qube_can_be_removed_with_the_images_that_can_be_found() {
    for damage in DAMAGES {
        let text = damage_sample(damage);
        let system = new_system(&text);
        let what = damage.what;
        let images = system.root().join("var/lib/qubes/appvms").join(damage.qube);
        fs::create_dir_all(&images).unwrap();
        fs::write(images.join("root.img"), "image").unwrap();
        let ran = system.run(words(&format!("qvm-remove --force {}", damage.qube)));
        assert_eq!(ran.code, 0, "{what}: {ran:?}");
        assert!(
            !domains(&system.store()).contains_key(damage.qube),
            "{what}"
        );
        assert_same_except(what, &text, &system.store(), &[damage.qube]);
        assert_eq!(errors(&system), Vec::<String>::new(), "{what}");
        if !what.contains("class") {
            assert!(!images.exists(), "{what}: its images stay: {ran:?}");
        }
    }
}

#[test]
fn qubes_with_one_name_never_lose_each_others_images() {
    let text = sample();
    let at = text.find("    <domain id=\"domain-9\"").unwrap();
    let end = text.find("  </domains>").unwrap();
    let work = text[at..end].to_owned();
    let second = work.replace("\"vcpus\">4<", "\"vcpus\">7<");
    let twice = text.replacen("  </domains>", &format!("{second}  </domains>"), 1);
    let system = new_system(&twice);
    let listed = system.run("qvm-ls");
    assert!(
        listed.stderr.contains("a second qube is called 'work'"),
        "{listed:?}"
    );
    // It is ambiguous which qube is meant: nothing is removed, and a write loses nothing of the
    // second qube.
    let ran = system.run("qvm-remove --force work");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("run qubes-db repair first"), "{ran:?}");
    assert_eq!(system.store(), twice);
    system.succeeds("qvm-prefs work memory 500");
    assert!(system.store().contains(&second));
    // After the repair each has its own name.
    let ran = system.run("qubes-db repair --yes");
    assert!(ran.stdout.contains("repaired: call it 'work-2'"), "{ran:?}");
    assert_eq!(system.succeeds("qvm-prefs work-2 vcpus"), "7\n");
    assert_eq!(system.succeeds("qvm-prefs work vcpus"), "4\n");
    let kept = system
        .root()
        .join("var/lib/qubes-vm/appvms/work/private.img");
    fs::create_dir_all(kept.parent().unwrap()).unwrap();
    fs::write(&kept, "work's own").unwrap();
    system.succeeds("qvm-remove --force work-2");
    assert_eq!(fs::read_to_string(&kept).unwrap(), "work's own");
}

#[test]
fn two_qubes_that_share_images_are_not_removed_before_a_repair() {
    // The private volume of each, as in the store.
    let text = sample();
    let private = |name: &str| {
        let volume = domains(&text)[name]
            .lines()
            .find(|l| l.contains("name=\"private\""))
            .unwrap()
            .to_owned();
        volume.trim().split(" revisions").next().unwrap().to_owned()
    };
    let system = new_system(&text.replace(&private("work"), &private("vault")));
    let ran = system.run("qvm-remove --force work");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.stderr
            .contains("its volume 'private' is also a volume of 'vault'"),
        "{ran:?}"
    );
    system.run("qubes-db repair --yes");
    system.succeeds("qvm-remove --force work");
}

#[test]
fn cached_check_results_do_not_hide_later_damage() {
    let system = new_system(&sample());
    fs::create_dir_all(system.root().join("run/qubes")).unwrap();
    let cache = system.root().join("run/qubes/unbroken");
    // The cache is only written for a file that has not changed for some seconds.
    let deadline = Instant::now() + Duration::from_secs(30);
    while !cache.exists() {
        assert!(Instant::now() < deadline, "nothing is remembered");
        assert_eq!(system.run("qvm-ls").stderr, "");
    }
    assert_eq!(system.run("qvm-ls").stderr, "");
    // The file is changed in place and keeps its size.
    fs::write(
        system.store_file(),
        sample().replace("\"vcpus\">4<", "\"vcpus\">x<"),
    )
    .unwrap();
    let seen = system.run("qvm-ls");
    assert!(
        seen.stdout.contains("work !") && seen.stderr.contains("vcpus is 'x'"),
        "{seen:?}"
    );
}

#[test]
fn cached_check_results_do_not_change_listings() {
    let large = fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/r4/n1000.xml"
    ))
    .unwrap();
    let system = new_system(&large);
    let listing = "qvm-ls --fields \
        name,state,class,label,template,netvm,qid,uuid,flags,disk,priv-max,ip,gateway,kernel,maxmem,tags";
    // Without RUN nothing is cached.
    let listed = system.run(words(listing));
    assert!(listed.stdout.lines().count() > 1000, "{listed:?}");
    fs::create_dir_all(system.root().join("run/qubes")).unwrap();
    system.succeeds("qvm-prefs work-998 memory 444");
    let cache = system.root().join("run/qubes/unbroken");
    assert_eq!(system.run(words(listing)).stdout, listed.stdout);
    assert!(
        cache.exists(),
        "after our own write the results are cached at once"
    );
    assert_eq!(system.run(words(listing)).stdout, listed.stdout);
    // The next writer updates the cache.
    system.succeeds("qvm-prefs work-998 memory 445");
    let text = fs::read_to_string(&cache).unwrap();
    let length = fs::metadata(system.store_file()).unwrap().len();
    assert_eq!(
        text.split(' ').nth(1),
        Some(length.to_string().as_str()),
        "{text}"
    );
    // The cache describes the current content: the next listing uses it and does not rewrite it.
    let inode = || std::os::unix::fs::MetadataExt::ino(&fs::metadata(&cache).unwrap());
    let before = inode();
    system.succeeds(words(listing));
    assert_eq!(inode(), before);
}
