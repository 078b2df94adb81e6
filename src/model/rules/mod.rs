//! The rules: what may be created, cloned, removed and changed, and what follows. Each decision is
//! a function of the collection, the facts and a request. It changes the collection or plans a
//! change, and touches nothing else.

pub mod cloning;
pub mod creation;
pub mod new_system;
pub mod pci;
pub mod pool_change;
pub mod qubesd;
pub mod removal;
pub mod volume_change;
