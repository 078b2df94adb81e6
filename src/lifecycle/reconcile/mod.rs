//! Bringing qubes and the system to what the store says.

mod apply;
mod qube;
mod recover;

pub use apply::apply_effects;
pub(in crate::lifecycle) use qube::remove_record_unless_leftovers;
pub use qube::{QubeState, finish_stop, query_domain, reconcile_qube};
pub(in crate::lifecycle) use recover::is_volume_of_qube;
pub use recover::{
    Orphan, OrphanImages, Orphans, RecoveredQube, find_orphans, recover, remove_orphan,
};
