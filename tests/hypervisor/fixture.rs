//! The domain of one test: its description, its files, and its removal.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use qubes::hypervisor::description::{
    Disk, DomainDescription, HostDescription, Kernel, SourceKind, VirtMode,
};
use qubes::hypervisor::{Accelerator, Family, Hypervisor, Templates, owner_for_image};
use qubes::model::PowerState;
use qubes_test_support::{libvirt_daemon, tiny_guest};
use tempfile::TempDir;
use uuid::Uuid;

pub const LONG: Duration = Duration::from_secs(120);

/// A domain of one test. It is killed and undefined when dropped, also after a panic.
pub struct Domain {
    pub hypervisor: Hypervisor,
    pub description: DomainDescription,
    pub place: TempDir,
}

impl Domain {
    pub fn new() -> Domain {
        Domain::at(libvirt_daemon::uri().expect("libvirt is running"))
    }

    pub fn at(uri: &str) -> Domain {
        let place = tempfile::tempdir().unwrap();
        let kernel = place.path().join("kernel");
        fs::write(&kernel, tiny_guest::KERNEL).unwrap();
        let image = place.path().join("root.img");
        fs::File::create(&image).unwrap().set_len(1 << 20).unwrap();
        let uuid = Uuid::new_v4();
        let description = DomainDescription {
            name: format!("test-{}", uuid.simple()),
            qube: "test".to_string(),
            store: None,
            uuid,
            memory: 32,
            maxmem: 64,
            memory_hotplug: false,
            vcpus: 1,
            virt_mode: VirtMode::Pvh,
            kernel: Some(Kernel {
                image: kernel,
                initrd: None,
                cmdline: String::new(),
            }),
            owner: (uri == "qemu:///system").then(|| owner_for_image(&image).unwrap()),
            disks: vec![Disk {
                name: "root".to_string(),
                kind: SourceKind::File,
                path: image,
                letter: 'a',
                read_only: false,
            }],
            block_devices: Vec::new(),
            net: None,
            pci: Vec::new(),
            console_log: Some(place.path().join("console.log")),
            features: Default::default(),
            debug: false,
            accelerator: Accelerator::Tcg,
            audiovm_xid: None,
            guivm: None,
            stubdom_mem: None,
        };
        Domain {
            hypervisor: Hypervisor::new(uri),
            description,
            place,
        }
    }

    pub fn uuid(&self) -> Uuid {
        self.description.uuid
    }

    pub fn xml(&self) -> String {
        let templates = Templates::new(
            self.place.path().join("etc"),
            self.place.path().join("share"),
        );
        templates
            .render(Family::Qemu, &self.description, &HostDescription::default())
            .unwrap()
    }

    pub fn create_paused(&self) {
        self.hypervisor
            .create_paused(self.uuid(), &self.xml())
            .unwrap();
    }

    /// Starts the domain and waits for its greeting.
    pub fn start(&self) {
        self.create_paused();
        self.hypervisor.resume(self.uuid()).unwrap();
        self.wait_for_greeting();
    }

    pub fn state(&self) -> Option<PowerState> {
        self.hypervisor
            .state(self.uuid())
            .unwrap()
            .map(|status| status.state)
    }

    pub fn console(&self) -> PathBuf {
        self.place.path().join("console.log")
    }

    pub fn wait_for_greeting(&self) {
        let deadline = Instant::now() + LONG;
        while !fs::read_to_string(self.console())
            .is_ok_and(|text| text.contains(tiny_guest::GREETING))
        {
            assert!(Instant::now() < deadline, "the guest printed no greeting");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns whether the domain is defined.
    pub fn is_defined(&self) -> bool {
        self.state().is_some()
    }
}

impl Drop for Domain {
    fn drop(&mut self) {
        let _stopped = self.hypervisor.destroy(self.uuid());
        let _undefined = self.hypervisor.undefine(self.uuid());
    }
}
