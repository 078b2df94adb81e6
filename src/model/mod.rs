//! What a Qubes system *is*. Pure: no files, no processes, no clock, no lock.

pub mod class;
pub mod device;
pub mod facts;
pub mod label;
pub mod name;
pub mod pool;
pub mod power;
pub mod qubes;
pub mod release;
pub mod text_map;
pub mod vm;

pub use class::Class;
pub use facts::Facts;
pub use label::{Label, Labels};
pub use name::{NameError, VmName};
pub use pool::{Pool, Pools};
pub use power::PowerState;
pub use qubes::{Brief, DomainSource, Qubes, Written};
pub use release::Release;
pub use text_map::TextMap;
pub use vm::{Diagnosis, Qid, Vm, VolumeConfig};
