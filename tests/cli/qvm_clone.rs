//! qvm-clone: the settings and data of a clone, the cost of a clone, and what a killed one leaves.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::statvfs::statvfs;
use qubes_test_support::strace::strace_command;
use qubes_test_support::tree::list_names;
use qubes_test_support::volumes::{MIB, random_bytes};
use qubes_test_support::{CommandLine, FileSystem, LoopMount, TestSystem, libvirt_daemon, skip};

fn root_image() -> Vec<u8> {
    b"the system of the template ".repeat(4000)
}

/// A system with a template `tpl` with data, two kernels, and a qube `work`.
fn furnish(place: TestSystem) -> TestSystem {
    place.succeeds("qubes-create");
    place.write("/var/lib/qubes/vm-kernels/2.0/vmlinuz", "never booted");
    place.install_kernel("1.0");
    place.write("/root-image", root_image());
    let image = place.path("/root-image");
    let template = "qvm-create -C TemplateVM -l black --root-copy-from";
    place.succeeds(format!("{template} {} tpl", image.display()));
    place.succeeds("qubes-prefs default_template tpl");
    place.succeeds("qvm-create -l green work");
    place
}

fn new_system() -> TestSystem {
    furnish(TestSystem::empty())
}

/// Runs a tool that must fail with 1 and leave everything below the system's directory
/// unchanged; returns its last line.
fn refuses(place: &TestSystem, line: impl CommandLine) -> String {
    let before = files(place);
    let ran = place.run(&line);
    assert_eq!(ran.code, 1, "{}: {ran:?}", line.describe());
    assert_eq!(
        files(place),
        before,
        "{} left something behind",
        line.describe()
    );
    ran.complaints().next_back().unwrap_or_default().to_string()
}

/// Lists the files of the qubes and the size of the store.
fn files(place: &TestSystem) -> Vec<String> {
    let mut files = vec![format!("qubes.xml {}", place.store().len())];
    for kind in ["appvms", "vm-templates"] {
        for qube in list_names(place.image(kind)) {
            files.push(format!("{kind}/{qube}"));
            let of_qube = list_names(place.image(kind).join(&qube));
            files.extend(
                of_qube
                    .into_iter()
                    .map(|file| format!("{kind}/{qube}/{file}")),
            );
        }
    }
    files
}

fn image_bytes(place: &TestSystem, below: &str) -> Vec<u8> {
    fs::read(place.image(below)).unwrap()
}

/// Returns the explicit properties that `qvm-prefs` lists, without those that identify the
/// qube.
fn settings(place: &TestSystem, qube: &str) -> Vec<String> {
    let own = ["name", "qid", "uuid"];
    let list = place.succeeds(["qvm-prefs", "--hide-default", qube]);
    let explicit = list
        .lines()
        .filter(|l| l.split_whitespace().nth(1) == Some("-"));
    explicit
        .filter(|l| !own.contains(&l.split_whitespace().next().unwrap()))
        .map(collapse_spaces)
        .collect()
}

/// Sets the private volume of a qube to 8 MiB with these bytes.
fn fill_private(place: &TestSystem, qube: &str, bytes: &[u8]) {
    let image = fs::File::options()
        .write(true)
        .open(place.image(&format!("appvms/{qube}/private.img")))
        .unwrap();
    image.set_len(8 * MIB).unwrap();
    image.write_all_at(bytes, 0).unwrap();
    image.sync_all().unwrap();
}

fn collapse_spaces(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_clone_has_the_settings_and_data_of_its_source_and_its_own_identity() {
    let place = new_system();
    for (property, value) in [
        ("memory", "777"),
        ("netvm", ""),
        ("provides_network", "True"),
        ("kernel", "2.0"),
        ("default_user", "me"),
    ] {
        place.succeeds(["qvm-prefs", "work", property, value]);
    }
    place.succeeds("qvm-prefs work installed_by_rpm True");
    place.succeeds(["qvm-features", "work", "menu", "a b"]);
    place.succeeds(["qvm-features", "work", "empty", ""]);
    let template = place.succeeds("qvm-prefs work template");
    for feature in [
        "qrexec",
        "supported-rpc.qubes.WaitForRunningSystem",
        "supported-rpc.qubes.WaitForSession",
    ] {
        place.succeeds(["qvm-features", template.trim(), feature, "1"]);
    }
    place.succeeds("qvm-features work preload-dispvm-max 2");
    place.succeeds("qvm-service -e work cups");
    place.succeeds("qvm-tags work add mine");
    place.succeeds("qvm-notes -s remember work");
    fs::write(
        place.image("appvms/work/firewall.xml"),
        "<firewall version=\"2\"/>",
    )
    .unwrap();
    let devices = r#"<devices class="pci"><device backend-domain="dom0" id="00_1a.0" mode="required">
          <option name="no-strict-reset">True</option>
        </device></devices>"#;
    let text = place.store();
    let (before, work) = text.split_once(r#"<property name="name">work<"#).unwrap();
    let feature = r#"<feature name="preload-dispvm">disp1</feature><feature name="deferred-netvm-original"></feature>"#;
    let work = work.replacen("<features>", &format!("{devices}<features>{feature}"), 1);
    fs::write(
        place.image("qubes.xml"),
        format!("{before}<property name=\"name\">work<{work}"),
    )
    .unwrap();
    fill_private(&place, "work", b"private data");
    let source = place.store();

    let ran = place.run("qvm-clone work copy");
    assert_eq!(
        (ran.code, &*ran.stdout, &*ran.stderr),
        (0, "", "copy: Cloning private volume\n")
    );

    let without_rpm: Vec<String> = settings(&place, "work")
        .into_iter()
        .filter(|l| l != "installed_by_rpm - True")
        .collect();
    assert_eq!(settings(&place, "copy"), without_rpm);
    assert!(
        without_rpm.contains(&"label - green".to_string()) && without_rpm.len() == 7,
        "{without_rpm:?}"
    );
    for identity in ["qid", "uuid"] {
        assert_ne!(
            place.succeeds(["qvm-prefs", "copy", identity]),
            place.succeeds(["qvm-prefs", "work", identity])
        );
    }
    assert_eq!(
        place.succeeds("qvm-tags copy"),
        place.succeeds("qvm-tags work")
    );
    let features = place.succeeds("qvm-features copy");
    let features: Vec<String> = features.lines().map(collapse_spaces).collect();
    assert_eq!(
        features,
        [
            "servicevm 1",
            "menu a b",
            "empty",
            "preload-dispvm-max 2",
            "service.cups 1"
        ]
    );
    let copy = place.store();
    let copy = copy.split_once(r#"<property name="name">copy<"#).unwrap().1;
    let copy = copy.split_once("</domain>").unwrap().0;
    for kept in [
        r#"backend-domain="dom0""#,
        r#"mode="required""#,
        r#"<option name="no-strict-reset">True</option>"#,
    ] {
        assert!(copy.contains(kept), "{copy}");
    }
    assert!(
        copy.contains(r#"vid="2.0""#) && copy.contains(&format!("size=\"{}\"", 8 * MIB)),
        "{copy}"
    );
    assert_eq!(
        image_bytes(&place, "appvms/copy/private.img"),
        image_bytes(&place, "appvms/work/private.img")
    );
    assert_eq!(
        image_bytes(&place, "appvms/copy/firewall.xml"),
        b"<firewall version=\"2\"/>"
    );
    assert_eq!(place.succeeds("qvm-notes -p copy"), "remember\n");
    let mode = |below: &str| {
        fs::metadata(place.image(below))
            .unwrap()
            .permissions()
            .mode()
            & 0o7777
    };
    assert_eq!(
        (
            mode("appvms/copy"),
            mode("appvms/copy/notes.txt"),
            mode("appvms/copy/private.img")
        ),
        (0o2770, 0o660, 0o660)
    );
    assert!(
        list_names(place.image("appvms/copy"))
            .iter()
            .all(|n| !n.contains(".img.")),
        "a clone has no past"
    );
    place.succeeds("qvm-remove -f copy");
    assert_eq!(place.store(), source, "the source is as it was");
}

#[test]
fn a_clone_of_an_autostarted_qube_starts_at_boot_too() {
    let place = new_system();
    place.succeeds("qvm-prefs work autostart True");
    place.succeeds("qvm-clone -q work copy");
    let link = place
        .root()
        .join("etc/systemd/system/multi-user.target.wants/qubes-vm@copy.service");
    assert_eq!(
        fs::read_link(link).unwrap(),
        Path::new("/usr/lib/systemd/system/qubes-vm@.service")
    );
}

#[test]
fn a_clone_of_another_class_has_the_properties_of_that_class() {
    let place = new_system();
    place.succeeds("qvm-prefs work template_for_dispvms True");
    fill_private(&place, "work", b"private data");
    let begins = |qube: &str, volume: &str, text: &[u8]| {
        assert!(
            image_bytes(&place, &format!("{qube}/{volume}.img")).starts_with(text),
            "{qube} {volume}"
        );
    };

    place.succeeds("qvm-clone -C StandaloneVM work own");
    assert_eq!(
        image_bytes(&place, "appvms/own/root.img"),
        root_image(),
        "its root is the template's, and its own from now on"
    );
    begins("appvms/own", "private", b"private data");
    assert_eq!(
        settings(&place, "own"),
        ["label - green", "template_for_dispvms - True"]
    );

    place.succeeds("qvm-clone --class=TemplateVM own tpl2");
    assert_eq!(
        image_bytes(&place, "vm-templates/tpl2/root.img"),
        root_image()
    );
    begins("vm-templates/tpl2", "private", b"private data");
    assert_eq!(
        settings(&place, "tpl2"),
        ["label - green"],
        "a template has no such property"
    );

    place.succeeds("qvm-clone -C AppVM own app");
    begins("appvms/app", "private", b"private data");
    assert!(
        !place.image("appvms/app/root.img").exists(),
        "its root is a snapshot of the default template's"
    );
    assert_eq!(place.succeeds("qvm-prefs app template"), "tpl\n");

    place.succeeds("qvm-create --disp -t work disp");
    place.succeeds("qvm-clone disp disp2");
    let dispid = |qube: &str| place.succeeds(["qvm-prefs", qube, "dispid"]);
    assert_ne!(dispid("disp"), dispid("disp2"));
    assert_eq!(place.succeeds("qvm-prefs disp2 template"), "work\n");

    place.succeeds("qvm-create -C RemoteVM -l gray far");
    place.succeeds("qvm-prefs far relayvm work");
    place.succeeds("qvm-clone far farther");
    assert_eq!(
        settings(&place, "farther"),
        ["label - gray", "relayvm - work"]
    );
    assert_eq!(
        place.succeeds("qvm-tags farther"),
        "created-by-dom0\nrelayvm-work\n"
    );

    assert!(refuses(&place, "qvm-clone -C NoClass work new").contains("NoClass"));
    assert!(refuses(&place, "qvm-clone -C DispVM tpl new").contains("no default_dispvm"));
    assert!(refuses(&place, "qvm-clone dom0 new").contains("dom0 cannot be cloned"));
}

#[test]
fn volumes_go_to_the_chosen_pools_or_to_the_default_ones() {
    let place = new_system();
    let other = place.root().join("other");
    fs::create_dir_all(&other).unwrap();
    let pool = r#"<pool name="other" dir_path="/other" driver="file-reflink" setup_check="no" revisions_to_keep="1"/>"#;
    fs::write(
        place.image("qubes.xml"),
        place
            .store()
            .replacen("<pools>", &format!("<pools>{pool}"), 1),
    )
    .unwrap();
    let pool_of = |qube: &str| {
        let shown = place.succeeds([
            "qvm-ls",
            "--raw-data",
            "-O",
            "name,priv-pool,root-pool",
            qube,
        ]);
        shown.trim().split_once('|').unwrap().1.to_string()
    };

    place.succeeds("qvm-clone -p private=other tpl one");
    assert_eq!(pool_of("one"), "other|varlibqubes");
    assert!(
        other.join("vm-templates/one/private.img").is_file()
            && !place.image("vm-templates/one/private.img").exists()
    );
    place.succeeds("qvm-clone -P other tpl all");
    assert_eq!(pool_of("all"), "other|other");
    assert_eq!(
        fs::read(other.join("vm-templates/all/root.img")).unwrap(),
        root_image()
    );
    place.succeeds("qvm-clone all back");
    assert_eq!(
        pool_of("back"),
        "varlibqubes|varlibqubes",
        "the system's pools, not the source's"
    );

    assert_eq!(
        refuses(&place, "qvm-clone -P nowhere work new"),
        "qvm-clone: error: Unknown storage pool nowhere"
    );
    let snapshot = refuses(&place, "qvm-clone --pool root=other work new");
    assert!(
        snapshot.contains("volume 'root' of 'new' is a snapshot"),
        "{snapshot}"
    );
}

#[test]
fn a_setting_that_cannot_be_cloned_is_an_error_or_is_left_out_with_a_warning() {
    let place = new_system();
    place.succeeds("qvm-prefs work kernel 2.0");
    place.succeeds("qvm-prefs work memory 500");
    fs::remove_dir_all(place.image("vm-kernels/2.0")).unwrap();
    let reason = refuses(&place, "qvm-clone work copy");
    assert_eq!(
        reason,
        "qvm-clone: error: Failed to set kernel property: Kernel '2.0' not installed"
    );
    let ran = place.run("qvm-clone --ignore-errors work copy");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stderr
            .ends_with("copy: Failed to set kernel property: Kernel '2.0' not installed\n"),
        "{ran:?}"
    );
    assert_eq!(
        settings(&place, "copy"),
        ["label - green", "memory - 500", "template - tpl"]
    );

    let unknown = place.store().replace(
        r#"<property name="memory">500</property>"#,
        r#"<property name="memory">500</property><property name="from_the_future">1</property>"#,
    );
    fs::write(place.image("qubes.xml"), unknown).unwrap();
    let ran = place.run("qvm-clone -q copy third");
    assert!(
        ran.code == 0 && ran.stderr.contains("from_the_future"),
        "{ran:?}"
    );
    assert_eq!(
        place.store().matches("from_the_future").count(),
        2,
        "what nobody knows is kept, but not spread"
    );
}

#[test]
fn a_clone_shares_blocks_where_the_file_system_can_and_is_a_copy_elsewhere() {
    for kind in [FileSystem::Btrfs, FileSystem::Xfs, FileSystem::Ext4] {
        let mount = match LoopMount::new(kind) {
            Ok(mount) => mount,
            Err(reason) => {
                skip(format_args!("{kind:?}: {reason}"));
                continue;
            }
        };
        let place = furnish(TestSystem::empty_in(&mount.path()));
        let data = random_bytes(8 * MIB, 7);
        fill_private(&place, "work", &data);
        nix::unistd::sync();
        let room = || {
            nix::unistd::sync();
            let fs = statvfs(&mount.path()).unwrap();
            fs.blocks_free() * fs.fragment_size()
        };
        let before = room();
        place.succeeds("qvm-clone work copy");
        let taken = before.saturating_sub(room());
        assert_eq!(
            image_bytes(&place, "appvms/copy/private.img"),
            data,
            "{kind:?}"
        );
        let inode = |qube: &str| {
            fs::metadata(place.image(&format!("appvms/{qube}/private.img")))
                .unwrap()
                .ino()
        };
        assert_ne!(inode("work"), inode("copy"), "{kind:?}: they are two files");
        match kind {
            FileSystem::Ext4 => assert!(taken >= 8 * MIB, "{kind:?} took {taken} bytes"),
            _ => assert!(taken < 4 * MIB, "{kind:?} took {taken} bytes"),
        }
        // A change of one is not visible in the other.
        fill_private(&place, "work", b"changed");
        assert_eq!(
            image_bytes(&place, "appvms/copy/private.img"),
            data,
            "{kind:?}"
        );
    }
}

#[test]
fn a_source_that_did_not_stop_cleanly_is_committed_first() {
    let place = new_system();
    fill_private(&place, "work", b"old");
    fs::copy(
        place.image("appvms/work/private.img"),
        place.image("appvms/work/private-dirty.img"),
    )
    .unwrap();
    let dirty = fs::File::options()
        .write(true)
        .open(place.image("appvms/work/private-dirty.img"))
        .unwrap();
    dirty.write_all_at(b"new", 0).unwrap();
    place.succeeds("qvm-clone work copy");
    assert!(image_bytes(&place, "appvms/copy/private.img").starts_with(b"new"));
    assert!(!place.image("appvms/work/private-dirty.img").exists());
}

#[test]
fn a_running_source_is_cloned_in_its_last_committed_state() {
    if let Err(reason) = libvirt_daemon::uri() {
        return skip(format_args!("no libvirt: {reason}"));
    }
    let place = new_system().online();
    // A guest without an operating system halts in its firmware, which is enough here.
    for (property, value) in [
        ("virt_mode", "hvm"),
        ("kernel", ""),
        ("memory", "64"),
        ("maxmem", "0"),
        ("vcpus", "1"),
        ("netvm", ""),
    ] {
        place.succeeds(["qvm-prefs", "work", property, value]);
    }
    fill_private(&place, "work", b"committed");
    place.succeeds("qvm-start work");
    let dirty = fs::File::options()
        .write(true)
        .open(place.image("appvms/work/private-dirty.img"))
        .unwrap();
    dirty.write_all_at(b"unfinished", 0).unwrap();
    let cloned = place.run("qvm-clone --offline-mode work offline");
    assert!(
        cloned.code == 1 && cloned.stderr.contains("work was started at"),
        "offline nobody can tell: {cloned:?}"
    );
    place.succeeds("qvm-clone -q work copy");
    assert_eq!(
        place.succeeds("qvm-ls --raw-data -O name,state work copy"),
        "copy|Halted\nwork|Running\n"
    );
    assert!(image_bytes(&place, "appvms/copy/private.img").starts_with(b"committed\0"));
    place.succeeds("qvm-start copy");
    place.succeeds("qvm-kill work copy");
    assert!(
        image_bytes(&place, "appvms/work/private.img").starts_with(b"unfinished"),
        "what ran went on undisturbed"
    );
    place.succeeds("qvm-remove -f copy work");
}

/// Runs qvm-clone and kills it before its `number`th `call`. Returns whether it got that far.
fn killed_before(place: &TestSystem, call: &str, number: usize) -> bool {
    let plain = place.command("qvm-clone work copy");
    let trace = format!("trace={call}");
    let inject = format!("inject={call}:signal=SIGKILL:when={number}");
    let mut traced = strace_command(&plain, &["-o", "/dev/null", "-e", &trace, "-e", &inject]);
    traced.stderr(Stdio::null());
    !traced.status().unwrap().success()
}

#[test]
fn a_killed_clone_does_not_exist_and_the_next_one_removes_its_files() {
    if Command::new("strace").arg("-V").output().is_err() {
        return skip("strace is not installed");
    }
    let place = new_system();
    fill_private(&place, "work", &random_bytes(8 * MIB, 7));
    place.succeeds("qvm-notes -s remember work");
    let before = place.store();
    let mut with_orphans = 0;
    for call in ["fsync", "renameat", "unlinkat"] {
        for number in 1.. {
            if !killed_before(&place, call, number) {
                assert!(number > 1, "qvm-clone never calls {call}");
                place.succeeds("qvm-remove -f copy");
                break;
            }
            if place.run("qvm-check -q copy").code == 0 {
                // The kill came after the save, so the clone is complete.
                assert_eq!(
                    image_bytes(&place, "appvms/copy/private.img"),
                    image_bytes(&place, "appvms/work/private.img")
                );
                place.succeeds("qvm-remove -f copy");
                continue;
            }
            assert_eq!(place.store(), before, "killed before {call} {number}");
            if list_names(place.image("appvms/copy"))
                .iter()
                .any(|name| name.contains(".img"))
            {
                let orphans = place.succeeds("qubes-recover --list-orphans");
                assert_eq!(
                    orphans, "varlibqubes:appvms/copy/private\n",
                    "killed before {call} {number}"
                );
                with_orphans += 1;
            }
            // A new qube may have the name, and gets no data of the killed clone.
            place.succeeds("qvm-create -l red copy");
            assert_eq!(
                place.succeeds("qvm-notes -p copy"),
                "\n",
                "killed before {call} {number}"
            );
            let names = list_names(place.image("appvms/copy"));
            assert_eq!(
                names,
                ["private-precache.img", "private.img"],
                "killed before {call} {number}"
            );
            let image = fs::metadata(place.image("appvms/copy/private.img")).unwrap();
            assert_eq!(
                (image.len(), image.blocks()),
                (2 << 30, 0),
                "killed before {call} {number}"
            );
            place.succeeds("qvm-remove -f copy");
            assert_eq!(place.store(), before);
        }
    }
    assert!(
        with_orphans > 5,
        "only {with_orphans} of the kills left an orphan to clear"
    );
    place.succeeds("qvm-clone work copy");
    assert_eq!(
        image_bytes(&place, "appvms/copy/private.img"),
        image_bytes(&place, "appvms/work/private.img")
    );
}

#[test]
fn the_source_is_not_locked_while_data_are_copied() {
    if Command::new("strace").arg("-V").output().is_err() {
        return skip("strace is not installed");
    }
    let place = new_system();
    fill_private(&place, "work", &random_bytes(MIB, 7));
    let plain = place.command("qvm-clone work copy");
    // Copying takes two seconds, however blocks are copied here.
    let slow = "inject=copy_file_range,ioctl:delay_enter=2000000";
    let mut clone = strace_command(&plain, &["-o", "/dev/null", "-e", slow])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(clone.stderr.take().unwrap()).lines();
    assert_eq!(
        said.next().unwrap().unwrap(),
        "copy: Cloning private volume"
    );
    // Setting the netvm takes the qube's lock.
    place.succeeds(["qvm-prefs", "--no-wait", "work", "netvm", ""]);
    place.succeeds("qvm-prefs --no-wait work memory 500");
    assert!(
        clone.try_wait().unwrap().is_none(),
        "the copy was not over before"
    );
    assert!(clone.wait().unwrap().success());
    assert_eq!(
        image_bytes(&place, "appvms/copy/private.img"),
        image_bytes(&place, "appvms/work/private.img")
    );
    assert_eq!(
        place.succeeds("qvm-prefs copy memory"),
        "500\n",
        "its settings are those of the moment it appears"
    );
}

#[test]
fn of_several_concurrent_clones_with_one_name_one_succeeds() {
    let place = new_system();
    fill_private(&place, "work", &random_bytes(MIB, 7));
    let clone = || {
        place
            .command("qvm-clone -q work copy")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let clones: Vec<_> = (0..4).map(|_| clone()).collect();
    let mut made = 0;
    for clone in clones {
        let output = clone.wait_with_output().unwrap();
        let words = String::from_utf8(output.stderr).unwrap();
        match output.status.code() {
            Some(0) => made += 1,
            _ => assert_eq!(words, "qvm-clone: error: Qube already exists: copy\n"),
        }
    }
    assert_eq!(made, 1);
    assert_eq!(
        image_bytes(&place, "appvms/copy/private.img"),
        image_bytes(&place, "appvms/work/private.img")
    );
    assert_eq!(
        place
            .store()
            .matches(r#"<property name="name">copy<"#)
            .count(),
        1
    );
}
