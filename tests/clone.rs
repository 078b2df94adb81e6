//! qvm-clone: the settings and data of a clone, the cost of a clone, and what a killed one leaves.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::statvfs::statvfs;
use qubes_test_support::{
    FileSystem, LoopMount, ToolOutput, binary, libvirt_daemon, skip, tool_output,
};

const MIB: u64 = 1 << 20;

/// A system below a directory: a template `tpl`, whose root volume contains [`root_image`], and a
/// qube `work`.
struct Place {
    root: PathBuf,
    _temporary: Option<tempfile::TempDir>,
}

fn root_image() -> Vec<u8> {
    b"the system of the template ".repeat(4000)
}

impl Place {
    fn new() -> Place {
        let temporary = tempfile::Builder::new()
            .prefix("qubes-clone-")
            .tempdir()
            .unwrap();
        Place::below(temporary.path().to_path_buf(), Some(temporary))
    }

    fn on(mount: &LoopMount) -> Place {
        Place::below(mount.path().join("system"), None)
    }

    fn below(root: PathBuf, temporary: Option<tempfile::TempDir>) -> Place {
        fs::create_dir_all(&root).unwrap();
        let place = Place {
            root,
            _temporary: temporary,
        };
        place.ok("qubes-create", &[]);
        for kernel in ["1.0", "2.0"] {
            let kernel = place.path("vm-kernels").join(kernel);
            fs::create_dir_all(&kernel).unwrap();
            fs::write(kernel.join("vmlinuz"), "never booted").unwrap();
        }
        place.ok("qubes-prefs", &["default_kernel", "1.0"]);
        let image = place.root.join("root-image");
        fs::write(&image, root_image()).unwrap();
        let image = image.to_str().unwrap();
        place.ok(
            "qvm-create",
            &[
                "-C",
                "TemplateVM",
                "-l",
                "black",
                "--root-copy-from",
                image,
                "tpl",
            ],
        );
        place.ok("qubes-prefs", &["default_template", "tpl"]);
        place.ok("qvm-create", &["-l", "green", "work"]);
        place
    }

    fn path(&self, below: &str) -> PathBuf {
        self.root.join("var/lib/qubes").join(below)
    }

    fn command(&self, tool: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary(tool));
        command
            .args(["--root", self.root.to_str().unwrap(), "--offline-mode"])
            .args(arguments);
        command
    }

    fn run(&self, tool: &str, arguments: &[&str]) -> ToolOutput {
        tool_output::run(&mut self.command(tool, arguments))
    }

    fn ok(&self, tool: &str, arguments: &[&str]) -> String {
        let ran = self.run(tool, arguments);
        assert_eq!(ran.code, 0, "{tool} {arguments:?}: {ran:?}");
        ran.stdout
    }

    /// Runs a tool that must fail with 1 and leave everything below the system's directory
    /// unchanged; returns its last line.
    fn refuses(&self, tool: &str, arguments: &[&str]) -> String {
        let before = self.files();
        let ran = self.run(tool, arguments);
        assert_eq!(ran.code, 1, "{tool} {arguments:?}: {ran:?}");
        assert_eq!(self.files(), before, "{arguments:?} left something behind");
        ran.complaints().next_back().unwrap_or_default().to_string()
    }

    fn store(&self) -> String {
        fs::read_to_string(self.path("qubes.xml")).unwrap()
    }

    /// Lists the files of the qubes and the size of the store.
    fn files(&self) -> Vec<String> {
        let mut files = vec![format!("qubes.xml {}", self.store().len())];
        for kind in ["appvms", "vm-templates"] {
            for qube in list_names(&self.path(kind)) {
                files.push(format!("{kind}/{qube}"));
                let of_qube = list_names(&self.path(kind).join(&qube));
                files.extend(
                    of_qube
                        .into_iter()
                        .map(|file| format!("{kind}/{qube}/{file}")),
                );
            }
        }
        files
    }

    fn image(&self, below: &str) -> Vec<u8> {
        fs::read(self.path(below)).unwrap()
    }

    /// Returns the explicit properties that `qvm-prefs` lists, without those that identify the
    /// qube.
    fn settings(&self, qube: &str) -> Vec<String> {
        let own = ["name", "qid", "uuid"];
        let list = self.ok("qvm-prefs", &["--hide-default", qube]);
        let explicit = list
            .lines()
            .filter(|l| l.split_whitespace().nth(1) == Some("-"));
        explicit
            .filter(|l| !own.contains(&l.split_whitespace().next().unwrap()))
            .map(collapse_spaces)
            .collect()
    }

    /// Sets the private volume of a qube to 8 MiB with these bytes.
    fn fill_private(&self, qube: &str, bytes: &[u8]) {
        let image = fs::File::options()
            .write(true)
            .open(self.path(&format!("appvms/{qube}/private.img")))
            .unwrap();
        image.set_len(8 * MIB).unwrap();
        image.write_all_at(bytes, 0).unwrap();
        image.sync_all().unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A failed test may have left a guest.
        if !list_names(&self.root.join("run/qubes/vm")).is_empty() {
            let mut kill = Command::new(binary("qvm-kill"));
            tool_output::run(kill.args(["--all", "--root", self.root.to_str().unwrap()]));
        }
    }
}

fn collapse_spaces(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn list_names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut names: Vec<String> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn random_bytes(count: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(count).unwrap()];
    fastrand::Rng::with_seed(7).fill(&mut bytes);
    bytes
}

#[test]
fn a_clone_has_the_settings_and_data_of_its_source_and_its_own_identity() {
    let place = Place::new();
    for (property, value) in [
        ("memory", "777"),
        ("netvm", ""),
        ("provides_network", "True"),
        ("kernel", "2.0"),
        ("default_user", "me"),
    ] {
        place.ok("qvm-prefs", &["work", property, value]);
    }
    place.ok("qvm-prefs", &["work", "installed_by_rpm", "True"]);
    place.ok("qvm-features", &["work", "menu", "a b"]);
    place.ok("qvm-features", &["work", "empty", ""]);
    let template = place.ok("qvm-prefs", &["work", "template"]);
    for feature in [
        "qrexec",
        "supported-rpc.qubes.WaitForRunningSystem",
        "supported-rpc.qubes.WaitForSession",
    ] {
        place.ok("qvm-features", &[template.trim(), feature, "1"]);
    }
    place.ok("qvm-features", &["work", "preload-dispvm-max", "2"]);
    place.ok("qvm-service", &["-e", "work", "cups"]);
    place.ok("qvm-tags", &["work", "add", "mine"]);
    place.ok("qvm-notes", &["-s", "remember", "work"]);
    fs::write(
        place.path("appvms/work/firewall.xml"),
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
        place.path("qubes.xml"),
        format!("{before}<property name=\"name\">work<{work}"),
    )
    .unwrap();
    place.fill_private("work", b"private data");
    let source = place.store();

    let ran = place.run("qvm-clone", &["work", "copy"]);
    assert_eq!(
        (ran.code, &*ran.stdout, &*ran.stderr),
        (0, "", "copy: Cloning private volume\n")
    );

    let without_rpm: Vec<String> = place
        .settings("work")
        .into_iter()
        .filter(|l| l != "installed_by_rpm - True")
        .collect();
    assert_eq!(place.settings("copy"), without_rpm);
    assert!(
        without_rpm.contains(&"label - green".to_string()) && without_rpm.len() == 7,
        "{without_rpm:?}"
    );
    for identity in ["qid", "uuid"] {
        assert_ne!(
            place.ok("qvm-prefs", &["copy", identity]),
            place.ok("qvm-prefs", &["work", identity])
        );
    }
    assert_eq!(
        place.ok("qvm-tags", &["copy"]),
        place.ok("qvm-tags", &["work"])
    );
    let features = place.ok("qvm-features", &["copy"]);
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
        place.image("appvms/copy/private.img"),
        place.image("appvms/work/private.img")
    );
    assert_eq!(
        place.image("appvms/copy/firewall.xml"),
        b"<firewall version=\"2\"/>"
    );
    assert_eq!(place.ok("qvm-notes", &["-p", "copy"]), "remember\n");
    let mode = |below: &str| {
        fs::metadata(place.path(below))
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
        list_names(&place.path("appvms/copy"))
            .iter()
            .all(|n| !n.contains(".img.")),
        "a clone has no past"
    );
    place.ok("qvm-remove", &["-f", "copy"]);
    assert_eq!(place.store(), source, "the source is as it was");
}

#[test]
fn a_clone_of_an_autostarted_qube_starts_at_boot_too() {
    let place = Place::new();
    place.ok("qvm-prefs", &["work", "autostart", "True"]);
    place.ok("qvm-clone", &["-q", "work", "copy"]);
    let link = place
        .root
        .join("etc/systemd/system/multi-user.target.wants/qubes-vm@copy.service");
    assert_eq!(
        fs::read_link(link).unwrap(),
        Path::new("/usr/lib/systemd/system/qubes-vm@.service")
    );
}

#[test]
fn a_clone_of_another_class_has_the_properties_of_that_class() {
    let place = Place::new();
    place.ok("qvm-prefs", &["work", "template_for_dispvms", "True"]);
    place.fill_private("work", b"private data");
    let begins = |qube: &str, volume: &str, text: &[u8]| {
        assert!(
            place
                .image(&format!("{qube}/{volume}.img"))
                .starts_with(text),
            "{qube} {volume}"
        );
    };

    place.ok("qvm-clone", &["-C", "StandaloneVM", "work", "own"]);
    assert_eq!(
        place.image("appvms/own/root.img"),
        root_image(),
        "its root is the template's, and its own from now on"
    );
    begins("appvms/own", "private", b"private data");
    assert_eq!(
        place.settings("own"),
        ["label - green", "template_for_dispvms - True"]
    );

    place.ok("qvm-clone", &["--class=TemplateVM", "own", "tpl2"]);
    assert_eq!(place.image("vm-templates/tpl2/root.img"), root_image());
    begins("vm-templates/tpl2", "private", b"private data");
    assert_eq!(
        place.settings("tpl2"),
        ["label - green"],
        "a template has no such property"
    );

    place.ok("qvm-clone", &["-C", "AppVM", "own", "app"]);
    begins("appvms/app", "private", b"private data");
    assert!(
        !place.path("appvms/app/root.img").exists(),
        "its root is a snapshot of the default template's"
    );
    assert_eq!(place.ok("qvm-prefs", &["app", "template"]), "tpl\n");

    place.ok("qvm-create", &["--disp", "-t", "work", "disp"]);
    place.ok("qvm-clone", &["disp", "disp2"]);
    let dispid = |qube: &str| place.ok("qvm-prefs", &[qube, "dispid"]);
    assert_ne!(dispid("disp"), dispid("disp2"));
    assert_eq!(place.ok("qvm-prefs", &["disp2", "template"]), "work\n");

    place.ok("qvm-create", &["-C", "RemoteVM", "-l", "gray", "far"]);
    place.ok("qvm-prefs", &["far", "relayvm", "work"]);
    place.ok("qvm-clone", &["far", "farther"]);
    assert_eq!(
        place.settings("farther"),
        ["label - gray", "relayvm - work"]
    );
    assert_eq!(
        place.ok("qvm-tags", &["farther"]),
        "created-by-dom0\nrelayvm-work\n"
    );

    assert!(
        place
            .refuses("qvm-clone", &["-C", "NoClass", "work", "new"])
            .contains("NoClass")
    );
    assert!(
        place
            .refuses("qvm-clone", &["-C", "DispVM", "tpl", "new"])
            .contains("no default_dispvm")
    );
    assert!(
        place
            .refuses("qvm-clone", &["dom0", "new"])
            .contains("dom0 cannot be cloned")
    );
}

#[test]
fn volumes_go_to_the_chosen_pools_or_to_the_default_ones() {
    let place = Place::new();
    let other = place.root.join("other");
    fs::create_dir_all(&other).unwrap();
    let pool = r#"<pool name="other" dir_path="/other" driver="file-reflink" setup_check="no" revisions_to_keep="1"/>"#;
    fs::write(
        place.path("qubes.xml"),
        place
            .store()
            .replacen("<pools>", &format!("<pools>{pool}"), 1),
    )
    .unwrap();
    let pool_of = |qube: &str| {
        let shown = place.ok(
            "qvm-ls",
            &["--raw-data", "-O", "name,priv-pool,root-pool", qube],
        );
        shown.trim().split_once('|').unwrap().1.to_string()
    };

    place.ok("qvm-clone", &["-p", "private=other", "tpl", "one"]);
    assert_eq!(pool_of("one"), "other|varlibqubes");
    assert!(
        other.join("vm-templates/one/private.img").is_file()
            && !place.path("vm-templates/one/private.img").exists()
    );
    place.ok("qvm-clone", &["-P", "other", "tpl", "all"]);
    assert_eq!(pool_of("all"), "other|other");
    assert_eq!(
        fs::read(other.join("vm-templates/all/root.img")).unwrap(),
        root_image()
    );
    place.ok("qvm-clone", &["all", "back"]);
    assert_eq!(
        pool_of("back"),
        "varlibqubes|varlibqubes",
        "the system's pools, not the source's"
    );

    assert_eq!(
        place.refuses("qvm-clone", &["-P", "nowhere", "work", "new"]),
        "qvm-clone: error: Unknown storage pool nowhere"
    );
    let snapshot = place.refuses("qvm-clone", &["--pool", "root=other", "work", "new"]);
    assert!(
        snapshot.contains("volume 'root' of 'new' is a snapshot"),
        "{snapshot}"
    );
}

#[test]
fn a_setting_that_cannot_be_cloned_is_an_error_or_is_left_out_with_a_warning() {
    let place = Place::new();
    place.ok("qvm-prefs", &["work", "kernel", "2.0"]);
    place.ok("qvm-prefs", &["work", "memory", "500"]);
    fs::remove_dir_all(place.path("vm-kernels/2.0")).unwrap();
    let reason = place.refuses("qvm-clone", &["work", "copy"]);
    assert_eq!(
        reason,
        "qvm-clone: error: Failed to set kernel property: Kernel '2.0' not installed"
    );
    let ran = place.run("qvm-clone", &["--ignore-errors", "work", "copy"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stderr
            .ends_with("copy: Failed to set kernel property: Kernel '2.0' not installed\n"),
        "{ran:?}"
    );
    assert_eq!(
        place.settings("copy"),
        ["label - green", "memory - 500", "template - tpl"]
    );

    let unknown = place.store().replace(
        r#"<property name="memory">500</property>"#,
        r#"<property name="memory">500</property><property name="from_the_future">1</property>"#,
    );
    fs::write(place.path("qubes.xml"), unknown).unwrap();
    let ran = place.run("qvm-clone", &["-q", "copy", "third"]);
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
        let place = Place::on(&mount);
        let data = random_bytes(8 * MIB);
        place.fill_private("work", &data);
        nix::unistd::sync();
        let room = || {
            nix::unistd::sync();
            let fs = statvfs(&mount.path()).unwrap();
            fs.blocks_free() * fs.fragment_size()
        };
        let before = room();
        place.ok("qvm-clone", &["work", "copy"]);
        let taken = before.saturating_sub(room());
        assert_eq!(place.image("appvms/copy/private.img"), data, "{kind:?}");
        let inode = |qube: &str| {
            fs::metadata(place.path(&format!("appvms/{qube}/private.img")))
                .unwrap()
                .ino()
        };
        assert_ne!(inode("work"), inode("copy"), "{kind:?}: they are two files");
        match kind {
            FileSystem::Ext4 => assert!(taken >= 8 * MIB, "{kind:?} took {taken} bytes"),
            _ => assert!(taken < 4 * MIB, "{kind:?} took {taken} bytes"),
        }
        // A change of one is not visible in the other.
        place.fill_private("work", b"changed");
        assert_eq!(place.image("appvms/copy/private.img"), data, "{kind:?}");
    }
}

#[test]
fn a_source_that_did_not_stop_cleanly_is_committed_first() {
    let place = Place::new();
    place.fill_private("work", b"old");
    fs::copy(
        place.path("appvms/work/private.img"),
        place.path("appvms/work/private-dirty.img"),
    )
    .unwrap();
    let dirty = fs::File::options()
        .write(true)
        .open(place.path("appvms/work/private-dirty.img"))
        .unwrap();
    dirty.write_all_at(b"new", 0).unwrap();
    place.ok("qvm-clone", &["work", "copy"]);
    assert!(place.image("appvms/copy/private.img").starts_with(b"new"));
    assert!(!place.path("appvms/work/private-dirty.img").exists());
}

#[test]
fn a_running_source_is_cloned_in_its_last_committed_state() {
    if let Err(reason) = libvirt_daemon::uri() {
        return skip(format_args!("no libvirt: {reason}"));
    }
    let place = Place::new();
    // A guest without an operating system halts in its firmware, which is enough here.
    for (property, value) in [
        ("virt_mode", "hvm"),
        ("kernel", ""),
        ("memory", "64"),
        ("maxmem", "0"),
        ("vcpus", "1"),
        ("netvm", ""),
    ] {
        place.ok("qvm-prefs", &["work", property, value]);
    }
    place.fill_private("work", b"committed");
    let live = |tool: &str, arguments: &[&str]| {
        let mut command = Command::new(binary(tool));
        let ran = tool_output::run(
            command
                .args(["--root", place.root.to_str().unwrap()])
                .args(arguments),
        );
        assert_eq!(ran.code, 0, "{tool} {arguments:?}: {ran:?}");
        ran.stdout
    };
    live("qvm-start", &["work"]);
    let dirty = fs::File::options()
        .write(true)
        .open(place.path("appvms/work/private-dirty.img"))
        .unwrap();
    dirty.write_all_at(b"unfinished", 0).unwrap();
    let cloned = place.run("qvm-clone", &["work", "offline"]);
    assert!(
        cloned.code == 1 && cloned.stderr.contains("work was started at"),
        "offline nobody can tell: {cloned:?}"
    );
    live("qvm-clone", &["-q", "work", "copy"]);
    assert_eq!(
        live(
            "qvm-ls",
            &["--raw-data", "-O", "name,state", "work", "copy"]
        ),
        "copy|Halted\nwork|Running\n"
    );
    assert!(
        place
            .image("appvms/copy/private.img")
            .starts_with(b"committed\0")
    );
    live("qvm-start", &["copy"]);
    live("qvm-kill", &["work", "copy"]);
    assert!(
        place
            .image("appvms/work/private.img")
            .starts_with(b"unfinished"),
        "what ran went on undisturbed"
    );
    live("qvm-remove", &["-f", "copy", "work"]);
}

/// Runs qvm-clone and kills it before its `number`th `call`. Returns whether it got that far.
fn killed_before(place: &Place, call: &str, number: usize) -> bool {
    let plain = place.command("qvm-clone", &["work", "copy"]);
    let mut traced = Command::new("strace");
    traced.args([
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        &format!("trace={call}"),
        "-e",
    ]);
    traced
        .arg(format!("inject={call}:signal=SIGKILL:when={number}"))
        .arg(plain.get_program())
        .args(plain.get_args());
    traced.stderr(Stdio::null());
    !traced.status().unwrap().success()
}

#[test]
fn a_killed_clone_does_not_exist_and_the_next_one_removes_its_files() {
    if Command::new("strace").arg("-V").output().is_err() {
        return skip("strace is not installed");
    }
    let place = Place::new();
    place.fill_private("work", &random_bytes(8 * MIB));
    place.ok("qvm-notes", &["-s", "remember", "work"]);
    let before = place.store();
    let mut with_orphans = 0;
    for call in ["fsync", "renameat", "unlinkat"] {
        for number in 1.. {
            if !killed_before(&place, call, number) {
                assert!(number > 1, "qvm-clone never calls {call}");
                place.ok("qvm-remove", &["-f", "copy"]);
                break;
            }
            if place.run("qvm-check", &["-q", "copy"]).code == 0 {
                // The kill came after the save, so the clone is complete.
                assert_eq!(
                    place.image("appvms/copy/private.img"),
                    place.image("appvms/work/private.img")
                );
                place.ok("qvm-remove", &["-f", "copy"]);
                continue;
            }
            assert_eq!(place.store(), before, "killed before {call} {number}");
            if list_names(&place.path("appvms/copy"))
                .iter()
                .any(|name| name.contains(".img"))
            {
                let orphans = place.ok("qubes-recover", &["--list-orphans"]);
                assert_eq!(
                    orphans, "varlibqubes:appvms/copy/private\n",
                    "killed before {call} {number}"
                );
                with_orphans += 1;
            }
            // A new qube may have the name, and gets no data of the killed clone.
            place.ok("qvm-create", &["-l", "red", "copy"]);
            assert_eq!(
                place.ok("qvm-notes", &["-p", "copy"]),
                "\n",
                "killed before {call} {number}"
            );
            let names = list_names(&place.path("appvms/copy"));
            assert_eq!(
                names,
                ["private-precache.img", "private.img"],
                "killed before {call} {number}"
            );
            let image = fs::metadata(place.path("appvms/copy/private.img")).unwrap();
            assert_eq!(
                (image.len(), image.blocks()),
                (2 << 30, 0),
                "killed before {call} {number}"
            );
            place.ok("qvm-remove", &["-f", "copy"]);
            assert_eq!(place.store(), before);
        }
    }
    assert!(
        with_orphans > 5,
        "only {with_orphans} of the kills left an orphan to clear"
    );
    place.ok("qvm-clone", &["work", "copy"]);
    assert_eq!(
        place.image("appvms/copy/private.img"),
        place.image("appvms/work/private.img")
    );
}

#[test]
fn the_source_is_not_locked_while_data_are_copied() {
    if Command::new("strace").arg("-V").output().is_err() {
        return skip("strace is not installed");
    }
    let place = Place::new();
    place.fill_private("work", &random_bytes(MIB));
    let plain = place.command("qvm-clone", &["work", "copy"]);
    let mut slow = Command::new("strace");
    // Copying takes two seconds, however blocks are copied here.
    slow.args([
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "inject=copy_file_range,ioctl:delay_enter=2000000",
    ]);
    let mut clone = slow
        .arg(plain.get_program())
        .args(plain.get_args())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(clone.stderr.take().unwrap()).lines();
    assert_eq!(
        said.next().unwrap().unwrap(),
        "copy: Cloning private volume"
    );
    // Setting the netvm takes the qube's lock.
    place.ok("qvm-prefs", &["--no-wait", "work", "netvm", ""]);
    place.ok("qvm-prefs", &["--no-wait", "work", "memory", "500"]);
    assert!(
        clone.try_wait().unwrap().is_none(),
        "the copy was not over before"
    );
    assert!(clone.wait().unwrap().success());
    assert_eq!(
        place.image("appvms/copy/private.img"),
        place.image("appvms/work/private.img")
    );
    assert_eq!(
        place.ok("qvm-prefs", &["copy", "memory"]),
        "500\n",
        "its settings are those of the moment it appears"
    );
}

#[test]
fn of_several_concurrent_clones_with_one_name_one_succeeds() {
    let place = Place::new();
    place.fill_private("work", &random_bytes(MIB));
    let clone = || {
        place
            .command("qvm-clone", &["-q", "work", "copy"])
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
        place.image("appvms/copy/private.img"),
        place.image("appvms/work/private.img")
    );
    assert_eq!(
        place
            .store()
            .matches(r#"<property name="name">copy<"#)
            .count(),
        1
    );
}
