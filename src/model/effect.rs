//! What a decision returns: a [`Change`] with the effects that have to follow outside the store.

use super::name::VmName;

/// Something outside the store that must follow a change. It is applied after the store is saved,
/// by reading the store again and bringing a running qube there, so that two writers cannot leave
/// the older value in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "an effect has to be applied after the store is saved"]
pub enum Effect {
    /// Attach the network interface of a running qube to its new netvm. Without room `network/` the
    /// user is told that the change takes effect at the next start.
    ReattachNetwork {
        /// The qube whose netvm changed.
        vm: VmName,
    },
    /// Let the service manager start the qube at boot, or not, as the store says.
    Autostart {
        /// The qube whose `autostart` changed, or which was cloned or removed.
        vm: VmName,
    },
    /// Tell the hypervisor the new limit of a running qube's memory. Today the user is told that
    /// the change takes effect at the next start.
    MaxmemHotplug {
        /// The qube whose maxmem changed.
        vm: VmName,
    },
    /// Warn the user if the qube's maxmem is below its memory.
    CompareMemory {
        /// The qube whose memory or maxmem changed.
        vm: VmName,
    },
    /// Copy a feature (`service.*`, `vm-config.*`, `custom-persist.*`) to the running qube's
    /// QubesDB. Without room `qubesdb/` the user is told that the change takes effect at the next
    /// start.
    QubesDbFeature {
        /// The qube whose feature changed; never dom0 for a service.
        vm: VmName,
        /// The full name of the feature, with its prefix.
        feature: Box<str>,
    },
    /// Create or remove the file of a dom0 service (`qubes-service/NAME`) as dom0's feature says.
    Dom0Service {
        /// The name of the service, without `service.`.
        service: Box<str>,
        /// Whether the file exists afterwards.
        on: bool,
    },
}

/// The result of a decision: its effects outside the store. The caller saves the store, releases its
/// lock and applies the change with `lifecycle::reconcile::apply_effects`.
///
/// Changes add up: several decisions of one transaction are one change ([`Change::merge`], or
/// `collect` of several).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "what follows from a change has to be applied after the store is saved"]
pub struct Change {
    effects: Vec<Effect>,
}

impl Change {
    /// A change of the store that nothing outside has to follow.
    pub const STORE_ONLY: Change = Change {
        effects: Vec::new(),
    };

    /// Returns the effects in the order in which they are to be applied.
    pub fn effects(&self) -> &[Effect] {
        &self.effects
    }

    /// Adds what follows from a later decision of the same transaction.
    pub fn merge(&mut self, later: Change) {
        self.effects.extend(later.effects);
    }
}

impl From<Effect> for Change {
    fn from(effect: Effect) -> Change {
        Change {
            effects: vec![effect],
        }
    }
}

impl FromIterator<Effect> for Change {
    fn from_iter<I: IntoIterator<Item = Effect>>(effects: I) -> Change {
        Change {
            effects: effects.into_iter().collect(),
        }
    }
}

impl FromIterator<Change> for Change {
    fn from_iter<I: IntoIterator<Item = Change>>(changes: I) -> Change {
        changes
            .into_iter()
            .flat_map(|change| change.effects)
            .collect()
    }
}
