//! One invocation: the system it works on and the hypervisor it may come to ask.

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
use crate::hypervisor::{Hypervisor, HypervisorError, LazyHypervisor, Live, StoreIdentity};
use crate::model::kernel_version;
use crate::model::{Class, Facts, PowerState, Release, Stubdom, Vm};
use crate::store::{Read, Restored, StorePlace, Wait, Write};
use crate::system::System;

/// How long what was seen of all domains counts as one look.
const STATES_MAX_AGE: Duration = Duration::from_secs(1);

/// So many qubes are asked for one by one.
pub const MAX_SINGLE_QUERIES: usize = 4;

/// What the hypervisor said of all domains.
struct Seen {
    at: Instant,
    states: Result<Rc<HashMap<Uuid, Live>>, HypervisorError>,
}

/// The system with its hypervisor: what every verb is called on.
pub struct Session {
    pub system: System,
    hypervisor: LazyHypervisor,
    states: RefCell<Option<Seen>>,
    /// What it said of single domains, and when.
    few: RefCell<HashMap<Uuid, (Instant, Option<Live>)>>,
    thin_pool: OnceCell<Option<crate::storage::ThinPool>>,
    /// Files of kernels that were asked for: a thousand qubes share a few.
    kernel_files: RefCell<HashMap<PathBuf, Option<String>>>,
    /// What the hypervisor said before the database was locked: nobody waits for it under that
    /// lock.
    gathered: RefCell<Option<Result<HashMap<Uuid, Live>, HypervisorError>>>,
    /// Whether it was told that the store is damaged.
    pub(super) damage_reported: Rc<Cell<bool>>,
}

impl Session {
    pub fn new(system: System) -> Session {
        let uri = choose_uri(&UriFacts {
            configured: system.configured_uri(),
            is_xen: system.is_xen(),
            is_superuser: system.is_superuser(),
        })
        .to_string();
        let hypervisor = lazy_hypervisor(&system, uri);
        let (states, few) = (RefCell::default(), RefCell::default());
        let (kernel_files, gathered, damage_reported) =
            (RefCell::default(), RefCell::default(), Rc::default());
        let thin_pool = OnceCell::new();
        Session {
            system,
            hypervisor,
            states,
            few,
            thin_pool,
            kernel_files,
            gathered,
            damage_reported,
        }
    }

    /// The same place with a connection of its own, for another thread.
    pub fn fork(&self) -> Session {
        Session::new(self.system.clone())
    }

    /// The store and how to treat it, for a transaction that may write.
    pub(super) fn store_place(&self) -> StorePlace {
        StorePlace {
            group: self.system.qubes_group(),
            ..self.read_place()
        }
    }

    /// The same for reading, which gives no file to anybody: looking up a group costs more than
    /// reading the store.
    fn read_place(&self) -> StorePlace {
        let system = &self.system;
        StorePlace {
            file: system.store_file().to_path_buf(),
            run_dir: system.run_dir().clone(),
            backup_dir: system.backup_dir(),
            qubesd_socket: system.qubesd_socket(),
            group: None,
            wait: Wait::at_most(system.lock_wait()).telling(system.teller()),
            force: system.is_forced(),
        }
    }

    /// Reads the store; never waits for a writer.
    pub fn read(&self) -> Result<Read, LifecycleError> {
        Ok(Read::open(&self.read_place())?)
    }

    /// Takes the store for changing it. One of R1 to R3 is converted when it is saved; what is
    /// wrong with it already is told in one line then.
    pub fn write(&self) -> Result<Write, LifecycleError> {
        self.system
            .step(|| format!("locking {}", self.system.store_file().display()));
        let (mut write, _) = self.open_for_writing()?;
        self.guard_against_damage(&mut write);
        Ok(write)
    }

    /// Asks the hypervisor for everything that rules may want to know of it, before the database is
    /// locked. Whoever calls holds the locks of the qubes that must not start or stop meanwhile.
    pub(super) fn prefetch_states(&self) {
        if !self.system.is_offline() {
            self.gathered.replace(Some(self.hypervisor.states()));
        }
    }

    /// From now on the hypervisor is asked when somebody wants to know.
    pub(super) fn drop_prefetched_states(&self) {
        self.gathered.replace(None);
    }

    /// Whether there is a program that could be asked about logical volumes.
    pub fn has_lvm(&self) -> bool {
        crate::exec::find("lvm", self.system.program_path()).is_some()
    }

    /// Puts other bytes in place of the store, also of one that cannot be read or is missing.
    pub fn restore(&self, bytes: Vec<u8>) -> Result<Restored, LifecycleError> {
        Ok(Write::restore(&self.store_place(), bytes)?)
    }

    /// The same, if the store is still `expected`, from which `bytes` were made.
    pub fn replace_store(
        &self,
        expected: &[u8],
        bytes: Vec<u8>,
    ) -> Result<Restored, LifecycleError> {
        Ok(Write::restore_over(&self.store_place(), expected, bytes)?)
    }

    /// The hypervisor, connected at the first question; offline every question is an error.
    pub fn hypervisor(&self) -> &dyn Hypervisor {
        &self.hypervisor
    }

    /// A connection to the hypervisor that a record names.
    pub fn hypervisor_at(&self, uri: &str) -> LazyHypervisor {
        lazy_hypervisor(&self.system, uri.to_string())
    }

    /// The state of all domains, in one call: a listing sees one moment, and a program that lives
    /// long never an old one.
    pub fn states(&self) -> Result<Rc<HashMap<Uuid, Live>>, HypervisorError> {
        if let Some(seen) = self
            .states
            .borrow()
            .as_ref()
            .filter(|seen| seen.at.elapsed() < STATES_MAX_AGE)
        {
            return seen.states.clone();
        }
        let states = self.hypervisor.states().map(Rc::new);
        self.states.replace(Some(Seen {
            at: Instant::now(),
            states: states.clone(),
        }));
        states
    }

    /// What the hypervisor says of a qube in a listing; `None` for one that does not run. Who wants
    /// to know of a few qubes asks for those only, who wants to know of more asks for all at once.
    pub fn live(&self, vm: &Vm) -> Result<Option<Live>, HypervisorError> {
        let Some(uuid) = vm.uuid() else {
            return Ok(None);
        };
        if let Some(seen) = self
            .states
            .borrow()
            .as_ref()
            .filter(|seen| seen.at.elapsed() < STATES_MAX_AGE)
        {
            return seen.states.clone().map(|states| states.get(&uuid).copied());
        }
        let mut few = self.few.borrow_mut();
        few.retain(|_, (at, _)| at.elapsed() < STATES_MAX_AGE);
        if let Some((_, live)) = few.get(&uuid) {
            return Ok(*live);
        }
        if few.len() >= MAX_SINGLE_QUERIES {
            return Ok(self.states()?.get(&uuid).copied());
        }
        match self.hypervisor.state(uuid) {
            Ok(live) => {
                let live = live.filter(|live| live.state.is_active());
                few.insert(uuid, (Instant::now(), live));
                Ok(live)
            }
            Err(error) => {
                // It says no more of another one.
                self.states.replace(Some(Seen {
                    at: Instant::now(),
                    states: Err(error.clone()),
                }));
                Err(error)
            }
        }
    }

    /// The power state for display and for rules of the database: offline every local guest is
    /// Halted.
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

impl Facts for Session {
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
        let names =
            crate::fs::names_in(&self.system.below_root(Path::new("/").join(kernels_dir))).ok()?;
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

    /// The `/` of the machine says nothing of a system below a root of its own; the environment
    /// may.
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
        crate::storage::can_reflink(&existing(&self.system.below_root(dir)))
    }

    /// Another store on the machine (below a root, or an ordinary user's) is somebody's to try
    /// things, on any kernel.
    fn can_map_devices(&self) -> bool {
        let is_the_machines = self.system.is_superuser() && !self.system.is_foreign();
        is_the_machines && crate::storage::has_device_mapper()
    }

    /// For rules, as it is now. Without a record nothing was started since the machine booted, so a
    /// hypervisor that cannot be asked (an installer has none) does not matter.
    fn power_state(&self, vm: &Vm) -> PowerState {
        if !vm.class.is_local_guest() || self.system.is_offline() {
            return self.displayed_state(vm);
        }
        let ask = |uuid| match &*self.gathered.borrow() {
            Some(said) => said
                .as_ref()
                .map(|states| states.get(&uuid).copied())
                .map_err(Clone::clone),
            None => self.hypervisor.state(uuid),
        };
        match vm.uuid().map(ask).transpose() {
            Ok(live) => live.flatten().map_or(PowerState::Halted, |l| l.state),
            Err(_) if !super::record::exists(&self.system, &vm.name) => PowerState::Halted,
            Err(_) => PowerState::Unknown,
        }
    }

    /// Where there is no Xen, or it does not say, none is known.
    fn stubdom(&self, vm: &Vm) -> Option<Stubdom> {
        if self.system.is_offline() || Family::of_uri(self.hypervisor.uri()) != Family::Xen {
            return None;
        }
        let id = u32::try_from(self.domain_id(vm))
            .ok()
            .filter(|id| *id != 0)?;
        xenstore::stubdom_of(self.system.program_path(), id)
    }

    fn dom0_maxmem_mib(&self) -> Option<u64> {
        let asks = !self.system.is_offline() && self.system.is_xen();
        asks.then(|| xenstore::dom0_maxmem_mib(self.system.program_path()))
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

impl Session {
    fn kernel_path(&self, kernels_dir: &str, version: &str, file: &str) -> Option<PathBuf> {
        let plain =
            !version.is_empty() && !version.contains('/') && version != "." && version != "..";
        plain.then(|| {
            self.system
                .below_root(Path::new("/").join(kernels_dir).join(version).join(file))
        })
    }
}

/// The directory, or the nearest one above it that exists.
fn existing(directory: &std::path::Path) -> std::path::PathBuf {
    directory
        .ancestors()
        .find(|d| d.is_dir())
        .unwrap_or(directory)
        .to_path_buf()
}

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
    hypervisor.of_store(identity)
}
