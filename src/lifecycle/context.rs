//! The context of one invocation: the system it works on and the lazy connection to its hypervisor.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::LifecycleError;
use crate::fs::text_file;
use crate::hypervisor::uri::{Family, UriFacts, choose_uri};
use crate::hypervisor::xenstore;
use crate::hypervisor::{DomainStatus, Hypervisor, HypervisorError, LazyHypervisor, StoreIdentity};
use crate::lifecycle::conversion;
use crate::lifecycle::soundness;
use crate::model::kernel_version;
use crate::model::{Class, Facts, PowerState, Release, Stubdom, Vm};
use crate::store::{LockWait, Read, RestoreOutcome, StoreLocation, Write};
use crate::system::System;

/// How long a query of domain states is reused.
const STATES_MAX_AGE: Duration = Duration::from_secs(1);

/// How many qubes are queried one by one before the states of all are fetched at once.
pub const MAX_SINGLE_QUERIES: usize = 4;

/// The states of all domains, as of `at`.
struct StatesSnapshot {
    at: Instant,
    states: Result<Rc<HashMap<Uuid, DomainStatus>>, HypervisorError>,
}

/// The system with its hypervisor; the operations of this module are its methods.
pub struct Context {
    /// The paths and the configuration of the system.
    pub system: System,
    hypervisor: LazyHypervisor,
    states: RefCell<Option<StatesSnapshot>>,
    /// States of single domains, and when each was queried.
    single_states: RefCell<HashMap<Uuid, (Instant, Option<DomainStatus>)>>,
    thin_pool: OnceCell<Option<crate::storage::ThinPool>>,
    /// Contents of kernel files by path: a thousand qubes share a few kernels.
    kernel_files: RefCell<HashMap<PathBuf, Option<String>>>,
    /// States that were fetched before the store was locked: nothing waits for the hypervisor while
    /// it holds that lock.
    prefetched: RefCell<Option<Result<HashMap<Uuid, DomainStatus>, HypervisorError>>>,
    /// Whether damage of the store was reported already.
    pub(super) damage_reported: Rc<Cell<bool>>,
}

impl Context {
    /// Creates a context for `system`. The hypervisor is not contacted yet.
    pub fn new(system: System) -> Context {
        let uri = choose_uri(&UriFacts {
            configured: system.configured_uri(),
            is_xen: system.is_xen(),
            is_superuser: system.is_superuser(),
        })
        .to_string();
        let hypervisor = lazy_hypervisor(&system, uri);
        let (states, single_states) = (RefCell::default(), RefCell::default());
        let (kernel_files, prefetched, damage_reported) =
            (RefCell::default(), RefCell::default(), Rc::default());
        let thin_pool = OnceCell::new();
        Context {
            system,
            hypervisor,
            states,
            single_states,
            thin_pool,
            kernel_files,
            prefetched,
            damage_reported,
        }
    }

    /// Returns a context on the same system with its own connection, for use in another thread.
    pub fn fork(&self) -> Context {
        Context::new(self.system.clone())
    }

    /// Returns the location of the store and how to open it for writing.
    pub(super) fn store_place(&self) -> StoreLocation {
        StoreLocation {
            group: self.system.qubes_group(),
            ..self.read_place()
        }
    }

    /// Returns the location of the store and how to open it for reading. It names no group, since
    /// reading never sets one and looking up a group takes longer than reading the store.
    fn read_place(&self) -> StoreLocation {
        let system = &self.system;
        StoreLocation {
            file: system.store_file().to_path_buf(),
            run_dir: system.run_dir().clone(),
            backup_dir: system.backup_dir(),
            qubesd_socket: system.qubesd_socket(),
            group: None,
            wait: LockWait::up_to(system.lock_wait()).with_notifier(system.notifier()),
            force: system.is_forced(),
        }
    }

    /// Reads the store. Never waits for a writer.
    ///
    /// # Errors
    /// The store is missing or cannot be read.
    pub fn read(&self) -> Result<Read, LifecycleError> {
        Ok(Read::open(&self.read_place())?)
    }

    /// Opens the store for a change, under its write lock. A store of R1 to R3 is converted when it
    /// is saved, and existing damage is then reported in one line.
    ///
    /// # Errors
    /// The store is missing, cannot be read, or is locked for too long.
    pub fn write(&self) -> Result<Write, LifecycleError> {
        self.system
            .report_step(|| format!("locking {}", self.system.store_file().display()));
        let (mut write, _) = conversion::open_for_writing(self)?;
        soundness::guard_against_damage(self, &mut write);
        Ok(write)
    }

    /// Fetches the states of all domains before the store is locked, for rules that depend on the
    /// power state. The caller holds the locks of the qubes that must not start or stop meanwhile.
    pub(super) fn prefetch_states(&self) {
        if !self.system.is_offline() {
            self.prefetched.replace(Some(self.hypervisor.states()));
        }
    }

    /// Drops the prefetched states: later questions go to the hypervisor again.
    pub(super) fn drop_prefetched_states(&self) {
        self.prefetched.replace(None);
    }

    /// Returns whether the `lvm` program is installed.
    pub fn has_lvm(&self) -> bool {
        crate::exec::find_program("lvm", self.system.program_path()).is_some()
    }

    /// Replaces the store by `bytes`, even if the store is missing or cannot be read.
    ///
    /// # Errors
    /// The store cannot be locked or written.
    pub fn restore(&self, bytes: Vec<u8>) -> Result<RestoreOutcome, LifecycleError> {
        Ok(Write::restore(&self.store_place(), bytes)?)
    }

    /// Replaces the store by `bytes` if its content still is `expected`.
    ///
    /// # Errors
    /// The store was changed meanwhile, or cannot be locked or written.
    pub fn replace_store(
        &self,
        expected: &[u8],
        bytes: Vec<u8>,
    ) -> Result<RestoreOutcome, LifecycleError> {
        Ok(Write::restore_if_unchanged(
            &self.store_place(),
            expected,
            bytes,
        )?)
    }

    /// Returns the hypervisor. It is connected at the first call; offline every call is an error.
    pub fn hypervisor(&self) -> &dyn Hypervisor {
        &self.hypervisor
    }

    /// Returns a lazy connection to the hypervisor at `uri`, as a record names it.
    pub fn hypervisor_at(&self, uri: &str) -> LazyHypervisor {
        lazy_hypervisor(&self.system, uri.to_string())
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
        if self.system.is_offline() {
            return PowerState::Halted;
        }
        match self.live(vm) {
            Ok(live) => live.map_or(PowerState::Halted, |l| l.state),
            Err(_shown_as_not_available) => PowerState::Unknown,
        }
    }
}

impl Facts for Context {
    fn host_memory_mib(&self) -> u64 {
        self.system.host_memory_mib()
    }

    fn host_cpus(&self) -> u32 {
        self.system.host_cpus()
    }

    fn is_kernel_installed(&self, kernels_dir: &str, version: &str) -> bool {
        self.kernel_path(kernels_dir, version, "vmlinuz")
            .is_some_and(|file| file.is_file())
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
            .or_insert_with_key(|path| text_file::read_owned(path).ok())
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

    /// Returns the current power state, for rules. Without a record nothing was started since the
    /// machine booted, so the qube is Halted even if the hypervisor cannot be asked (an installer
    /// has none).
    fn power_state(&self, vm: &Vm) -> PowerState {
        if !vm.class.is_local_guest() || self.system.is_offline() {
            return self.displayed_state(vm);
        }
        let ask = |uuid| match &*self.prefetched.borrow() {
            Some(states) => states
                .as_ref()
                .map(|states| states.get(&uuid).copied())
                .map_err(Clone::clone),
            None => self.hypervisor.state(uuid),
        };
        match vm.uuid().map(ask).transpose() {
            Ok(live) => live.flatten().map_or(PowerState::Halted, |l| l.state),
            Err(_) if !crate::lifecycle::qube::record::exists(&self.system, &vm.name) => {
                PowerState::Halted
            }
            Err(_) => PowerState::Unknown,
        }
    }

    /// Returns the stub domain of a qube; `None` without Xen, or if Xen does not report one.
    fn stubdom(&self, vm: &Vm) -> Option<Stubdom> {
        if self.system.is_offline() || Family::from_uri(self.hypervisor.uri()) != Family::Xen {
            return None;
        }
        let id = u32::try_from(self.domain_id(vm))
            .ok()
            .filter(|id| *id != 0)?;
        xenstore::find_stubdom(self.system.program_path(), id)
    }

    fn dom0_maxmem_mib(&self) -> Option<u64> {
        let is_known = !self.system.is_offline() && self.system.is_xen();
        is_known
            .then(|| xenstore::dom0_maxmem_mib(self.system.program_path()))
            .flatten()
    }

    fn domain_id(&self, vm: &Vm) -> i64 {
        if vm.class == Class::AdminVM {
            return 0;
        }
        if self.system.is_offline() {
            return -1;
        }
        let id = self.live(vm).ok().flatten().and_then(|live| live.id);
        id.map_or(-1, i64::from)
    }
}

impl Context {
    /// Returns the path of a file of a kernel; `None` if `version` is not a plain file name.
    fn kernel_path(&self, kernels_dir: &str, version: &str, file: &str) -> Option<PathBuf> {
        let is_plain =
            !version.is_empty() && !version.contains('/') && version != "." && version != "..";
        is_plain.then(|| {
            self.system
                .path_below_root(Path::new("/").join(kernels_dir).join(version).join(file))
        })
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

/// Returns a connection to `uri` that is opened at the first call, for the domains of this store.
fn lazy_hypervisor(system: &System, uri: String) -> LazyHypervisor {
    let identity = StoreIdentity {
        suffix: system.domain_suffix(),
        store: system.store_file().to_string_lossy().into_owned(),
    };
    let hypervisor = if system.is_offline() {
        LazyHypervisor::offline(uri)
    } else {
        LazyHypervisor::new(uri)
    };
    hypervisor.for_store(identity)
}
