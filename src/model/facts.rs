//! What a decision may need to know of the world; the model itself opens nothing.

use super::power::PowerState;
use super::release::Release;
use super::vm::Vm;

/// The running domain that emulates devices for a qube.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stubdom {
    /// The hypervisor's number.
    pub id: u32,
    pub uuid: uuid::Uuid,
}

/// The world as far as the rules and defaults ask for it. [`crate::system`] answers from the
/// machine and core.toml, each answer gathered when first asked for.
pub trait Facts {
    /// Memory of the host in MiB.
    fn host_memory_mib(&self) -> u64;
    /// Processors of the host.
    fn host_cpus(&self) -> u32;
    /// Whether the kernel `version` is installed below the directory of the kernel pool: a
    /// directory with `vmlinuz`.
    fn is_kernel_installed(&self, kernels_dir: &str, version: &str) -> bool;
    /// The newest kernel installed below the directory of the kernel pool.
    fn newest_kernel(&self, _kernels_dir: &str) -> Option<String> {
        None
    }
    /// The text of a file in a kernel's directory (`default-kernelopts-pci.txt` and its like).
    fn kernel_file(&self, kernels_dir: &str, version: &str, file: &str) -> Option<String>;
    /// The release whose upstream must be able to load what is written.
    fn release(&self) -> Release;
    /// The directory of built-in things of dom0 that hold the store: `/var/lib/qubes`.
    fn base_dir(&self) -> &str;
    /// Whether files below `dir` can share blocks (decides how a new store's first pool is set up).
    fn can_reflink(&self, dir: &str) -> bool;
    /// Whether qubes of this system can run on mapped devices, as driver `file` makes them: root's
    /// qubes on a kernel with a device mapper.
    fn can_map_devices(&self) -> bool {
        false
    }
    /// The power state of a qube; offline every qube is Halted, dom0 and remote ones Running.
    fn power_state(&self, vm: &Vm) -> PowerState;
    /// The live number that xenstore or libvirt knows: domain id, start time. −1 and `None` when
    /// there is none.
    fn domain_id(&self, vm: &Vm) -> i64;

    /// Memory that the hypervisor lets dom0 have, MiB (xenstore's `memory/static-max`).
    fn dom0_maxmem_mib(&self) -> Option<u64> {
        None
    }

    /// When the running domain was started, seconds since 1970.
    fn start_time(&self, _vm: &Vm) -> Option<f64> {
        None
    }

    /// The running stub domain of a qube.
    fn stubdom(&self, _vm: &Vm) -> Option<Stubdom> {
        None
    }

    /// The LVM thin pool that is the default: volume group, where it is known, and pool.
    /// `DEFAULT_LVM_POOL`, else the one that holds `/` (`docs/spec/r4-properties.md` §2.1).
    fn root_thin_pool(&self) -> Option<(Option<String>, String)> {
        None
    }
}
