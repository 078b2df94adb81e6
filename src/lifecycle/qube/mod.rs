//! Operations on qubes, one file for each group of verbs.

mod attach;
mod change;
mod clone;
mod create;
mod describe;
pub(in crate::lifecycle) mod directory;
mod dispose;
mod drive;
mod kernel_command_line;
mod lock;
mod memory;
pub mod monitor;
mod notes;
mod pause;
pub mod record;
mod remove;
mod required_devices;
mod start;
mod stop;
mod stop_mark;
mod update_checks;

pub use clone::ClonedQube;
pub use create::{CreatedQube, InitialSettings, RefusedSetting};
pub use describe::user_templates_help;
pub use drive::Drive;
pub use kernel_command_line::kernel_command_line;
pub use lock::{QubeLock, create_run_directories};
pub(in crate::lifecycle) use lock::{create_shared_directory, lock_error};
pub use remove::{RemovalMode, RemovalOutcome};
pub(in crate::lifecycle) use required_devices::{DiskLetters, NO_FREE_DISK_NAME};
pub use start::StartOutcome;
pub(in crate::lifecycle) use start::{attach_loop_device, find_qube};
pub use stop::StopOutcome;
pub(in crate::lifecycle) use stop::{SHUTDOWN_INTERVAL, repeat_shutdown_request};
pub use stop_mark::StopMark;
pub use update_checks::UpdateChecks;
