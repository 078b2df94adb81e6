//! The values that the templates of domain XML use. They are decided before rendering.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::HypervisorError;
pub use crate::model::VirtMode;
use crate::storage::Attachment;

/// What executes a guest's instructions under QEMU. Xen does not use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Accelerator {
    /// The CPU, through KVM.
    #[serde(rename = "kvm")]
    Kvm,
    /// QEMU's translator, which works on every host but is slow.
    #[serde(rename = "qemu")]
    Tcg,
}

/// A kernel from dom0 that a guest boots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kernel {
    /// Path of the kernel image.
    pub image: PathBuf,
    /// Path of the initial ramdisk, if there is one.
    pub initrd: Option<PathBuf>,
    /// The command line; may be empty.
    pub cmdline: String,
}

/// A disk of the guest with the data of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// The volume's name.
    pub name: String,
    /// Whether `path` names a file or a device.
    pub kind: SourceKind,
    /// Path of the image file or device with the data.
    pub path: PathBuf,
    /// The last letter of the disk's name in the guest: `a` in `xvda` and `vda`.
    pub letter: char,
    /// The guest cannot write to the disk.
    pub read_only: bool,
}

/// The kind of a disk's source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// An image file.
    File,
    /// A block device.
    Block,
}

/// A block device that is assigned to the qube as required (`docs/spec/r4-devices.md` §5,
/// `docs/spec/r4-features.md` §6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlockDevice {
    /// Whether `path` names a file or a device.
    pub source: SourceKind,
    /// Path of the file or device in the backend.
    pub path: PathBuf,
    /// What the guest sees: a disk or a CD drive.
    pub kind: DeviceKind,
    /// The target in the domain XML, such as `xvdi`.
    pub target: String,
    /// The last letter of `target`.
    pub letter: char,
    /// The guest cannot write to the device.
    pub read_only: bool,
    /// The domain name of the backend qube; `None` for dom0.
    pub backend: Option<String>,
    /// The script that sets up the device in the backend.
    pub script: Option<PathBuf>,
}

/// The kind of a block device as the guest sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// A hard disk.
    Disk,
    /// A CD drive.
    Cdrom,
}

/// The network interface of a qube, connected to its netvm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkInterface {
    /// The domain name of the netvm.
    pub backend: String,
    /// MAC address of the guest's interface.
    pub mac: String,
    /// IPv4 address of the guest, dotted.
    pub ip: String,
    /// IPv6 address of the guest, if it has one.
    pub ip6: Option<String>,
    /// IPv4 address of the gateway, as the guest sees it (`visible_gateway`).
    pub gateway: String,
    /// IPv4 netmask, as the guest sees it (`visible_netmask`).
    pub netmask: String,
    /// IPv4 addresses of the two name servers.
    pub dns: [String; 2],
}

/// A PCI device that is assigned to the qube as required.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PciDevice {
    /// Domain (segment) number, hexadecimal.
    pub domain: String,
    /// Bus number, hexadecimal.
    pub bus: String,
    /// Slot (device) number, hexadecimal.
    pub slot: String,
    /// Function number, hexadecimal.
    pub function: String,
    /// The option `permissive` is set and not empty.
    pub permissive: bool,
    /// The option `no-strict-reset` is set and not empty.
    pub no_strict_reset: bool,
}

/// The properties of the host that the templates use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct HostDescription {
    /// `cpu family` of /proc/cpuinfo; 0 if unknown.
    pub cpu_family: u32,
    /// `model` of /proc/cpuinfo; 0 if unknown.
    pub cpu_model: u32,
    /// The feature `suspend-s0ix` of dom0 is set.
    pub suspend_s0ix: bool,
    /// The Xen lacks the additions of Qubes (see [`crate::hypervisor::toolstack`]).
    pub vanilla_xen: bool,
}

/// The user and group ID that QEMU runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct QemuUser {
    /// Numeric user id.
    pub uid: u32,
    /// Numeric group id.
    pub gid: u32,
}

/// The complete description of a domain: `vm` in the templates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DomainDescription {
    /// The domain name: the qube's name, with a suffix unless the store is the host's main store.
    pub name: String,
    /// The qube's name, which selects the templates of one qube.
    pub qube: String,
    /// The path of the store for the domain's metadata; `None` leaves it out.
    pub store: Option<String>,
    /// UUID of the domain, that of the qube in the store.
    #[serde(serialize_with = "as_text")]
    pub uuid: Uuid,
    /// Memory at the start, MiB.
    pub memory: u64,
    /// Maximum memory, MiB; 0 if the qube takes no part in memory balancing.
    pub maxmem: u64,
    /// Feature `memory-hotplug`: memory above `memory` is plugged in on demand.
    pub memory_hotplug: bool,
    /// Number of virtual processors.
    pub vcpus: u32,
    /// Virtualisation mode of the domain.
    pub virt_mode: VirtMode,
    /// The kernel; `None` if the guest boots from its disks.
    pub kernel: Option<Kernel>,
    /// Disks of the qube's volumes, sorted by letter.
    pub disks: Vec<Disk>,
    /// Block devices that are assigned as required.
    pub block_devices: Vec<BlockDevice>,
    /// Interface towards the netvm; `None` without a netvm.
    pub net: Option<NetworkInterface>,
    /// PCI devices that are assigned as required.
    pub pci: Vec<PciDevice>,
    /// The log file of the guest's console (QEMU only; Xen's console daemon has its own).
    pub console_log: Option<PathBuf>,
    /// The explicit and inherited features of the qube.
    pub features: BTreeMap<String, String>,
    /// Property `debug` of the qube.
    pub debug: bool,
    /// What executes the guest's instructions; only for QEMU.
    pub accelerator: Accelerator,
    /// The user that QEMU runs as. Set if libvirt's daemon runs as root: by default it runs QEMU as
    /// a user that cannot open the images, and changes their owner.
    pub owner: Option<QemuUser>,
    /// The domain ID of the running audio qube.
    pub audiovm_xid: Option<u32>,
    /// The domain name of the running GUI qube, unless that is dom0.
    pub guivm: Option<String>,
    /// Memory of the stub domain, MiB.
    pub stubdom_mem: Option<u64>,
}

fn as_text<S: Serializer>(uuid: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(uuid)
}

/// Returns the disks of a qube's volumes, which are given as name, attachment and writability. The
/// volumes root, private, volatile and kernel have the letters a to d, others follow from e to y.
/// Volumes with nothing to attach are left out.
///
/// # Errors
/// There are more volumes than letters.
pub fn disks_for_volumes<'a>(
    volumes: impl IntoIterator<Item = (&'a str, Attachment, bool)>,
) -> Result<Vec<Disk>, HypervisorError> {
    let mut free = 'e'..='y';
    let mut disks = Vec::new();
    for (name, attachment, writable) in volumes {
        let (kind, path) = match attachment {
            Attachment::File(path) => (SourceKind::File, path),
            Attachment::Device(path) => (SourceKind::Block, path),
            Attachment::None => continue,
        };
        let letter = match name {
            "root" => Some('a'),
            "private" => Some('b'),
            "volatile" => Some('c'),
            "kernel" => Some('d'),
            _ => free.next(),
        };
        let letter = letter.ok_or_else(|| HypervisorError::Refused {
            action: format!("describe volume {name}"),
            reason: "a qube can have 25 volumes at most".to_string(),
        })?;
        disks.push(Disk {
            name: name.to_string(),
            kind,
            path,
            letter,
            read_only: !writable,
        });
    }
    disks.sort_by_key(|disk| disk.letter);
    Ok(disks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_volume_gets_its_disk_letter() {
        let file = |name: &str| Attachment::File(PathBuf::from(format!("/images/{name}.img")));
        let disks = disks_for_volumes([
            ("kernel", Attachment::None, false),
            ("private", file("private"), true),
            (
                "extra",
                Attachment::Device(PathBuf::from("/dev/vg/extra")),
                true,
            ),
            ("root", file("root"), false),
        ])
        .unwrap();
        let seen: Vec<_> = disks
            .iter()
            .map(|d| (d.name.as_str(), d.letter, d.kind, d.read_only))
            .collect();
        assert_eq!(
            seen,
            [
                ("root", 'a', SourceKind::File, true),
                ("private", 'b', SourceKind::File, false),
                ("extra", 'e', SourceKind::Block, false)
            ]
        );
        let many: Vec<String> = (0..22).map(|n| format!("v{n}")).collect();
        let error =
            disks_for_volumes(many.iter().map(|n| (n.as_str(), file(n), true))).unwrap_err();
        assert!(error.to_string().contains("25 volumes"), "{error}");
    }
}
