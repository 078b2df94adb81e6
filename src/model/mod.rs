//! What a Qubes system *is*. Pure: no files, no processes, no clock, no lock.

pub mod class;
pub mod creation;
pub mod device;
pub mod facts;
pub mod features;
pub mod label;
pub mod name;
pub mod network;
pub mod pool;
pub mod power;
pub mod property;
pub mod qubes;
pub mod release;
pub mod removal;
pub mod shared_bytes;
pub mod tags;
pub mod text_map;
pub mod vm;
pub mod volume;

pub use class::Class;
pub use creation::{CreationError, NewQube, PoolChoice, in_written_order, new_system};
pub use facts::{Facts, Stubdom};
pub use features::FeatureError;
pub use label::{Label, Labels};
pub use name::{NameError, VmName};
pub use pool::{Pool, Pools};
pub use power::PowerState;
pub use property::{Effect, Property, PropertyError, Scope, Value, VirtMode, global_properties, properties_of};
pub use qubes::{Brief, DomainSource, Qubes, Written};
pub use release::Release;
pub use removal::{RemovalError, Use};
pub use shared_bytes::SharedBytes;
pub use tags::TagError;
pub use text_map::TextMap;
pub use vm::{Diagnosis, Qid, Vm, VolumeConfig};
pub use volume::{ResolvedVolume, VolumeError};
