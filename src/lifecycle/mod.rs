//! The operations on qubes (create, clone, remove, start, stop, recover): the only place where
//! storage, hypervisor and store meet.
//!
//! A [`Context`] carries what an operation needs; an operation is a function that takes one, such
//! as [`qube::start`]. What decisions ask of the machine and of running domains are [`facts`].
//!
//! No daemon watches a qube. Three things keep its state consistent instead (`docs/monitor.md`):
//! the operation lock of the qube ([`qube::QubeLock`]), the record of its start
//! ([`qube::record`]), and one small monitor process per running qube ([`qube::monitor`]). A
//! process that holds the lock and finds a record whose domain is inactive finishes the stop
//! ([`reconcile`]).

pub mod context;
pub mod conversion;
pub mod error;
pub mod facts;
pub mod new_system;
pub mod pool;
pub mod qube;
pub mod reconcile;
pub mod soundness;
pub mod template;
pub mod volume;

pub use context::Context;
pub use error::LifecycleError;
pub use facts::{FrozenFacts, LiveFacts};
