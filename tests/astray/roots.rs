//! Paths of a system below `--root` do not lead out of the root.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use qubes_test_support::system::{small_store, stored_property};
use qubes_test_support::{TestSystem, binary, tool_output};

use crate::victim::run_with_deadline;

/// Two directories with the same absolute path: one on the machine, one below the root.
struct Places {
    system: TestSystem,
    host: tempfile::TempDir,
}

impl Places {
    /// Creates the system and the directory on the machine. The directory is outside `/var`, `/etc`
    /// and `/run`.
    fn new() -> Places {
        let host = tempfile::Builder::new()
            .prefix("qubes-host-")
            .tempdir()
            .unwrap();
        Places {
            system: TestSystem::small(),
            host,
        }
    }

    /// Returns a path in the directory on the machine.
    fn host(&self, name: &str) -> std::path::PathBuf {
        self.host.path().join(name)
    }

    /// Returns the same absolute path below the root.
    fn inside(&self, name: &str) -> std::path::PathBuf {
        self.system
            .path(self.host(name).to_str().unwrap().trim_start_matches('/'))
    }

    /// Creates a store on the machine, at the target of a link that is not resolved within the
    /// root, and the directory of the same path in the root.
    fn create_stores(&self) {
        fs::create_dir_all(self.host("qubes")).unwrap();
        fs::write(self.host("qubes/qubes.xml"), small_store()).unwrap();
        fs::create_dir_all(self.inside("")).unwrap();
    }

    fn assert_host_untouched(&self, when: &str) {
        assert_eq!(
            fs::read_to_string(self.host("qubes/qubes.xml")).unwrap(),
            small_store(),
            "{when}"
        );
        assert_eq!(
            fs::read_dir(self.host("qubes")).unwrap().count(),
            1,
            "{when}"
        );
    }
}

#[test]
fn links_to_the_store_are_resolved_within_the_root() {
    let relative =
        |host: &Path| Path::new("../../../../../../../../..").join(host.strip_prefix("/").unwrap());
    let whole = |host: &Path| host.to_path_buf();
    for (how, target) in [
        ("absolute", &whole as &dyn Fn(&Path) -> _),
        ("dots", &relative),
    ] {
        // The directory of the store is a link.
        let places = Places::new();
        places.create_stores();
        fs::rename(places.system.path("var/lib/qubes"), places.inside("qubes")).unwrap();
        symlink(
            target(&places.host("qubes")),
            places.system.path("var/lib/qubes"),
        )
        .unwrap();
        places.system.ok("qvm-prefs work memory 999");
        assert_eq!(
            stored_property(&places.inside("qubes/qubes.xml"), "work", "memory"),
            "999",
            "{how}"
        );
        assert!(places.inside("qubes/backup").is_dir(), "{how}");
        places.assert_host_untouched(how);

        // The store itself is a link; also when the command line names it.
        let places = Places::new();
        places.create_stores();
        fs::create_dir_all(places.inside("qubes")).unwrap();
        fs::rename(places.system.store_file(), places.inside("qubes/qubes.xml")).unwrap();
        symlink(
            target(&places.host("qubes/qubes.xml")),
            places.system.store_file(),
        )
        .unwrap();
        places.system.ok("qvm-prefs work memory 998");
        let named = format!(
            "qvm-prefs --qubesxml {} vault memory 997",
            places.system.store_file().display()
        );
        places.system.ok(&named);
        assert_eq!(
            stored_property(&places.inside("qubes/qubes.xml"), "work", "memory"),
            "998",
            "{how}"
        );
        assert_eq!(
            stored_property(&places.inside("qubes/qubes.xml"), "vault", "memory"),
            "997",
            "{how}"
        );
        places.assert_host_untouched(how);
    }
}

#[test]
fn run_and_configuration_are_resolved_within_the_root() {
    let places = Places::new();
    places.create_stores();
    let run = places.host("run");
    for directory in [run.clone(), places.inside("run")] {
        fs::create_dir_all(directory.join("lock")).unwrap();
    }
    fs::create_dir_all(places.system.path("run")).unwrap();
    symlink(&run, places.system.path("run/qubes")).unwrap();
    // With the machine's configuration, every command would fail.
    fs::write(places.host("core.toml"), "nonsense").unwrap();
    fs::create_dir_all(places.system.path("etc/qubes")).unwrap();
    fs::write(places.inside("core.toml"), "[store]\nrelease = \"4.3\"\n").unwrap();
    symlink(
        places.host("core.toml"),
        places.system.path("etc/qubes/core.toml"),
    )
    .unwrap();
    places.system.ok("qvm-prefs work memory 333");
    assert!(places.inside("run/lock/database.holder").exists());
    assert_eq!(fs::read_dir(run.join("lock")).unwrap().count(), 0);
}

#[test]
fn a_root_cannot_name_a_hypervisor_that_runs_a_program() {
    let system = TestSystem::small();
    let (program, ran) = (system.path("evil"), system.path("ran"));
    fs::write(&program, format!("#!/bin/sh\necho > {}\n", ran.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(system.path("etc/qubes")).unwrap();
    let uri = format!("qemu+ext:///system?command={}", program.display());
    fs::write(
        system.path("etc/qubes/core.toml"),
        format!("[hypervisor]\nuri = \"{uri}\"\n"),
    )
    .unwrap();
    let run = |words: &[&str], uri: &str| {
        let mut command = Command::new(binary(words[0]));
        command
            .args(&words[1..])
            .env("QUBES_ROOT", system.path(""))
            .env("QUBES_LIBVIRT_URI", uri);
        tool_output::run(&mut command)
    };
    for words in [
        &["qvm-ls"][..],
        &["qvm-prefs", "work"],
        &["qvm-check", "--running", "work"],
    ] {
        let refused = run(words, "");
        assert!(!ran.exists(), "{words:?}");
        let rule = "below --root only xen:///system, qemu:///system and qemu:///session are taken";
        assert!(
            refused.code != 0 && refused.stderr.contains(rule),
            "{words:?}: {refused:?}"
        );
        assert_eq!(refused.complaints().count(), 1, "{words:?}: {refused:?}");
    }
    // Offline, or with a URI from the user, the configured URI is not used.
    assert_eq!(run(&["qvm-ls", "--offline-mode"], "").code, 0);
    assert_eq!(run(&["qvm-ls"], "test:///default").code, 0);
}

#[test]
fn a_loop_of_links_is_reported() {
    let system = TestSystem::small();
    fs::remove_dir_all(system.path("var/lib/qubes")).unwrap();
    symlink("/var/lib/other", system.path("var/lib/qubes")).unwrap();
    symlink("/var/lib/qubes", system.path("var/lib/other")).unwrap();
    let line = system.fails(1, "qvm-prefs work memory 3");
    assert!(
        line.contains("var/lib/qubes/qubes.xml: Too many symbolic links"),
        "{line}"
    );
}

#[test]
fn a_pool_below_the_root_stays_below_it() {
    let places = Places::new();
    let victim = places.host("appvms/vault");
    fs::create_dir_all(&victim).unwrap();
    fs::write(victim.join("private.img"), "the machine's").unwrap();
    let up = format!("/../../../../../../../../..{}", places.host("").display());
    let refused = places
        .system
        .run(format!("qvm-pool add p7 file-reflink -o dir_path={up}"));
    assert!(
        refused.code != 0 && refused.stderr.contains("is a path with '..'"),
        "{refused:?}"
    );
    // A pool like that, edited into the store by hand.
    let text = small_store();
    let pool = text
        .lines()
        .find(|line| line.contains("<pool ") && line.contains("\"varlibqubes\""))
        .unwrap();
    let (indent, _) = pool.split_once('<').unwrap();
    let astray = format!(
        "{indent}<pool name=\"p7\" driver=\"file-reflink\" dir_path=\"{up}\" \
         setup_check=\"no\"/>\n{pool}"
    );
    fs::write(places.system.store_file(), text.replacen(pool, &astray, 1)).unwrap();
    let checked = places.system.run("qubes-db check");
    assert!(
        checked
            .stdout
            .contains("'..' leads where links make it lead"),
        "{checked:?}"
    );
    for line in [
        "qvm-create --label red --pool private=p7 x",
        "qvm-remove --force x",
        "qvm-pool info p7",
    ] {
        let _success_or_failure = run_with_deadline(&places.system.command(line));
        assert_eq!(
            fs::read(victim.join("private.img")).unwrap(),
            b"the machine's",
            "{line}"
        );
        assert_eq!(
            fs::read_dir(places.host("appvms")).unwrap().count(),
            1,
            "{line}"
        );
    }
}

#[test]
fn kernels_and_templates_are_resolved_within_the_root() {
    let system = TestSystem::empty().online().with_template();
    let host = tempfile::Builder::new()
        .prefix("qubes-host-")
        .tempdir()
        .unwrap();
    let inside = system.path(host.path().to_str().unwrap());
    for (place, text) in [(host.path(), "machine"), (inside.as_path(), "root")] {
        fs::create_dir_all(place).unwrap();
        fs::write(place.join("vmlinuz"), text).unwrap();
        fs::write(place.join("modules.img"), text).unwrap();
        fs::write(
            place.join("template.xml"),
            format!("<domain><!-- {text} --></domain>"),
        )
        .unwrap();
    }
    symlink(host.path(), system.path("var/lib/qubes/vm-kernels/2.0")).unwrap();
    let templates = system.path("etc/qubes/templates/libvirt");
    fs::create_dir_all(&templates).unwrap();
    symlink(
        host.path().join("template.xml"),
        templates.join("qemu-user.xml"),
    )
    .unwrap();
    let described = || {
        let mut command = system.command("qubes-domain-xml tpl");
        let ran = run_with_deadline(command.env("QUBES_LIBVIRT_URI", "qemu:///session"));
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
        ran.stdout
    };
    assert!(described().contains("<!-- root -->"));

    fs::remove_file(templates.join("qemu-user.xml")).unwrap();
    for (property, value) in [("virt_mode", "pvh"), ("kernel", "2.0")] {
        system.succeeds(["qvm-prefs", "--offline-mode", "tpl", property, value]);
    }
    let xml = described();
    for file in ["vmlinuz", "modules.img"] {
        assert!(
            xml.contains(inside.join(file).to_str().unwrap()),
            "{file}: {xml}"
        );
    }
    // A kernel that the root lacks is not installed, even if the machine has it.
    fs::remove_file(inside.join("vmlinuz")).unwrap();
    assert_ne!(
        system.run("qvm-prefs --offline-mode tpl kernel 2.0").code,
        0
    );
}

#[test]
fn the_root_itself_may_be_a_link_and_roots_may_be_nested() {
    let outer = TestSystem::small();
    let inner = outer.path("srv/inner");
    fs::create_dir_all(inner.join("var/lib/qubes")).unwrap();
    fs::write(inner.join("var/lib/qubes/qubes.xml"), small_store()).unwrap();
    let link = outer.path("link");
    symlink(&inner, &link).unwrap();
    let mut command = Command::new(binary("qvm-prefs"));
    command
        .args([
            "--root",
            link.to_str().unwrap(),
            "--offline-mode",
            "work",
            "memory",
            "321",
        ])
        .env_remove("QUBES_ROOT");
    let ran = run_with_deadline(&command);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert_eq!(
        stored_property(&inner.join("var/lib/qubes/qubes.xml"), "work", "memory"),
        "321"
    );
    assert_ne!(outer.stored_property("work", "memory"), "321");
}
