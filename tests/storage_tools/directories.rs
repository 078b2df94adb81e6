//! The files beside the images (`firewall.xml`, `notes.txt`, `creation.json`): they are looked up
//! below the root and belong, as images do, to the qube that uses their directory.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::system::System;

const RULES: &str = "<firewall version=\"2\"/>";

/// Creates a system with a qube `work` that has rules and notes.
fn system() -> System {
    let system = System::new();
    describe(&system.image("appvms/work"));
    system
}

fn describe(directory: &Path) {
    fs::write(directory.join("firewall.xml"), RULES).unwrap();
    fs::write(directory.join("notes.txt"), "mine").unwrap();
}

fn is_described(directory: &Path) -> bool {
    let has = |name: &str, text: &str| {
        fs::read_to_string(directory.join(name)).is_ok_and(|found| found == text)
    };
    has("firewall.xml", RULES) && has("notes.txt", "mine")
}

/// Creates another store that is a copy of the system's.
fn copied_store(system: &System) -> PathBuf {
    fs::create_dir_all(system.path("/tmp")).unwrap();
    let copy = system.path("/tmp/copy.xml");
    fs::write(&copy, system.store()).unwrap();
    copy
}

/// Creates another store beside the system's, with a pool of its own.
fn second_store(system: &System) -> PathBuf {
    fs::create_dir_all(system.path("/tmp")).unwrap();
    let store = system.path("/tmp/second.xml");
    let run = |line: &str| system.ok(format!("{line} --qubesxml {}", store.display()));
    run("qubes-create");
    run("qvm-pool add p2 file-reflink -o dir_path=/data -o setup_check=no");
    run("qubes-prefs default_pool p2");
    run("qubes-prefs default_kernel 1.0");
    store
}

fn kinds(system: &System) -> Vec<String> {
    let found = system.run("qubes-db check --json").json();
    found
        .as_array()
        .unwrap()
        .iter()
        .map(|damage| damage["kind"].as_str().unwrap().to_owned())
        .collect()
}

/// One absolute path, on the machine and below the root.
struct PathTwice {
    machine: tempfile::TempDir,
    inside: PathBuf,
}

impl PathTwice {
    fn new(system: &System) -> PathTwice {
        let machine = tempfile::Builder::new()
            .prefix("qubes-machine-")
            .tempdir()
            .unwrap();
        let inside = system.path(machine.path().to_str().unwrap());
        fs::create_dir_all(&inside).unwrap();
        PathTwice { machine, inside }
    }

    /// Moves a directory of the pool to the path below the root and leaves a link. On the machine,
    /// another directory has that path.
    fn move_away(&self, system: &System, directory: &str) -> PathBuf {
        let name = Path::new(directory).file_name().unwrap();
        fs::rename(system.image(directory), self.inside.join(name)).unwrap();
        symlink(self.machine.path().join(name), system.image(directory)).unwrap();
        let machine = self.machine.path().join(name);
        fs::create_dir(&machine).unwrap();
        describe(&machine);
        fs::write(machine.join("creation.json"), "{}").unwrap();
        machine
    }
}

fn is_untouched(machine: &Path, when: &str) {
    let names = fs::read_dir(machine).unwrap().count();
    assert!(
        is_described(machine) && machine.join("creation.json").exists() && names == 3,
        "{when}"
    );
}

#[test]
fn an_absolute_link_of_a_directory_stays_below_the_root() {
    let system = system();
    let paths = PathTwice::new(&system);
    let machine = paths.move_away(&system, "appvms/work");
    let inside = paths.inside.join("work");
    system.ok("qvm-notes --set inside work");
    assert_eq!(
        fs::read_to_string(inside.join("notes.txt")).unwrap(),
        "inside"
    );
    is_untouched(&machine, "notes");

    // Any command that changes the qube's images removes the note of its creation.
    fs::write(inside.join("creation.json"), "{}").unwrap();
    system.ok("qvm-clone -q work two");
    assert!(!inside.join("creation.json").exists());
    is_untouched(&machine, "clone of it");
    assert_eq!(
        fs::read_to_string(system.image("appvms/two/notes.txt")).unwrap(),
        "inside"
    );

    // A new qube whose directory is a link.
    let new = paths.machine.path().join("new");
    for directory in [&new, &paths.inside.join("new")] {
        fs::create_dir(directory).unwrap();
    }
    symlink(&new, system.image("appvms/new")).unwrap();
    system.ok("qvm-clone -q two new");
    assert_eq!(
        fs::read_to_string(paths.inside.join("new/notes.txt")).unwrap(),
        "inside"
    );
    assert_eq!(fs::read_dir(&new).unwrap().count(), 0);

    system.ok("qvm-remove -f work");
    is_untouched(&machine, "removal");
    assert!(!inside.exists() && fs::symlink_metadata(system.image("appvms/work")).is_err());
}

#[test]
fn an_absolute_link_above_the_directories_stays_below_the_root() {
    let system = system();
    let paths = PathTwice::new(&system);
    let machine = paths.move_away(&system, "appvms");
    let victim = machine.join("work");
    fs::create_dir(&victim).unwrap();
    describe(&victim);
    system.ok("qvm-notes --set inside work");
    system.ok("qvm-clone -q work two");
    assert_eq!(
        fs::read_to_string(paths.inside.join("appvms/two/notes.txt")).unwrap(),
        "inside"
    );
    system.ok("qvm-create -l red three");
    system.ok("qvm-remove -f work two three");
    assert!(is_described(&victim));
    assert_eq!(fs::read_dir(&machine).unwrap().count(), 4);
    assert_eq!(
        fs::read_dir(paths.inside.join("appvms")).unwrap().count(),
        0
    );
}

#[test]
fn removing_a_qube_of_a_copied_store_keeps_the_systems_files() {
    let system = system();
    let copy = copied_store(&system);
    let directory = system.image("appvms/work");
    let notes = system.refuses(
        1,
        &format!("qvm-notes --qubesxml {} --set other work", copy.display()),
    );
    let expected = "cannot change the notes of work: /var/lib/qubes/appvms/work is the directory \
        of work of /var/lib/qubes/qubes.xml, too; give one of the two another name, a directory \
        of its own or, with --root, a system of its own";
    assert!(notes.ends_with(expected), "{notes}");
    let removed = system.run(format!("qvm-remove --qubesxml {} -f work", copy.display()));
    assert_eq!(removed.code, 0, "{removed:?}");
    let told = format!(
        "{0} is the directory of work of {1}, too: firewall.xml and notes.txt stay there",
        directory.display(),
        system.image("qubes.xml").display()
    );
    assert!(removed.stderr.contains(&told), "{removed:?}");
    assert!(is_described(&directory) && system.image("appvms/work/private.img").exists());

    // The link to the directory of the system's qube stays, too.
    let copy = copied_store(&system);
    let paths = PathTwice::new(&system);
    paths.move_away(&system, "appvms/work");
    assert_eq!(
        system
            .run(format!("qvm-remove --qubesxml {} -f work", copy.display()))
            .code,
        0
    );
    assert!(is_described(&paths.inside.join("work")) && system.image("appvms/work").is_symlink());
    // While the system's store cannot be read, its directories are unknown.
    let copy = copied_store(&system);
    fs::write(system.image("qubes.xml"), "damaged").unwrap();
    let removed = system.run(format!("qvm-remove --qubesxml {} -f work", copy.display()));
    assert!(
        removed.stderr.contains("qubes.xml, which cannot be read: "),
        "{removed:?}"
    );
    assert!(is_described(&paths.inside.join("work")));
}

#[test]
fn a_qube_of_another_store_gets_no_directory_of_the_system() {
    let system = system();
    let second = second_store(&system);
    // Also if the system's qube has no directory yet.
    fs::remove_dir_all(system.image("vm-templates/tpl")).unwrap();
    for (class, name) in [("StandaloneVM", "work"), ("TemplateVM", "tpl")] {
        let refused = system.refuses(
            1,
            &format!(
                "qvm-create --qubesxml {} -C {class} -l red {name}",
                second.display()
            ),
        );
        assert!(
            refused.contains(&format!("cannot create {name}: /var/lib/qubes/")),
            "{refused}"
        );
        assert!(
            refused.contains(&format!(
                "is the directory of {name} of /var/lib/qubes/qubes.xml, too"
            )),
            "{refused}"
        );
    }
    assert!(
        is_described(&system.image("appvms/work")) && !system.path("/data/appvms/work").exists()
    );
    // Under another name the qube can be created and removed.
    system.ok(format!(
        "qvm-create --qubesxml {} -C StandaloneVM -l red other",
        second.display()
    ));
    system.ok(format!(
        "qvm-notes --qubesxml {} --set text other",
        second.display()
    ));
    system.ok(format!(
        "qvm-clone -q --qubesxml {} other third",
        second.display()
    ));
    assert_eq!(
        fs::read_to_string(system.image("appvms/third/notes.txt")).unwrap(),
        "text"
    );
    system.ok(format!(
        "qvm-remove --qubesxml {} -f other third",
        second.display()
    ));
    assert_eq!(system.names("appvms"), ["work"]);
}

#[test]
fn removing_one_of_two_qubes_with_one_directory_keeps_the_others_files() {
    let system = system();
    system.ok("qvm-create -l red two");
    let images = system.path("/images");
    fs::rename(system.image("appvms/two"), &images).unwrap();
    symlink("work", system.image("appvms/two")).unwrap();
    assert!(kinds(&system).contains(&"directory-shared".to_owned()));
    for qube in ["work", "two"] {
        let refused = system.refuses(1, &format!("qvm-notes --set other {qube}"));
        assert!(
            refused.contains(&format!("cannot change the notes of {qube}: ")),
            "{refused}"
        );
    }
    let removed = system.run("qvm-remove -f two");
    assert_eq!(removed.code, 0, "{removed:?}");
    assert!(
        removed
            .stderr
            .contains("appvms/two is the directory of work, too: firewall.xml and notes.txt stay")
    );
    assert!(is_described(&system.image("appvms/work")));
    assert!(
        fs::symlink_metadata(system.image("appvms/two")).is_err(),
        "the link is two's own"
    );
    assert_eq!(kinds(&system), [""; 0]);

    // A new qube whose directory is such a link.
    symlink("work", system.image("appvms/two")).unwrap();
    fs::create_dir(system.path("/data")).unwrap();
    system.ok("qvm-pool add p2 file-reflink -o dir_path=/data -o setup_check=no");
    let refused = system.run("qvm-create -P p2 -C StandaloneVM -l red two");
    assert!(
        refused.code == 1
            && refused
                .stderr
                .contains("appvms/two is the directory of work, too"),
        "{refused:?}"
    );
    assert!(is_described(&system.image("appvms/work")));
    fs::remove_file(system.image("appvms/two")).unwrap();
    system.ok("qvm-notes --set own work");
}

#[test]
fn rules_and_notes_are_adopted_with_images() {
    let system = system();
    let store = system.store();
    system.ok("qvm-create -l red lost");
    describe(&system.image("appvms/lost"));
    fs::write(system.image("qubes.xml"), &store).unwrap();
    system.ok("qvm-create --adopt-existing -l red lost");
    assert!(is_described(&system.image("appvms/lost")));
    fs::write(system.image("qubes.xml"), &store).unwrap();
    system.ok("qvm-create --discard-existing -l red lost");
    assert!(
        !system.image("appvms/lost/notes.txt").exists()
            && !system.image("appvms/lost/firewall.xml").exists()
    );
}

#[test]
fn a_file_larger_than_any_of_qubes_is_not_read() {
    let system = System::new();
    for (name, line) in [
        ("appvms/work/firewall.xml", "qvm-clone work new"),
        ("appvms/work/notes.txt", "qvm-notes --print work"),
        ("appvms/new/creation.json", "qvm-create -l red new"),
    ] {
        let file = system.image(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::File::create(&file).unwrap().set_len(5 << 20).unwrap();
        let ran = system.run(line);
        assert!(
            ran.code != 0 && ran.stderr.contains("it is longer than 4 MiB"),
            "{line}: {ran:?}"
        );
        fs::remove_file(&file).unwrap();
    }
}
