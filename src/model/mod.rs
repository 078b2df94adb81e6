//! The data model of a Qubes system and the decisions about it.
//!
//! The model is pure: it opens no files, starts no processes, reads no clock and takes no lock.

pub mod boolean;
pub mod check;
pub mod class;
pub mod class_volume;
pub mod device;
pub mod differences;
pub mod draft;
pub mod dump;
pub mod effect;
pub mod facts;
pub mod features;
pub mod image_claims;
pub mod kernel_version;
pub mod label;
pub mod name;
pub mod network;
pub mod notes;
pub mod pool;
pub mod pool_driver;
pub mod power;
pub mod property;
pub mod qid;
pub mod qubes;
pub mod release;
pub mod rules;
pub mod stop_order;
pub mod tags;
pub mod text_map;
pub mod vm;
pub mod volume;

pub use boolean::{BooleanDialect, boolean_text};
pub use check::{Finding, Location, Remedy};
pub use class::{Class, ClassSpec};
pub use class_volume::ClassVolume;
pub use draft::Draft;
pub use effect::{Change, Effect};
pub use facts::{Facts, HostFacts, Stubdom};
pub use features::FeatureError;
pub use label::{Label, Labels};
pub use name::{NameError, VmName};
pub use notes::NotesError;
pub use pool::{Pool, Pools};
pub use pool_driver::{DriverSpec, VolumeIds};
pub use power::PowerState;
pub use property::{
    Property, PropertyByClass, PropertyError, Scope, Value, VirtMode, class_properties,
    global_properties,
};
pub use qid::Qid;
pub use qubes::{DomainSource, IndexedDomain, Qubes, SavedDomain};
pub use release::Release;
pub use rules::cloning::{NewClone, PlannedClone};
pub use rules::creation::{CreationError, NewQube, PoolChoice, UnclonedSetting, sort_properties};
pub use rules::new_system::plan_new_system;
pub use rules::pool_change::{NewPool, PoolError, PoolUse};
pub use rules::removal::{QubeUse, RemovableVolume, RemovalError};
pub use rules::volume_change::{VolumeChangeError, VolumeOption, VolumeRule};
pub use stop_order::ProviderRole;
pub use tags::TagError;
pub use text_map::TextMap;
pub use vm::{Diagnosis, Vm, VolumeConfig};
pub use volume::{Volume, VolumeError, VolumeKind};
