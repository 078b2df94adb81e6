//! A creation overwrites no image that holds data: it is refused unless an option says what to do
//! with the image. A creation recognises by a note what a killed one left, and clears it.

use std::fs;
use std::process::Stdio;

use qubes::lifecycle::volume::images::creation_note::NOTE;
use qubes_test_support::{skip, strace};

use crate::system::{MIB, System};

const DATA: &[u8] = b"data of a qube that the store has lost";
const IMAGE: &str = "appvms/new/private.img";

/// Creates a system with the images of a qube `new` that its store no longer has, as after
/// `qubes-db restore`.
fn lost() -> System {
    let system = System::new();
    let before = system.store();
    system.ok("qvm-create -l red new");
    let data = system.file("data", DATA);
    system.ok(format!(
        "qvm-volume import --no-resize new:private {}",
        data.display()
    ));
    fs::write(system.image("qubes.xml"), before).unwrap();
    system
}

fn has_data(system: &System) -> bool {
    system.begins_with(IMAGE, DATA)
}

#[test]
fn a_creation_over_data_is_refused_with_advice() {
    let system = lost();
    for line in [
        "qvm-create -l red new",
        "qvm-create -l red -C StandaloneVM new",
        "qvm-create -l red -C StandaloneVM -t tpl new",
        "qvm-clone work new",
    ] {
        let refused = system.refuses(1, line);
        let words = ".img holds data, and no qube of the store owns it: qvm-create \
                     --adopt-existing takes the images over, --discard-existing deletes them";
        assert!(
            refused.contains("cannot create new: ") && refused.contains(words),
            "{line}: {refused}"
        );
        assert!(has_data(&system), "{line}");
    }
    assert_eq!(system.run("qvm-create -l red --dry-run new").code, 1);
    assert_eq!(
        system
            .run("qvm-create -l red --dry-run --adopt-existing new")
            .code,
        0
    );
}

#[test]
fn existing_data_are_adopted() {
    let system = lost();
    fs::File::options()
        .write(true)
        .open(system.image(IMAGE))
        .unwrap()
        .set_len(2560 * MIB)
        .unwrap();
    system.ok("qvm-create -l red --adopt-existing new");
    assert!(has_data(&system));
    assert_eq!(
        system.ok("qvm-volume info new:private size"),
        format!("{}\n", 2560 * MIB)
    );
    assert_eq!(system.ok("qubes-recover --list-orphans"), "");
    system.ok("qvm-remove -f new");
    assert!(!system.image("appvms/new").exists());
}

#[test]
fn uncommitted_data_of_a_crash_are_adopted_and_committed() {
    let system = lost();
    fs::write(
        system.image("appvms/new/private-dirty.img"),
        "written since",
    )
    .unwrap();
    system.ok("qvm-create -l red --adopt-existing new");
    system.run("qubes-recover");
    assert!(system.begins_with(IMAGE, b"written since"));
    let names = system.names("appvms/new");
    assert!(
        names.iter().any(|name| name.starts_with("private.img.")),
        "a revision of before: {names:?}"
    );
}

#[test]
fn discarded_data_are_deleted() {
    for line in [
        "qvm-create -l red --discard-existing new",
        "qvm-clone --discard-existing work new",
        "qvm-create -l red --discard-existing -C StandaloneVM -t tpl new",
    ] {
        let system = lost();
        assert_eq!(system.run(line).code, 0, "{line}");
        assert!(!has_data(&system), "{line}");
        assert_eq!(system.run("qvm-check new").code, 0, "{line}");
    }
}

#[test]
fn the_disposable_template_does_not_overwrite_data() {
    let system = System::new();
    fs::create_dir(system.image("appvms/tpl-dvm")).unwrap();
    fs::write(system.image("appvms/tpl-dvm/private.img"), DATA).unwrap();
    let refused = system.refuses(1, "qvm-create-default-dvm tpl");
    assert!(
        refused.contains("tpl-dvm/private.img holds data"),
        "{refused}"
    );
    system.ok("qvm-create-default-dvm --adopt-existing tpl");
    assert!(system.begins_with("appvms/tpl-dvm/private.img", DATA));
}

#[test]
fn an_option_that_cannot_apply_is_refused() {
    let system = lost();
    for line in [
        "qvm-create -l red --adopt-existing -C StandaloneVM -t tpl new",
        "qvm-create --disp --adopt-existing new",
        "qvm-create -l red --adopt-existing --discard-existing new",
    ] {
        system.refuses(2, line);
    }
}

#[test]
fn images_without_data_are_replaced() {
    let system = System::new();
    fs::create_dir(system.image("appvms/new")).unwrap();
    fs::File::create(system.image(IMAGE))
        .unwrap()
        .set_len(MIB)
        .unwrap();
    system.ok("qvm-create -l red new");
}

#[test]
fn leftovers_of_a_killed_creation_are_cleared_without_a_prompt() {
    if std::process::Command::new("strace")
        .arg("-V")
        .output()
        .is_err()
    {
        return skip("strace is not installed");
    }
    let system = System::new();
    let data = system.file("data", DATA);
    system.ok(format!(
        "qvm-volume import --no-resize work:private {}",
        data.display()
    ));
    let mut with_data = 0;
    for number in 1.. {
        let inject = format!("inject=fsync:signal=SIGKILL:when={number}");
        let options = ["-o", "/dev/null", "-e", "trace=fsync", "-e", &inject];
        let mut clone = strace::strace_command(&system.command("qvm-clone work new"), &options);
        if clone.stderr(Stdio::null()).status().unwrap().success() {
            assert!(
                number > 5 && with_data > 1,
                "{number} calls, {with_data} kills left data"
            );
            break;
        }
        if system.run("qvm-check -q new").code == 0 {
            // The store was saved before the kill, so the qube may have been used since.
            system.ok("qvm-remove -f new");
            continue;
        }
        with_data += usize::from(system.image(IMAGE).exists() && has_data(&system));
        system.ok("qvm-create -l red new");
        assert!(!has_data(&system), "killed before fsync {number}");
        assert!(!system.image("appvms/new").join(NOTE).exists());
        system.ok("qvm-remove -f new");
    }
}

/// The note of a saved qube, left by a kill, has no effect after the store has lost the qube.
#[test]
fn the_note_of_a_saved_qube_gives_up_no_data() {
    let system = System::new();
    system.ok("qvm-create -l red new");
    let uuid = {
        let qubes = qubes::format::read(fs::read(system.image("qubes.xml")).unwrap()).unwrap();
        qubes.get("new").unwrap().uuid().unwrap()
    };
    let note = format!(
        "{{\"uuid\":\"{uuid}\",\"volumes\":[{{\"pool\":\"varlibqubes\",\"vid\":\"appvms/new/private\"}}]}}"
    );
    let place = system.image("appvms/new").join(NOTE);
    fs::write(&place, &note).unwrap();
    let data = system.file("data", DATA);
    system.ok(format!(
        "qvm-volume import --no-resize new:private {}",
        data.display()
    ));
    assert!(!place.exists(), "what puts data there takes the note away");
    // A foreign program's file, and a copy that does not have the qube.
    fs::write(&place, &note).unwrap();
    system.ok("qubes-db history");
    let before = system
        .store()
        .replace("name=\"name\">new<", "name=\"name\">gone<");
    fs::write(
        system.image("qubes.xml"),
        before.replace("appvms/new/", "appvms/gone/"),
    )
    .unwrap();
    let refused = system.refuses(1, "qvm-create -l red new");
    assert!(refused.contains(".img holds data"), "{refused}");
}

/// Members of group qubes can write the note, and root deletes what it names.
#[test]
fn a_note_deletes_no_images_of_another_name() {
    let system = lost();
    let directory = system.image("appvms/other");
    fs::create_dir(&directory).unwrap();
    let note = r#"{"uuid":"7e7c1a7e-0000-4000-8000-000000000000","volumes":[{"pool":"varlibqubes","vid":"appvms/new/private"}]}"#;
    fs::write(directory.join(NOTE), note).unwrap();
    system.ok("qvm-create -l red other");
    assert!(has_data(&system));
    assert!(!directory.join(NOTE).exists());
}
