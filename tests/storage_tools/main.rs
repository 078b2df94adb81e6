//! The tools for pools and volumes, on real file systems, checked down to the bytes on disk.

mod absent;
mod cut_off;
mod directories;
mod existing_images;
mod full;
mod identity;
#[path = "../support/libvirt_daemon.rs"]
mod libvirt_daemon;
#[path = "../support/loop_mount.rs"]
mod loop_mount;
mod pools_apart;
mod progress;
mod qvm_grow;
mod qvm_pool;
mod qvm_volume;
mod qvm_volume_import;
mod removal;
mod restored;
mod root_images;
mod running;
mod second_names;
#[path = "../support/skip.rs"]
mod skip;
mod small_pool;
mod sources;
#[path = "../support/strace.rs"]
mod strace;
mod system;
mod template_changes;
#[path = "../support/tool_output.rs"]
mod tool_output;
