//! Disks and PCI devices beside the volumes: required ones, those of one start, and those attached
//! to a running qube.

use std::fs;
use std::path::{Path, PathBuf};

use qubes::exec::Program;
use qubes::hypervisor::description::DeviceKind;
use qubes::lifecycle::qube::Drive;
use qubes::lifecycle::{Context, LifecycleError, qube};
use qubes::model::VmName;
use qubes::system::{System, SystemOptions};
use qubes_test_support::{FileSystem, LoopMount, TestSystem, skip};

use crate::systems::{
    create, hypervisor, system_with_empty_guests, system_with_linux, wait_for_words,
};

/// A disk of dom0: a loop device over a file that begins with a sign.
struct LoopDisk {
    node: PathBuf,
    _file: tempfile::NamedTempFile,
}

impl LoopDisk {
    /// Creates one; `None` without loop devices.
    fn with_sign(sign: &str, options: &[&str]) -> Option<LoopDisk> {
        if !nix::unistd::geteuid().is_root() {
            skip("loop devices need root");
            return None;
        }
        let file = image_with_sign(sign);
        let losetup = Program::new("losetup")
            .args(["--find", "--show"])
            .args(options)
            .arg(file.path());
        let node = String::from_utf8(losetup.output().unwrap()).unwrap();
        Some(LoopDisk {
            node: PathBuf::from(node.trim()),
            _file: file,
        })
    }

    /// Returns its name as a port of dom0: `loop3`.
    fn port(&self) -> String {
        self.node
            .file_name()
            .unwrap()
            .to_string_lossy()
            .into_owned()
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        let _detached = Program::new("losetup")
            .arg("--detach")
            .arg(&self.node)
            .output();
    }
}

fn image_with_sign(sign: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), sign).unwrap();
    file.as_file().set_len(1 << 20).unwrap();
    file
}

/// Writes the assignments of one class into the store like qubesd, in place of the existing ones.
fn assign(system: &TestSystem, qube: &str, class: &str, devices: &str) {
    let text = system.store();
    let at = text
        .find(&format!("<property name=\"name\">{qube}</property>"))
        .unwrap();
    let (before, domain) = text.split_at(at);
    let end = domain.find("</domain>").unwrap();
    let (domain, after) = domain.split_at(end);
    let volumes = domain.find("<volume-config>").unwrap();
    let mut domain = domain.to_string();
    if let Some(old) = domain.find("<devices").filter(|old| *old < volumes) {
        domain.replace_range(old..volumes, "");
    }
    let volumes = domain.find("<volume-config>").unwrap();
    domain.insert_str(
        volumes,
        &format!("<devices class=\"{class}\">{devices}</devices>"),
    );
    fs::write(
        system.path("/var/lib/qubes/qubes.xml"),
        [before, &domain, after].concat(),
    )
    .unwrap();
}

fn required(port: &str, identity: &str, options: &str) -> String {
    format!(
        "<device backend-domain=\"dom0\" id=\"{port}\" mode=\"required\" \
         identity=\"{identity}\">{options}</device>"
    )
}

const READ_ONLY: &str = "<option name=\"read-only\">yes</option>";

fn context(system: &TestSystem) -> Context {
    Context::new(
        System::new(SystemOptions {
            root: Some(system.root().to_path_buf()),
            ..SystemOptions::default()
        })
        .unwrap(),
    )
}

/// Returns the disks of `work` beside its volumes as the hypervisor reports them: name and source.
fn disks(context: &Context) -> Vec<(String, PathBuf)> {
    let disks = qube::disks(context, &work()).unwrap();
    disks
        .into_iter()
        .filter(|disk| &disk.target[2..] >= "e")
        .map(|d| (d.target, d.source.unwrap()))
        .collect()
}

fn work() -> VmName {
    VmName::from_store("work").unwrap()
}

fn disk(path: &Path) -> Drive {
    Drive::parse(&format!("dom0:{}", path.display()), DeviceKind::Disk).unwrap()
}

#[test]
fn a_guest_has_required_disks_from_its_start_and_others_while_attached() {
    let Some(system) = system_with_linux() else {
        return;
    };
    let Some(required_disk) = LoopDisk::with_sign("REQUIRED-DISK", &[]) else {
        return;
    };
    let Some(write_protected) = LoopDisk::with_sign("WRITE-PROTECTED", &["--read-only"]) else {
        return;
    };
    let (of_start, file, device) = (
        image_with_sign("OF-THIS-START"),
        image_with_sign("A-FILE"),
        LoopDisk::with_sign("A-DEVICE", &[]).unwrap(),
    );
    let wish = "<option name=\"frontend-dev\">xvdk</option>";
    let devices = [
        required(&required_disk.port(), "*", wish),
        required(&write_protected.port(), "*", ""),
    ]
    .concat();
    assign(&system, "work", "block", &devices);
    system.succeeds("qvm-prefs work kernelopts disks");
    system.succeeds([
        "qvm-start",
        "--hddisk",
        &format!("dom0:{}", of_start.path().display()),
        "work",
    ]);
    let context = context(&system);
    let from_the_start = [
        ("vdi".to_string(), write_protected.node.clone()),
        ("vdj".to_string(), of_start.path().to_path_buf()),
        ("vdk".to_string(), required_disk.node.clone()),
    ];
    assert_eq!(disks(&context), from_the_start);
    for words in [
        "DISK REQUIRED-DISK ro=0",
        "DISK WRITE-PROTECTED ro=1",
        "DISK OF-THIS-START ro=0",
    ] {
        wait_for_words(&system, words);
    }

    let come = [
        (file.path(), "A-FILE", "vdl"),
        (&device.node, "A-DEVICE", "vdm"),
    ];
    for (path, sign, name) in come {
        assert_eq!(
            qube::attach_drive(&context, &work(), &disk(path)).unwrap(),
            name,
            "the first name that is free"
        );
        wait_for_words(&system, &format!("DISK {sign} ro=0"));
    }
    let come = come.map(|(path, sign, name)| (sign, (name.to_string(), path.to_path_buf())));
    assert_eq!(disks(&context)[3..], come.clone().map(|(_, disk)| disk));
    for (sign, (name, _)) in come {
        qube::detach_drive(&context, &work(), &name).unwrap();
        wait_for_words(&system, &format!("LOST {sign}"));
    }
    assert_eq!(disks(&context), from_the_start);

    let refusal = |error: LifecycleError| error.to_string();
    let missing = refusal(
        qube::attach_drive(&context, &work(), &disk(Path::new("/nonexistent.img"))).unwrap_err(),
    );
    assert_eq!(
        missing,
        "drive /nonexistent.img: No such file or directory (os error 2)"
    );
    for target in ["vda", "vdl"] {
        let expected = format!("drive work:{target}: no such disk was attached to the qube");
        assert_eq!(
            refusal(qube::detach_drive(&context, &work(), target).unwrap_err()),
            expected
        );
    }
    system.succeeds("qvm-shutdown --wait work");
    let gone = "Domain not running (either powered off or paused): 'work'";
    assert_eq!(
        refusal(qube::attach_drive(&context, &work(), &disk(file.path())).unwrap_err()),
        gone
    );
    assert_eq!(refusal(qube::disks(&context, &work()).unwrap_err()), gone);
    assert_eq!(
        refusal(qube::detach_drive(&context, &work(), "vdi").unwrap_err()),
        gone
    );
}

/// Checks that the start fails for this reason and leaves nothing.
fn assert_refused(system: &TestSystem, device: &str, reason: &str) {
    let line = system.fails(1, "qvm-start work");
    let expected = format!(
        "Error: Starting qube failed: work: cannot start work: its required {device} \
         cannot be used: "
    );
    assert!(
        line.starts_with(&expected) && line.contains(reason),
        "{line}"
    );
    assert!(!system.record("work").exists());
    assert!(!system.has_dirty_image("work"));
    assert_eq!(hypervisor().state(system.uuid("work")).unwrap(), None);
}

#[test]
fn a_qube_does_not_start_without_a_usable_required_disk() {
    let Some(system) = system_with_empty_guests() else {
        return;
    };
    create(&system, "work", "");
    create(&system, "other", "");
    let Some(free) = LoopDisk::with_sign("FREE", &["--read-only"]) else {
        return;
    };
    let port = free.port();
    let device = |port: &str| format!("block device dom0:{port}");

    let mounted = LoopMount::new(FileSystem::Ext4).unwrap();
    let source = Program::new("findmnt")
        .args(["--noheadings", "--output", "SOURCE"])
        .arg(mounted.path());
    let source = String::from_utf8(source.output().unwrap()).unwrap();
    let in_use = source.trim().trim_start_matches("/dev/");
    let option = |name: &str, value: &str| format!("<option name=\"{name}\">{value}</option>");
    let incomplete = "its assignment does not name a qube and a port";
    for (port, identity, options, reason) in [
        ("nosuchdisk", "*", String::new(), "it is not present"),
        (
            "null",
            "*",
            String::new(),
            "/dev/null is not a block device",
        ),
        (
            "_etc_passwd",
            "*",
            String::new(),
            "'_etc_passwd' is not the name of a dom0 port",
        ),
        (in_use, "*", String::new(), "dom0 uses it: it is mounted"),
        (
            &port,
            "dm-crypt:1234::b******",
            String::new(),
            "cannot check whether it is 'dm-crypt:1234::b******'",
        ),
        ("*", "dm-crypt:1234::b******", String::new(), incomplete),
        (
            &port,
            "*",
            option("read-only", "no"),
            "it is read-only, but option read-only is no",
        ),
        (
            &port,
            "*",
            option("read-only", "perhaps"),
            "option read-only is 'perhaps', expected yes or no",
        ),
        (
            &port,
            "*",
            option("devtype", "tape"),
            "option devtype is 'tape', expected disk or cdrom",
        ),
        (
            &port,
            "*",
            option("frontend-dev", "xvda"),
            "option frontend-dev is 'xvda', expected xvd or sd and a free letter",
        ),
    ] {
        assign(
            &system,
            "work",
            "block",
            &required(port, identity, &options),
        );
        assert_refused(&system, &device(port), reason);
    }
    let of_other = required("sda", "*", "").replace("dom0", "other");
    assign(&system, "work", "block", &of_other);
    assert_refused(
        &system,
        "block device other:sda",
        "this version attaches only devices of dom0",
    );
    assign(&system, "work", "usb", &required("2-1", "*", ""));
    assert_refused(
        &system,
        "usb device dom0:2-1",
        "this version attaches only block and PCI devices at a start",
    );

    // A device that is not required does not prevent a start.
    assign(
        &system,
        "work",
        "block",
        &required("nosuchdisk", "*", "").replace("\"required\"", "\"auto-attach\""),
    );
    system.succeeds("qvm-start work");
    system.succeeds("qvm-kill work");

    // Attached to another qube, then to none.
    for qube in ["work", "other"] {
        assign(&system, qube, "block", &required(&port, "*", READ_ONLY));
    }
    system.succeeds("qvm-start other");
    let line = system.fails(1, "qvm-start work");
    assert!(
        line.ends_with(&format!(
            "its required {} cannot be used: it is attached to other",
            device(&port)
        )),
        "{line}"
    );
    system.succeeds("qvm-kill other");
    system.succeeds("qvm-start work");
}

#[test]
fn a_qube_does_not_start_without_a_usable_required_pci_device() {
    let Some(system) = system_with_empty_guests() else {
        return;
    };
    create(&system, "work", "");
    for (port, identity, reason) in [
        ("ff_1f.7", "*", "it is not present"),
        ("ff_1f.7-00_00.0", "*", "it is not present"),
        ("*", "0xffff:0xffff::p020000", "it is not present"),
        ("none", "*", "'none' is not the name of a dom0 port"),
    ] {
        assign(&system, "work", "pci", &required(port, identity, ""));
        assert_refused(&system, &format!("pci device dom0:{port}"), reason);
    }
    // Only a device of this machine that no guest can have; one that a guest could have is never
    // tried.
    let devices = fs::read_dir("/sys/bus/pci/devices")
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path());
    let Some(unconfined) = devices
        .into_iter()
        .find(|device| !device.join("iommu_group").exists())
    else {
        return skip(
            "every PCI device of this machine could be given to a guest, or there is none",
        );
    };
    let address = unconfined
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .replace(':', "_");
    let device = format!("pci device dom0:{address}");
    assign(
        &system,
        "work",
        "pci",
        &required(&address, "0xffff:0xffff::p020000", ""),
    );
    assert_refused(&system, &device, "another device is present now, 0x");
    assign(&system, "work", "pci", &required(&address, "*", ""));
    assert_refused(&system, &device, "this machine has no IOMMU");
    let shown = system.succeeds("qubes-domain-xml work");
    assert!(
        shown.contains("<hostdev mode=\"subsystem\" type=\"pci\" managed=\"yes\">"),
        "{shown}"
    );
}
