//! What decisions ask of the machine and the hypervisor. [`LiveFacts`] ask when they are asked;
//! [`FrozenFacts`] answer from states that were fetched before the store was locked.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::qube::record;
use crate::fs::text_file;
use crate::hypervisor::uri::Family;
use crate::hypervisor::{DomainStatus, Hypervisor, HypervisorError, xenstore};
use crate::model::{Class, Facts, HostFacts, PowerState, Release, Stubdom, Vm, kernel_version};
use crate::system::System;

/// How long a query of domain states is reused.
const STATES_MAX_AGE: Duration = Duration::from_secs(1);

/// How many qubes are queried one by one before the states of all are fetched at once.
pub const MAX_SINGLE_QUERIES: usize = 4;

/// The machine: its memory, kernels, pools and configuration.
struct Host {
    system: System,
    thin_pool: OnceCell<Option<crate::storage::ThinPool>>,
    /// Contents of kernel files by path, without the root directory of the system: a thousand
    /// qubes share a few kernels.
    kernel_files: RefCell<HashMap<PathBuf, Option<String>>>,
}

impl Host {
    /// Returns the path of a file of a kernel, without the root directory of the system; `None` if
    /// `version` is not a plain file name.
    fn kernel_path(&self, kernels_dir: &str, version: &str, file: &str) -> Option<PathBuf> {
        let is_plain =
            !version.is_empty() && !version.contains('/') && version != "." && version != "..";
        is_plain.then(|| Path::new("/").join(kernels_dir).join(version).join(file))
    }
}

impl HostFacts for Host {
    fn memory_mib(&self) -> u64 {
        self.system.host_memory_mib()
    }

    fn cpus(&self) -> u32 {
        self.system.host_cpus()
    }

    fn is_kernel_installed(&self, kernels_dir: &str, version: &str) -> bool {
        self.kernel_path(kernels_dir, version, "vmlinuz")
            .is_some_and(|file| self.system.path_below_root(file).is_file())
    }

    fn newest_kernel(&self, kernels_dir: &str) -> Option<String> {
        let names = crate::fs::list_names(
            &self
                .system
                .path_below_root(Path::new("/").join(kernels_dir)),
        )
        .ok()?;
        let versions = names.into_iter().filter_map(|name| name.into_string().ok());
        let usable = versions.filter(|version| {
            !version.chars().any(|c| c.is_control() || c == '~')
                && self.is_kernel_installed(kernels_dir, version)
        });
        usable.max_by(|a, b| kernel_version::compare(a, b).then_with(|| a.cmp(b)))
    }

    fn kernel_file(&self, kernels_dir: &str, version: &str, file: &str) -> Option<String> {
        let path = self.kernel_path(kernels_dir, version, file)?;
        let mut known = self.kernel_files.borrow_mut();
        known
            .entry(path)
            .or_insert_with_key(|path| {
                text_file::read_owned(&self.system.path_below_root(path)).ok()
            })
            .clone()
    }

    fn release(&self) -> Release {
        self.system.release()
    }

    fn base_dir(&self) -> &str {
        "/var/lib/qubes"
    }

    /// Returns the thin pool of the root file system. Below `--root` the machine's own `/` says
    /// nothing about the system, so only the configured pool counts there.
    fn root_thin_pool(&self) -> Option<(Option<String>, String)> {
        if let Some(pool) = self.system.default_lvm_pool() {
            return Some((None, pool.to_owned()));
        }
        let found = self.thin_pool.get_or_init(|| match self.system.root() {
            None => crate::storage::find_thin_pool("/".as_ref()),
            Some(_) => None,
        });
        found
            .as_ref()
            .map(|pool| (Some(pool.group.clone()), pool.name.clone()))
    }

    fn can_reflink(&self, dir: &str) -> bool {
        crate::fs::clone_range::can_reflink(&nearest_existing(&self.system.path_below_root(dir)))
    }

    /// Returns whether device-mapper may be used. It is not, for a store below `--root` or of an
    /// ordinary user: those are for experiments, on any kernel.
    fn can_map_devices(&self) -> bool {
        let is_machine_store = self.system.is_superuser() && !self.system.is_foreign_store();
        is_machine_store && crate::storage::has_device_mapper()
    }

    fn dom0_maxmem_mib(&self) -> Option<u64> {
        let is_known = !self.system.is_offline() && self.system.is_xen();
        is_known
            .then(|| xenstore::dom0_maxmem_mib(self.system.program_path()))
            .flatten()
    }
}

/// Returns the directory, or the nearest one above it that exists.
fn nearest_existing(directory: &std::path::Path) -> std::path::PathBuf {
    directory
        .ancestors()
        .find(|d| d.is_dir())
        .unwrap_or(directory)
        .to_path_buf()
}

/// The states of all domains, as of `at`.
struct StatesSnapshot {
    at: Instant,
    states: Result<Rc<HashMap<Uuid, DomainStatus>>, HypervisorError>,
}

/// Facts that are asked of the machine and the hypervisor when they are needed.
pub struct LiveFacts {
    host: Host,
    hypervisor: Rc<Hypervisor>,
    states: RefCell<Option<StatesSnapshot>>,
    /// States of single domains, and when each was queried.
    single_states: RefCell<HashMap<Uuid, (Instant, Option<DomainStatus>)>>,
}

impl LiveFacts {
    /// Creates the facts of `system`, whose domains `hypervisor` runs.
    pub(super) fn new(system: System, hypervisor: Rc<Hypervisor>) -> LiveFacts {
        LiveFacts {
            host: Host {
                system,
                thin_pool: OnceCell::new(),
                kernel_files: RefCell::default(),
            },
            hypervisor,
            states: RefCell::default(),
            single_states: RefCell::default(),
        }
    }

    /// Fetches the states of all domains, for rules that are applied while the store is locked:
    /// nothing waits for the hypervisor under that lock. The caller holds the locks of the qubes
    /// that must not start or stop meanwhile.
    pub fn freeze(&self) -> FrozenFacts<'_> {
        let states = match self.host.system.is_offline() {
            true => Ok(HashMap::new()),
            false => self.hypervisor.states(),
        };
        FrozenFacts { live: self, states }
    }

    /// Returns the states of all domains, fetched in one call so that a listing shows one moment.
    /// They are reused for one second at most.
    ///
    /// # Errors
    /// The hypervisor cannot be asked.
    pub fn states(&self) -> Result<Rc<HashMap<Uuid, DomainStatus>>, HypervisorError> {
        if let Some(snapshot) = self
            .states
            .borrow()
            .as_ref()
            .filter(|snapshot| snapshot.at.elapsed() < STATES_MAX_AGE)
        {
            return snapshot.states.clone();
        }
        let states = self.hypervisor.states().map(Rc::new);
        self.states.replace(Some(StatesSnapshot {
            at: Instant::now(),
            states: states.clone(),
        }));
        states
    }

    /// Returns the live state of a qube for a listing; `None` if it is not running. The first
    /// [`MAX_SINGLE_QUERIES`] qubes are queried one by one, then all at once.
    ///
    /// # Errors
    /// The hypervisor cannot be asked.
    pub fn live(&self, vm: &Vm) -> Result<Option<DomainStatus>, HypervisorError> {
        let Some(uuid) = vm.uuid() else {
            return Ok(None);
        };
        if let Some(snapshot) = self
            .states
            .borrow()
            .as_ref()
            .filter(|snapshot| snapshot.at.elapsed() < STATES_MAX_AGE)
        {
            return snapshot
                .states
                .clone()
                .map(|states| states.get(&uuid).copied());
        }
        let mut single_states = self.single_states.borrow_mut();
        single_states.retain(|_, (at, _)| at.elapsed() < STATES_MAX_AGE);
        if let Some((_, live)) = single_states.get(&uuid) {
            return Ok(*live);
        }
        if single_states.len() >= MAX_SINGLE_QUERIES {
            return Ok(self.states()?.get(&uuid).copied());
        }
        match self.hypervisor.state(uuid) {
            Ok(live) => {
                let live = live.filter(|live| live.state.is_active());
                single_states.insert(uuid, (Instant::now(), live));
                Ok(live)
            }
            Err(error) => {
                // The hypervisor would not answer for another qube either.
                self.states.replace(Some(StatesSnapshot {
                    at: Instant::now(),
                    states: Err(error.clone()),
                }));
                Err(error)
            }
        }
    }

    /// Returns the power state to display and to apply rules of the store to. Offline every local
    /// guest is Halted.
    pub fn displayed_state(&self, vm: &Vm) -> PowerState {
        if !vm.class.is_local_guest() {
            return PowerState::Running;
        }
        if self.host.system.is_offline() {
            return PowerState::Halted;
        }
        match self.live(vm) {
            Ok(live) => live.map_or(PowerState::Halted, |l| l.state),
            Err(_shown_as_not_available) => PowerState::Unknown,
        }
    }

    /// Returns the power state for rules; `query` is how the hypervisor answers about a domain.
    /// Without a record nothing was started since the machine booted, so the qube is Halted even if
    /// the hypervisor cannot be asked (an installer has none).
    fn power_state_by(
        &self,
        vm: &Vm,
        query: impl FnOnce(Uuid) -> Result<Option<DomainStatus>, HypervisorError>,
    ) -> PowerState {
        let system = &self.host.system;
        if !vm.class.is_local_guest() || system.is_offline() {
            return self.displayed_state(vm);
        }
        match vm.uuid().map(query).transpose() {
            Ok(live) => live.flatten().map_or(PowerState::Halted, |l| l.state),
            Err(_) if !record::exists(system, &vm.name) => PowerState::Halted,
            Err(_) => PowerState::Unknown,
        }
    }
}

impl Facts for LiveFacts {
    fn host(&self) -> &dyn HostFacts {
        &self.host
    }

    fn power_state(&self, vm: &Vm) -> PowerState {
        self.power_state_by(vm, |uuid| self.hypervisor.state(uuid))
    }

    fn domain_id(&self, vm: &Vm) -> i64 {
        if vm.class == Class::AdminVM {
            return 0;
        }
        if self.host.system.is_offline() {
            return -1;
        }
        let id = self.live(vm).ok().flatten().and_then(|live| live.id);
        id.map_or(-1, i64::from)
    }

    /// Returns the stub domain of a qube; `None` without Xen, or if Xen does not report one.
    fn stubdom(&self, vm: &Vm) -> Option<Stubdom> {
        if self.host.system.is_offline() || Family::from_uri(self.hypervisor.uri()) != Family::Xen {
            return None;
        }
        let id = u32::try_from(self.domain_id(vm))
            .ok()
            .filter(|id| *id != 0)?;
        xenstore::find_stubdom(self.host.system.program_path(), id)
    }
}

/// Facts whose domain states were fetched before the store was locked.
pub struct FrozenFacts<'a> {
    live: &'a LiveFacts,
    states: Result<HashMap<Uuid, DomainStatus>, HypervisorError>,
}

impl Facts for FrozenFacts<'_> {
    fn host(&self) -> &dyn HostFacts {
        self.live.host()
    }

    fn power_state(&self, vm: &Vm) -> PowerState {
        self.live.power_state_by(vm, |uuid| match &self.states {
            Ok(states) => Ok(states.get(&uuid).copied()),
            Err(error) => Err(error.clone()),
        })
    }

    fn domain_id(&self, vm: &Vm) -> i64 {
        self.live.domain_id(vm)
    }

    fn stubdom(&self, vm: &Vm) -> Option<Stubdom> {
        self.live.stubdom(vm)
    }
}
