//! Operations on qubes, one file for each group of verbs.

mod attach;
mod build;
mod change;
mod clone;
mod create;
mod describe;
pub(in crate::lifecycle) mod directory;
mod disk_names;
mod dispose;
mod domain_disks;
mod drive;
mod find;
mod kernel_command_line;
mod lock;
mod memory;
pub mod monitor;
mod monitor_process;
mod notes;
mod pause;
pub mod record;
mod remove;
mod required_devices;
mod start;
mod start_domain;
mod start_error;
mod start_rules;
mod stop;
mod stop_mark;
mod update_checks;

pub use attach::{attach_drive, detach_drive, disks};
pub(in crate::lifecycle) use build::{QubeParts, build, plan_new_qube, read_for_creation};
pub use change::{
    add_tags, change_property_of_qubes, remove_feature, remove_tag, reset_global, reset_property,
    set_feature, set_global, set_pci_addresses, set_pci_strict_reset, set_property,
};
pub(in crate::lifecycle) use clone::copy_directory_files;
pub use clone::{ClonedQube, clone};
pub use create::{
    CreatedQube, InitialSettings, RefusedSetting, create, preview_clone, preview_creation,
};
pub use describe::{console_log, domain_name, preview_domain_xml, user_templates_help};
pub(in crate::lifecycle) use describe::{
    create_console_log, describe_domain, render_disk_xml, render_domain_xml,
};
pub(in crate::lifecycle) use disk_names::{DiskLetters, NO_FREE_DISK_NAME};
pub use dispose::{create_default_dispvm, create_disposable};
pub(in crate::lifecycle) use dispose::{
    create_with_dispid, finish_disposable_removal, is_removed_on_stop, remove_after_failed_start,
    remove_disposable, remove_disposable_if_halted,
};
pub use drive::Drive;
pub(in crate::lifecycle) use find::find;
pub use kernel_command_line::kernel_command_line;
pub use lock::{QubeLock, create_run_directories, lock, lock_within};
pub(in crate::lifecycle) use lock::{create_shared_directory, lock_error};

pub(in crate::lifecycle) use memory::{explain_with_memory, reserve_memory};
pub use notes::{change_notes, notes};
pub use pause::{pause, suspend, unpause};
pub use remove::{RemovalMode, RemovalOutcome, remove};
pub(in crate::lifecycle) use remove::{
    is_interrupted_removal, record_removal, remove_locked, resume_removal, resumed_removal_outcome,
};
pub(in crate::lifecycle) use required_devices::{
    add_required_devices, add_required_devices_unchecked, explain_with_iommu,
};
pub use start::{StartOutcome, start, start_unless_stopped};
pub use start_error::StartError;
pub(in crate::lifecycle) use stop::{SHUTDOWN_INTERVAL, repeat_shutdown_request};
pub use stop::{StopOutcome, kill, lock_and_reconcile, shutdown, wait_for_shutdown};
pub use stop_mark::StopMark;
pub use update_checks::{UpdateChecks, set_update_checks, update_checks};
