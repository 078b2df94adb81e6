//! Attaches disks to a running qube and detaches them. Runs inside the lab, where the qube `pvh`
//! runs on a real Xen and prints the disks that it sees to its console.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use qubes::exec::Program;
use qubes::hypervisor::description::DeviceKind;
use qubes::lifecycle::qube::Drive;
use qubes::lifecycle::{Context, qube};
use qubes::model::VmName;
use qubes::system::{System, SystemOptions};

/// The checks with their names.
pub const CHECKS: [(&str, fn()); 3] = [
    (
        "an image file is attached and detached",
        an_image_is_attached_and_detached,
    ),
    (
        "a logical volume is attached and detached",
        a_device_is_attached_and_detached,
    ),
    (
        "impossible attachments and detachments are refused",
        refusals,
    ),
];

fn an_image_is_attached_and_detached() {
    fs::write("/lab/stick.img", "HELLO-FROM-THE-STICK").unwrap();
    fs::File::options()
        .write(true)
        .open("/lab/stick.img")
        .unwrap()
        .set_len(4 << 20)
        .unwrap();
    attach_and_detach("dom0:/lab/stick.img", "HELLO-FROM-THE-STICK");
    let left = Program::new("losetup")
        .args(["-n", "-O", "BACK-FILE"])
        .output()
        .unwrap();
    assert!(
        !String::from_utf8(left).unwrap().contains("stick.img"),
        "a loop device is left"
    );
}

fn a_device_is_attached_and_detached() {
    Program::new("lvcreate")
        .args(["-qq", "-L", "4M", "-n", "stick", "qubes_dom0"])
        .output()
        .unwrap();
    fs::write("/dev/qubes_dom0/stick", "HELLO-FROM-A-VOLUME").unwrap();
    attach_and_detach("dom0:/dev/qubes_dom0/stick", "HELLO-FROM-A-VOLUME");
    Program::new("lvremove")
        .args(["-qq", "-f", "qubes_dom0/stick"])
        .output()
        .unwrap();
}

fn attach_and_detach(drive: &str, words: &str) {
    let (context, qube) = (context(), qube());
    let before = qube::disks(&context, &qube).unwrap();
    let target = qube::attach_drive(
        &context,
        &qube,
        &Drive::parse(drive, DeviceKind::Disk).unwrap(),
    )
    .unwrap();
    assert_eq!(target, "xvdi");
    guest_says(&format!("GUEST-READS xvdi {words}"));
    assert_eq!(
        qube::disks(&context, &qube).unwrap().len(),
        before.len() + 1
    );
    qube::detach_drive(&context, &qube, &target).unwrap();
    guest_says("GUEST-LOST xvdi");
    assert_eq!(qube::disks(&context, &qube).unwrap(), before);
    fs::write(CONSOLE, "").unwrap();
}

fn refusals() {
    let (context, qube) = (context(), qube());
    let refusal = |error: qubes::lifecycle::LifecycleError| error.to_string();
    let attach = |drive: &str| {
        qube::attach_drive(
            &context,
            &qube,
            &Drive::parse(drive, DeviceKind::Disk).unwrap(),
        )
    };
    assert_eq!(
        refusal(attach("dom0:/lab/missing.img").unwrap_err()),
        "drive /lab/missing.img: No such file or directory (os error 2)"
    );
    for target in ["xvda", "xvdi"] {
        let expected = format!("drive pvh:{target}: no such disk was attached to the qube");
        assert_eq!(
            refusal(qube::detach_drive(&context, &qube, target).unwrap_err()),
            expected
        );
    }
    let halted = VmName::from_store("debian").unwrap();
    let drive = Drive::parse("dom0:/lab/stick.img", DeviceKind::Disk).unwrap();
    assert!(
        refusal(qube::attach_drive(&context, &halted, &drive).unwrap_err())
            .starts_with("Domain not running")
    );
    assert!(refusal(qube::disks(&context, &halted).unwrap_err()).starts_with("Domain not running"));
}

const CONSOLE: &str = "/var/log/xen/console/guest-pvh.log";

fn context() -> Context {
    Context::new(System::new(SystemOptions::default()).unwrap())
}

fn qube() -> VmName {
    VmName::from_store("pvh").unwrap()
}

/// Waits for the guest to print these words.
fn guest_says(words: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let console = fs::read(Path::new(CONSOLE)).unwrap();
        if String::from_utf8_lossy(&console).contains(words) {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "the guest did not print '{words}', but: {}",
            String::from_utf8_lossy(&console)
        );
        thread::sleep(Duration::from_millis(200));
    }
}
