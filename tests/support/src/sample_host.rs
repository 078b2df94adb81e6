//! The facts of the host on which the samples in `tests/data/r4` were recorded: 32404 MiB of
//! memory, 16 processors, three kernels, all qubes halted. Tests change them as needed.

use std::collections::HashMap;

use qubes::model::{Class, Facts, HostFacts, PowerState, Release, Vm};

/// The facts of the sample host.
pub struct SampleHost {
    pub release: Release,
    pub can_reflink: bool,
    pub can_map_devices: bool,
    /// Power states of qubes that are not halted.
    pub states: HashMap<String, PowerState>,
    /// Files in the directory of every kernel.
    pub kernel_files: HashMap<String, String>,
}

impl Default for SampleHost {
    fn default() -> SampleHost {
        SampleHost {
            release: Release::R4_4,
            can_reflink: true,
            can_map_devices: false,
            states: HashMap::new(),
            kernel_files: HashMap::new(),
        }
    }
}

impl HostFacts for SampleHost {
    fn memory_mib(&self) -> u64 {
        32404
    }

    fn cpus(&self) -> u32 {
        16
    }

    fn is_kernel_installed(&self, kernels_dir: &str, version: &str) -> bool {
        kernels_dir == "/var/lib/qubes/vm-kernels"
            && ["6.6.77-1.fc37", "6.12.21-1.fc37", "5.15.124-1"].contains(&version)
    }

    fn kernel_file(&self, kernels_dir: &str, version: &str, file: &str) -> Option<String> {
        self.is_kernel_installed(kernels_dir, version)
            .then(|| self.kernel_files.get(file).cloned())
            .flatten()
    }

    fn release(&self) -> Release {
        self.release
    }

    fn base_dir(&self) -> &str {
        "/var/lib/qubes"
    }

    fn can_reflink(&self, _dir: &str) -> bool {
        self.can_reflink
    }

    fn can_map_devices(&self) -> bool {
        self.can_map_devices
    }
}

impl Facts for SampleHost {
    fn host(&self) -> &dyn HostFacts {
        self
    }

    fn power_state(&self, vm: &Vm) -> PowerState {
        let halted = match vm.class {
            Class::AdminVM | Class::RemoteVM => PowerState::Running,
            _ => PowerState::Halted,
        };
        self.states.get(vm.name.as_str()).copied().unwrap_or(halted)
    }

    fn domain_id(&self, vm: &Vm) -> i64 {
        if vm.class == Class::AdminVM { 0 } else { -1 }
    }
}
