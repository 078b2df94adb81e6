//! Bringing qubes and the system to what the store says.

mod apply;
mod finish_stop;
mod orphans;
mod qube;
mod recover;

pub(in crate::lifecycle) use apply::change_and_notify;
pub use apply::{SavedChange, apply_effects, save_change};
pub use finish_stop::finish_stop;
pub(in crate::lifecycle) use finish_stop::{has_unfinished_stop, remove_record_unless_leftovers};
pub(in crate::lifecycle) use orphans::is_volume_of_qube;
pub use orphans::{Orphan, OrphanImages, Orphans, find_orphans, remove_orphan};
pub use qube::{QubeState, query_domain, reconcile_qube};
pub(in crate::lifecycle) use qube::{lock_halted, reconcile_qube_in, require_halted};
pub use recover::{RecoveredQube, recover};
