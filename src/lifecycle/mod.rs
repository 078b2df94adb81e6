//! The operations on qubes (create, clone, remove, start, stop, recover): the only place where
//! storage, hypervisor and store meet.
//!
//! No daemon watches a qube. Three things keep its state consistent instead (`docs/monitor.md`):
//! the operation lock of the qube ([`qube_lock`]), the record of its start ([`record`]), and one
//! small monitor process per running qube ([`monitor`]). A process that holds the lock and finds a
//! record whose domain is inactive finishes the stop ([`reconcile`]).

pub mod apply;
pub mod attach;
pub mod change;
pub mod clone;
pub mod context;
pub mod conversion;
pub mod create;
pub mod describe;
mod disk_space;
pub mod dispose;
pub mod drive;
pub mod error;
pub mod image_archive;
pub mod images;
mod kernel_command_line;
mod memory;
pub mod monitor;
mod new_system;
pub mod notes;
mod package_files;
pub mod pause;
pub mod pools;
mod qube_directory;
pub mod qube_lock;
pub mod reconcile;
pub mod record;
pub mod recover;
pub mod remove;
mod required_devices;
pub mod root_data;
pub mod root_image;
mod soundness;
pub mod start;
pub mod stop;
pub mod stop_mark;
pub mod template;
mod template_changes;
pub mod template_package;
pub mod updates;
pub mod volume_details;
pub mod volume_import;
mod volume_import_commit;
pub mod volumes;

pub use context::Context;
pub use error::LifecycleError;
