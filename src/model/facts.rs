//! Facts about the host that decisions depend on. The model itself opens nothing.

use super::power::PowerState;
use super::release::Release;
use super::vm::Vm;

/// The running domain that emulates devices for a qube.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stubdom {
    /// The domain id of the hypervisor.
    pub id: u32,
    /// The UUID of the domain.
    pub uuid: uuid::Uuid,
}

/// Facts about the host.
///
/// [`crate::lifecycle::facts`] answers from the machine and core.toml, and gathers each answer at
/// its first use.
pub trait HostFacts {
    /// Returns the memory of the host in MiB.
    fn memory_mib(&self) -> u64;
    /// Returns the number of processors of the host.
    fn cpus(&self) -> u32;
    /// Returns whether the kernel `version` is installed in `kernels_dir`, the directory of the
    /// kernel pool: whether it is a directory with `vmlinuz`.
    fn is_kernel_installed(&self, kernels_dir: &str, version: &str) -> bool;
    /// Returns the newest kernel installed in the directory of the kernel pool.
    fn newest_kernel(&self, _kernels_dir: &str) -> Option<String> {
        None
    }
    /// Returns the text of a file in a kernel's directory, such as `default-kernelopts-pci.txt`.
    fn kernel_file(&self, kernels_dir: &str, version: &str, file: &str) -> Option<String>;
    /// Returns the release that must be able to load the store.
    fn release(&self) -> Release;
    /// Returns the directory of the store and the built-in pools: `/var/lib/qubes`.
    fn base_dir(&self) -> &str;
    /// Returns the directory of the kernels of a new system. Upstream looks there for a kernel when
    /// one is set.
    fn default_kernels_dir(&self) -> String {
        format!("{}/vm-kernels", self.base_dir().trim_end_matches('/'))
    }
    /// Returns whether files below `dir` can share blocks. Decides how the first pool of a new
    /// store is set up.
    fn can_reflink(&self, dir: &str) -> bool;
    /// Returns whether qubes can use mapped devices, as driver `file` creates them: qubes of root
    /// on a kernel with a device mapper.
    fn can_map_devices(&self) -> bool {
        false
    }
    /// Returns the memory in MiB that dom0 may have at most (xenstore's `memory/static-max`).
    fn dom0_maxmem_mib(&self) -> Option<u64> {
        None
    }
    /// Returns the default LVM thin pool: its volume group, if known, and its name. It is
    /// `DEFAULT_LVM_POOL`, else the pool that holds `/` (`docs/spec/r4-properties.md` §2.1).
    fn root_thin_pool(&self) -> Option<(Option<String>, String)> {
        None
    }
}

/// Facts about the host and the running domains.
pub trait Facts {
    /// Returns the facts about the host.
    fn host(&self) -> &dyn HostFacts;
    /// Returns the power state of a qube. Offline, dom0 and remote qubes are Running, all others
    /// Halted.
    fn power_state(&self, vm: &Vm) -> PowerState;
    /// Returns the domain id of a running qube, −1 if there is none.
    fn domain_id(&self, vm: &Vm) -> i64;

    /// Returns when the domain was started, in seconds since 1970.
    fn start_time(&self, _vm: &Vm) -> Option<f64> {
        None
    }

    /// Returns the running stub domain of a qube.
    fn stubdom(&self, _vm: &Vm) -> Option<Stubdom> {
        None
    }
}
