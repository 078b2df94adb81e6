//! Volumes of running qubes.

use std::fs;
use std::path::Path;
use std::process::Command;

use qubes_test_support::{ToolOutput, libvirt_daemon, skip, tool_output};

use crate::system::{MIB, System, random_bytes};

/// A qube whose machine halts in its firmware, which is all that these tests need of a guest.
pub struct Live {
    pub system: System,
}

impl Live {
    pub fn new() -> Option<Live> {
        if let Err(reason) = libvirt_daemon::uri() {
            skip(format_args!("no libvirt: {reason}"));
            return None;
        }
        let system = System::new();
        let live = Live { system };
        live.allow_start_without_system("work");
        Some(live)
    }

    /// Lets a qube start although nothing on its disks can boot.
    pub fn allow_start_without_system(&self, qube: &str) {
        for setting in ["virt_mode hvm", "memory 64", "maxmem 0", "vcpus 1"] {
            self.system.ok(format!("qvm-prefs {qube} {setting}"));
        }
        for property in ["kernel", "netvm"] {
            self.system.ok(["qvm-prefs", qube, property, ""]);
        }
    }

    pub fn command(&self, line: &str) -> Command {
        let mut command = self.system.command(line);
        command.env_remove("QUBES_OFFLINE");
        command
    }

    pub fn run(&self, line: &str) -> ToolOutput {
        tool_output::run(&mut self.command(line))
    }

    pub fn ok(&self, line: &str) {
        let ran = self.run(line);
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
    }
}

impl Live {
    /// Returns the disk's size by the machine, which does not look at the image again by itself.
    fn size_for_the_guest(&self, image: &Path) -> u64 {
        let uuid = self.run("qvm-prefs work uuid").stdout;
        let hypervisor =
            virt::connect::Connect::open(Some(libvirt_daemon::uri().unwrap())).unwrap();
        let domain = virt::domain::Domain::lookup_by_uuid_string(&hypervisor, uuid.trim()).unwrap();
        domain
            .get_block_info(image.to_str().unwrap(), 0)
            .unwrap()
            .capacity
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.run("qvm-kill work");
        self.run("qvm-remove -f work");
    }
}

#[test]
fn a_running_qubes_disk_grows_at_once_and_its_data_are_not_replaced() {
    let Some(live) = Live::new() else { return };
    let data = random_bytes(4 * MIB, 1);
    let file = live.system.file("data", &data);
    let file = file.display();
    live.ok(&format!("qvm-volume import work:private {file}"));
    live.ok("qvm-start work");
    let dirty = live.system.image("appvms/work/private-dirty.img");

    let grown = live.run("qvm-volume resize work:private 8MiB");
    assert_eq!(grown.code, 0, "{grown:?}");
    assert_eq!(
        grown.stderr,
        "work: its disk has 8388608 bytes now; its file system is made larger by running in it: \
         echo private | sudo /etc/qubes-rpc/qubes.ResizeDisk\n"
    );
    assert_eq!(fs::metadata(&dirty).unwrap().len(), 8 * MIB);
    assert_eq!(live.size_for_the_guest(&dirty), 8 * MIB);
    assert_eq!(
        live.system
            .stored_attribute("work", "private", "size")
            .unwrap(),
        (8 * MIB).to_string()
    );

    let cases = [
        (
            format!("qvm-volume import work:private {file}"),
            "Domain is not powered off: 'work'",
        ),
        (
            "qvm-volume clear -f work:private".to_string(),
            "Domain is not powered off: 'work'",
        ),
        (
            "qvm-volume clone -f tpl:private work:private".to_string(),
            "Domain is not powered off: 'work'",
        ),
        (
            "qvm-volume config work:private revisions_to_keep -1".to_string(),
            "only while work is halted",
        ),
        (
            "qvm-volume config work:private rw False".to_string(),
            "only while work is halted",
        ),
    ];
    for (line, words) in cases {
        let refused = live.run(&line);
        assert_eq!(
            (refused.code, refused.stderr.lines().count()),
            (1, 1),
            "{line}: {refused:?}"
        );
        assert!(refused.stderr.contains(words), "{line}: {refused:?}");
    }
    live.ok("qvm-volume config work:private revisions_to_keep 2");
    // A running qube can be cloned in its last committed state.
    live.ok("qvm-volume clone -f work:private tpl:private");
    assert!(live.system.bytes("vm-templates/tpl/private.img") == data);

    live.ok("qvm-kill work");
    let image = live.system.bytes("appvms/work/private.img");
    assert!(image.len() as u64 == 8 * MIB && image.starts_with(&data));
    let reverted = live.run("qvm-volume revert work:private");
    assert_eq!(reverted.code, 0, "{reverted:?}");
    assert!(live.system.bytes("appvms/work/private.img") == data);
}

#[test]
fn a_qube_that_starts_during_an_import_keeps_its_data() {
    use std::io::Write as _;
    use std::process::Stdio;
    let Some(live) = Live::new() else { return };
    let old = random_bytes(MIB, 1);
    let file = live.system.file("data", &old);
    live.ok(&format!(
        "qvm-volume import work:private {}",
        file.display()
    ));
    for stops_again in [false, true] {
        let mut import = live.command("qvm-volume import work:private -");
        let mut import = import
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = import.stdin.take().unwrap();
        pipe.write_all(&random_bytes(4 * MIB, 2)).unwrap();
        live.ok("qvm-start work");
        if stops_again {
            live.ok("qvm-kill work");
        }
        drop(pipe);
        let import = tool_output::wait_for(import);
        assert_eq!(import.code, 1, "{import:?}");
        let words = "Error: work:private: nothing was imported: the qube was started";
        assert!(
            import.stderr.starts_with(words) && import.stderr.lines().count() == 1,
            "{import:?}"
        );
        live.ok("qvm-kill work");
        assert!(
            live.system
                .bytes("appvms/work/private.img")
                .starts_with(&old[..])
        );
    }
}

/// Each start creates the image of an unsaved volume anew, here in the place of data.
#[test]
fn a_qube_does_not_start_over_another_volumes_image() {
    let Some(live) = Live::new() else { return };
    live.ok("qvm-create -l red vault");
    live.allow_start_without_system("vault");
    let data = live.system.file("data", &random_bytes(MIB, 1));
    live.ok(&format!(
        "qvm-volume import work:private {}",
        data.display()
    ));
    let before = live.system.bytes("appvms/work/private.img");
    let (store, file) = (live.system.store(), live.system.image("qubes.xml"));
    for volume in ["root", "private", "volatile"] {
        let vid = format!("vid=\"appvms/vault/{volume}\"");
        assert!(store.contains(&vid), "{volume}");
        fs::write(&file, store.replace(&vid, "vid=\"appvms/work/private\"")).unwrap();
        let ran = live.run("qvm-start vault");
        assert!(
            ran.code != 0 && ran.stderr.contains("has the image of volume work:private"),
            "{volume}: {ran:?}"
        );
        assert!(
            live.system.bytes("appvms/work/private.img") == before,
            "{volume}"
        );
    }
    fs::write(&file, &store).unwrap();
    live.ok("qvm-remove -f vault");
}

#[test]
fn a_qube_does_not_start_over_an_image_that_no_start_of_it_made() {
    let Some(live) = Live::new() else { return };
    let (image, data) = (
        live.system.image("appvms/work/root.img"),
        random_bytes(MIB, 1),
    );
    fs::write(&image, &data).unwrap();
    let refused = live.run("qvm-start work");
    let words = format!(
        "Error: Starting qube failed: work: volume work:root: {} was not made by a run of it and \
         may be wanted",
        image.display()
    );
    assert!(
        refused.code == 1 && refused.stderr.starts_with(&words),
        "{refused:?}"
    );
    assert_eq!(refused.stderr.lines().count(), 1, "{refused:?}");
    assert!(fs::read(&image).unwrap() == data);
    // As the message advises.
    fs::rename(&image, live.system.path("/moved.img")).unwrap();
    live.ok("qvm-start work");
    live.ok("qvm-kill work");
    let images = live.system.names("appvms/work");
    assert!(
        images.iter().all(|name| name.starts_with("private")),
        "{images:?}"
    );
}
