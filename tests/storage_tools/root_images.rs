//! qvm-create with a file for the root volume: the volume has its data before the store has the
//! qube.

use std::fs;
use std::process::Stdio;

use qubes_test_support::{skip, strace, tool_output};

use crate::system::{MIB, System, random_bytes};

const ROOT: &str = "vm-templates/new/root.img";

/// Returns `qvm-create … --root-copy-from FILE new`.
fn line(system: &System, data: &[u8]) -> String {
    let file = system.file("root", data);
    format!(
        "qvm-create -C TemplateVM -l red --root-copy-from {} new",
        file.display()
    )
}

#[test]
fn a_creation_that_is_killed_anywhere_leaves_no_qube_with_an_empty_root() {
    if std::process::Command::new("strace")
        .arg("-V")
        .output()
        .is_err()
    {
        return skip("strace is not installed");
    }
    let (system, data) = (System::new(), random_bytes(MIB, 1));
    let line = line(&system, &data);
    let mut killed = 0;
    for number in 1.. {
        let inject = format!("inject=fsync:signal=SIGKILL:when={number}");
        let options = ["-o", "/dev/null", "-e", "trace=fsync", "-e", &inject];
        let mut create = strace::strace_command(&system.command(&line), &options);
        let is_whole = create.stderr(Stdio::null()).status().unwrap().success();
        if system.run("qvm-check -q new").code == 0 {
            assert!(system.bytes(ROOT) == data, "killed before fsync {number}");
        } else {
            killed += 1;
            assert!(!is_whole);
            system.ok(&line);
            assert!(
                system.bytes(ROOT) == data,
                "the same again after a kill before fsync {number}"
            );
        }
        assert_eq!(
            system.ok("qvm-volume info new:root size"),
            format!("{MIB}\n")
        );
        system.ok("qvm-remove -f new");
        if is_whole {
            assert!(killed > 5, "{killed}");
            break;
        }
    }
}

#[test]
fn the_root_volume_has_the_size_of_its_data_and_no_empty_revision() {
    let (system, data) = (System::new(), random_bytes(3 * MIB, 1));
    let line = line(&system, &data);
    system.ok(&line);
    assert!(system.bytes(ROOT) == data);
    assert_eq!(
        system.names("vm-templates/new"),
        [
            "private-precache.img",
            "private.img",
            "root-precache.img",
            "root.img"
        ]
    );
    assert_eq!(
        system.stored_attribute("new", "root", "size").unwrap(),
        (3 * MIB).to_string()
    );
    // A standalone qube keeps its template's settings but has its own data.
    let other = system.file("other", &data[..MIB as usize]);
    system.ok(format!(
        "qvm-create -C StandaloneVM -t tpl -l red --root-move-from {} alone",
        other.display()
    ));
    assert!(system.bytes("appvms/alone/root.img") == data[..MIB as usize] && !other.exists());
    assert_eq!(
        system.stored_attribute("alone", "root", "size").unwrap(),
        MIB.to_string()
    );
    // The length of a pipe's data is unknown.
    let mut piped =
        system.command("qvm-create -C TemplateVM -l red --root-copy-from /dev/stdin piped");
    let output = piped
        .stdin(fs::File::open(system.path("root")).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(system.bytes("vm-templates/piped/root.img") == data);
}

#[test]
fn a_dry_run_is_refused_with_the_same_message_as_the_creation() {
    let system = System::new();
    let (data, empty) = (system.file("data", b"data"), system.file("empty", b""));
    let (data, empty) = (data.display(), empty.display());
    for (exit, arguments) in [
        (3, "-C TemplateVM -l red -r /etc new".to_string()),
        (3, "-C TemplateVM -l red -r /dev/null new".to_string()),
        (3, format!("-C TemplateVM -l red -r {empty} new")),
        (3, format!("-C RemoteVM -l red -r {data} new")),
        (3, "-C RemoteVM -l red -r /etc new".to_string()),
        (
            2,
            format!("-C TemplateVM -l red -r {data} --property memory=lots new"),
        ),
        (1, format!("-C TemplateVM -l red -r {data} tpl")),
    ] {
        let dry = system.refuses(exit, &format!("qvm-create --dry-run {arguments}"));
        assert_eq!(
            dry,
            system.refuses(exit, &format!("qvm-create {arguments}")),
            "{arguments}"
        );
        assert!(dry.contains("VM"), "{dry}");
    }
    let dry = tool_output::run(&mut system.command(format!(
        "qvm-create --dry-run -C TemplateVM -l red -R {data} new"
    )));
    assert_eq!((dry.code, &*dry.stdout, &*dry.stderr), (0, "", ""));
    assert!(system.path("data").exists());
}
