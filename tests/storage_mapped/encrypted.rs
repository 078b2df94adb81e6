//! Volatile volumes of each driver, encrypted with a temporary key.

use std::fs;
use std::path::Path;

use qubes::exec::Program;
use qubes::model::{Pool, Pools, TextMap};
use qubes::storage::{Attachment, LoopDevice, PoolDrivers, VmStorage, Volume};
use qubes::system::{System, SystemOptions};
use tempfile::TempDir;

use crate::place::{MIB, eventually, is_the_machine, mapped, text_in, write_at};

const SECRET: &str = "what I do not";

struct Machine {
    root: TempDir,
    system: System,
    pools: Pools,
    _disk: LoopDevice,
}

impl Machine {
    /// Creates a system with a pool of each driver.
    fn new() -> Option<Machine> {
        if !is_the_machine() {
            return None;
        }
        let root = tempfile::tempdir().unwrap();
        let pool = |attributes: &[(&str, &str)]| Pool {
            attributes: attributes.iter().copied().collect::<TextMap>(),
        };
        let pools = Pools(vec![
            pool(&[
                ("name", "copies"),
                ("dir_path", "/copies"),
                ("driver", "file-reflink"),
                ("setup_check", "no"),
            ]),
            pool(&[
                ("name", "files"),
                ("dir_path", "/files"),
                ("driver", "file"),
            ]),
            pool(&[
                ("name", "thin"),
                ("volume_group", "secrets"),
                ("thin_pool", "pool"),
                ("driver", "lvm_thin"),
            ]),
        ]);
        let system = System::new(SystemOptions {
            root: Some(root.path().into()),
            ..SystemOptions::default()
        })
        .unwrap();
        let image = root.path().join("disk");
        fs::File::create(&image)
            .unwrap()
            .set_len(256 * MIB)
            .unwrap();
        let disk = LoopDevice::attach(&image, true).unwrap();
        Program::new("vgcreate")
            .args(["-qq", "secrets"])
            .arg(disk.path())
            .output()
            .unwrap();
        Program::new("lvcreate")
            .args(["-qq", "-L", "128M", "-T", "secrets/pool"])
            .output()
            .unwrap();
        let mut drivers = PoolDrivers::new(&pools, &system);
        for name in ["copies", "files", "thin"] {
            drivers.get(name).unwrap().setup().unwrap();
        }
        drop(drivers);
        Some(Machine {
            root,
            system,
            pools,
            _disk: disk,
        })
    }

    fn storage(&self, pool: &str, ephemeral: bool) -> VmStorage {
        let vid = if pool == "thin" {
            "secrets/vm-a_b-c-volatile"
        } else {
            "appvms/a_b-c/volatile"
        };
        let volume = Volume {
            owner: "a_b-c".into(),
            name: "volatile".into(),
            pool: pool.into(),
            vid: vid.into(),
            save_on_stop: false,
            rw: true,
            size: 8 * MIB,
            ephemeral,
            ..Volume::default()
        };
        VmStorage::new(
            "a_b-c",
            vec![volume],
            &mut PoolDrivers::new(&self.pools, &self.system),
        )
        .unwrap()
    }

    fn path_below(&self, pool: &str) -> std::path::PathBuf {
        match pool {
            "copies" => self
                .root
                .path()
                .join("copies/appvms/a_b-c/volatile-dirty.img"),
            "files" => self.root.path().join("files/appvms/a_b-c/volatile.img"),
            _ => "/dev/mapper/secrets-vm--a_b--c--volatile".into(),
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for crypt in crypts() {
            let _gone = Program::new("dmsetup").args(["remove", &crypt]).output();
        }
        let _gone = Program::new("vgremove")
            .args(["-f", "-qq", "secrets"])
            .output();
    }
}

fn crypts() -> Vec<String> {
    mapped()
        .into_iter()
        .filter(|name| name.contains("crypt"))
        .collect()
}

fn holds(file: &Path, text: &str) -> bool {
    fs::read(file)
        .unwrap()
        .windows(text.len())
        .any(|bytes| bytes == text.as_bytes())
}

#[test]
fn data_of_a_guest_are_unreadable_on_disk_and_lost_with_the_mapping() {
    let Some(machine) = Machine::new() else {
        return;
    };
    for pool in ["copies", "files", "thin"] {
        let storage = machine.storage(pool, true);
        storage.create().unwrap();
        // Also a mapping that a crash has left, over the previous image.
        for _ in 0..2 {
            let _started = storage.start().unwrap();
        }
        let disks = storage.attachments().unwrap();
        let Attachment::Device(disk) = &disks[0].1 else {
            panic!("{disks:?}")
        };
        let name = disk.file_name().unwrap().to_str().unwrap();
        let expected = match pool {
            "thin" => "secrets-vm--a_b--c--volatile@crypt".to_string(),
            // A store other than the system's has its own names.
            _ => format!(
                "vm-volatile-a_ub_dc-crypt@volatile{}",
                machine.system.domain_suffix()
            ),
        };
        assert_eq!(
            (name, crypts()),
            (expected.as_str(), vec![expected.clone()])
        );
        let table = Program::new("dmsetup")
            .args(["table", name])
            .output()
            .unwrap();
        let table = String::from_utf8(table).unwrap();
        assert!(
            table.contains(" crypt aes-xts-plain64 ") && table.starts_with("0 16384 "),
            "{table}"
        );
        assert!(
            fs::read(disk).unwrap()[..64 << 10]
                .iter()
                .all(|byte| *byte == 0),
            "{pool}: not noise but nothing"
        );

        write_at(disk, SECRET, 2 * MIB);
        assert_eq!(text_in(disk, 2 * MIB), SECRET);
        // The kernel may cache other data of the device below than it has.
        Program::new("sync").output().unwrap();
        fs::write("/proc/sys/vm/drop_caches", "3").unwrap();
        let below = machine.path_below(pool);
        assert!(!holds(&below, SECRET), "{pool}: it is on the disk");
        // It does contain what is written to it unencrypted.
        assert!(
            fs::read(&below).unwrap()[2 * MIB as usize..][..16]
                .iter()
                .any(|byte| *byte != 0)
        );

        storage.stop().unwrap();
        assert_eq!(crypts(), [""; 0]);
        assert!(!below.exists(), "{pool}");
        storage.remove(&Default::default()).unwrap();
    }
    eventually("loop devices are left", || {
        let output = Program::new("losetup")
            .args(["-n", "-O", "BACK-FILE"])
            .output()
            .unwrap();
        !String::from_utf8_lossy(&output).contains("volatile")
    });
}

#[test]
fn a_mapping_is_closed_after_its_option_is_unset_and_at_a_rollback() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let (secret, open) = (
        machine.storage("copies", true),
        machine.storage("copies", false),
    );
    secret.create().unwrap();
    let started = secret.start().unwrap();
    secret.roll_back(&started).unwrap();
    assert_eq!(crypts(), [""; 0]);
    let _started = secret.start().unwrap();
    // The option is unset meanwhile.
    open.stop().unwrap();
    assert_eq!(crypts(), [""; 0]);
    let _started = open.start().unwrap();
    assert!(matches!(
        open.attachments().unwrap()[0].1,
        Attachment::File(_)
    ));
    assert_eq!(crypts(), [""; 0]);
    open.remove(&Default::default()).unwrap();
}

#[test]
fn without_cryptsetup_an_ephemeral_volume_does_not_start() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let (program, aside) = ("/usr/sbin/cryptsetup", "/usr/sbin/cryptsetup.aside");
    let storage = machine.storage("copies", true);
    storage.create().unwrap();
    fs::rename(program, aside).unwrap();
    let refused = storage.start().map(|_| ()).unwrap_err().to_string();
    fs::rename(aside, program).unwrap();
    assert!(
        refused.contains("cannot encrypt it with a throw-away key: cannot run cryptsetup: "),
        "{refused}"
    );
    assert!(!machine.path_below("copies").exists());
}
