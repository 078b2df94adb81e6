//! A path below `--root` stays below it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::scratch::Scratch;
use crate::small_system::{SmallSystem, sample, stored_property};
use crate::tool_output::{self, binary};
use crate::victim::run_with_deadline;

/// Two places of the same shape: what a link means on the machine, and what it means below the
/// root.
struct Places {
    system: SmallSystem,
    host: tempfile::TempDir,
}

impl Places {
    /// `moved` is a path below the root that becomes an absolute link to a place outside `/var`,
    /// `/etc` and `/run`, which exists on the machine and in the root.
    fn new() -> Places {
        let host = tempfile::Builder::new()
            .prefix("qubes-host-")
            .tempdir()
            .unwrap();
        Places {
            system: SmallSystem::new(),
            host,
        }
    }

    /// The same absolute path on the machine and below the root.
    fn host(&self, name: &str) -> std::path::PathBuf {
        self.host.path().join(name)
    }

    fn inside(&self, name: &str) -> std::path::PathBuf {
        self.system
            .path(self.host(name).to_str().unwrap().trim_start_matches('/'))
    }

    /// A store on the machine where a link would lead that is not resolved below the root, and the
    /// root's own there.
    fn stores(&self) {
        fs::create_dir_all(self.host("qubes")).unwrap();
        fs::write(self.host("qubes/qubes.xml"), sample()).unwrap();
        fs::create_dir_all(self.inside("")).unwrap();
    }

    fn host_is_untouched(&self, when: &str) {
        assert_eq!(
            fs::read(self.host("qubes/qubes.xml")).unwrap(),
            sample(),
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
fn a_link_in_the_root_means_what_it_means_there() {
    let relative =
        |host: &Path| Path::new("../../../../../../../../..").join(host.strip_prefix("/").unwrap());
    let whole = |host: &Path| host.to_path_buf();
    for (how, target) in [
        ("absolute", &whole as &dyn Fn(&Path) -> _),
        ("dots", &relative),
    ] {
        // The directory of the store is the link.
        let places = Places::new();
        places.stores();
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
        places.host_is_untouched(how);

        // The store itself is; by its name on the command line, too.
        let places = Places::new();
        places.stores();
        fs::create_dir_all(places.inside("qubes")).unwrap();
        fs::rename(places.system.store(), places.inside("qubes/qubes.xml")).unwrap();
        symlink(
            target(&places.host("qubes/qubes.xml")),
            places.system.store(),
        )
        .unwrap();
        places.system.ok("qvm-prefs work memory 998");
        let named = format!(
            "qvm-prefs --qubesxml {} vault memory 997",
            places.system.store().display()
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
        places.host_is_untouched(how);
    }
}

#[test]
fn run_and_the_configuration_are_the_roots_own() {
    let places = Places::new();
    places.stores();
    let run = places.host("run");
    for directory in [run.clone(), places.inside("run")] {
        fs::create_dir_all(directory.join("lock")).unwrap();
    }
    fs::create_dir_all(places.system.path("run")).unwrap();
    symlink(&run, places.system.path("run/qubes")).unwrap();
    // The machine's configuration would forbid every write to the store.
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
fn a_root_names_no_hypervisor_that_runs_a_program() {
    let system = SmallSystem::new();
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
    // Without a hypervisor, or with one of the user's, its word is not asked for.
    assert_eq!(run(&["qvm-ls", "--offline-mode"], "").code, 0);
    assert_eq!(run(&["qvm-ls"], "test:///default").code, 0);
}

#[test]
fn a_loop_of_links_is_told_and_nothing_is_made() {
    let system = SmallSystem::new();
    fs::remove_dir_all(system.path("var/lib/qubes")).unwrap();
    symlink("/var/lib/other", system.path("var/lib/qubes")).unwrap();
    symlink("/var/lib/qubes", system.path("var/lib/other")).unwrap();
    let line = system.refused("qvm-prefs work memory 3");
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
        .run(&format!("qvm-pool add p7 file-reflink -o dir_path={up}"));
    assert!(
        refused.code != 0 && refused.stderr.contains("is a path with '..'"),
        "{refused:?}"
    );
    // By hand: vault's volume in such a pool.
    let text = String::from_utf8(sample()).unwrap();
    let pool = text
        .lines()
        .find(|line| line.contains("<pool ") && line.contains("\"varlibqubes\""))
        .unwrap();
    let (indent, _) = pool.split_once('<').unwrap();
    let astray = format!(
        "{indent}<pool name=\"p7\" driver=\"file-reflink\" dir_path=\"{up}\" setup_check=\"no\"/>\n{pool}"
    );
    fs::write(places.system.store(), text.replacen(pool, &astray, 1)).unwrap();
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
        let _either_way = run_with_deadline(&places.system.command(line));
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
fn kernels_and_templates_of_the_root_are_not_the_machines() {
    let system = Scratch::with_template();
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
        let mut command = system.command("qubes-domain-xml", &["tpl"]);
        let ran = run_with_deadline(command.env("QUBES_LIBVIRT_URI", "qemu:///session"));
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
        ran.stdout
    };
    assert!(described().contains("<!-- root -->"));

    fs::remove_file(templates.join("qemu-user.xml")).unwrap();
    for (property, value) in [("virt_mode", "pvh"), ("kernel", "2.0")] {
        system.ok("qvm-prefs", &["--offline-mode", "tpl", property, value]);
    }
    let xml = described();
    for file in ["vmlinuz", "modules.img"] {
        assert!(
            xml.contains(inside.join(file).to_str().unwrap()),
            "{file}: {xml}"
        );
    }
    // Where the root lacks it, it is not installed, whatever the machine has.
    fs::remove_file(inside.join("vmlinuz")).unwrap();
    assert_ne!(
        system
            .run("qvm-prefs", &["--offline-mode", "tpl", "kernel", "2.0"])
            .code,
        0
    );
}

#[test]
fn the_root_itself_may_be_a_link_and_roots_may_be_nested() {
    let outer = SmallSystem::new();
    let inner = outer.path("srv/inner");
    fs::create_dir_all(inner.join("var/lib/qubes")).unwrap();
    fs::write(inner.join("var/lib/qubes/qubes.xml"), sample()).unwrap();
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
    assert_ne!(stored_property(&outer.store(), "work", "memory"), "321");
}
