//! Bringing qubes and the system to what the store says.

mod apply;
mod qube;
mod recover;

pub use qube::QubeState;
pub(in crate::lifecycle) use recover::is_volume_of_qube;
pub use recover::{Orphan, OrphanImages, Orphans, RecoveredQube};
