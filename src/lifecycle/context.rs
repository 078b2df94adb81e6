//! The context of one invocation: the system it works on and the lazy connection to its hypervisor.

use std::cell::Cell;
use std::rc::Rc;

use super::facts::LiveFacts;
use super::{LifecycleError, conversion, soundness};
use crate::hypervisor::uri::{UriFacts, choose_uri};
use crate::hypervisor::{Hypervisor, StoreIdentity};
use crate::store::{LockWait, Read, RestoreOutcome, StoreLocation, Write};
use crate::system::System;

/// The system with its store and its hypervisor: what every operation of this room needs.
pub struct Context {
    /// The paths and the configuration of the system.
    pub system: System,
    hypervisor: Rc<Hypervisor>,
    facts: LiveFacts,
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
        let hypervisor = Rc::new(hypervisor_at(&system, uri));
        Context {
            facts: LiveFacts::new(system.clone(), hypervisor.clone()),
            system,
            hypervisor,
            damage_reported: Rc::default(),
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
    pub fn hypervisor(&self) -> &Hypervisor {
        &self.hypervisor
    }

    /// Returns the facts about the machine and its domains, for decisions.
    pub fn facts(&self) -> &LiveFacts {
        &self.facts
    }

    /// Returns the hypervisor at `uri`, as a record names it. It is connected at the first call.
    pub fn hypervisor_at(&self, uri: &str) -> Hypervisor {
        hypervisor_at(&self.system, uri.to_string())
    }
}

/// Returns the hypervisor at `uri`, for the domains of this store.
fn hypervisor_at(system: &System, uri: String) -> Hypervisor {
    let identity = StoreIdentity {
        suffix: system.domain_suffix(),
        store: system.store_file().to_string_lossy().into_owned(),
    };
    let hypervisor = if system.is_offline() {
        Hypervisor::offline(uri)
    } else {
        Hypervisor::new(uri)
    };
    hypervisor.for_store(identity)
}
