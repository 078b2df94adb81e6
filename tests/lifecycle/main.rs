//! Starting, stopping and everything between, on real libvirt with real QEMU guests.

mod autostart;
mod concurrent_starts;
mod devices;
mod discard;
mod disposables;
mod domain_descriptions;
mod faults;
mod full_disk;
#[path = "../support/libvirt_daemon.rs"]
mod libvirt_daemon;
#[path = "../support/loop_mount.rs"]
mod loop_mount;
mod memory;
mod order;
#[path = "../support/own_daemon.rs"]
mod own_daemon;
mod pause;
mod removal;
#[path = "../support/scratch.rs"]
mod scratch;
#[path = "../support/skip.rs"]
mod skip;
mod start_and_stop;
mod stopping;
mod systems;
mod templates;
#[path = "../support/tiny_guest.rs"]
mod tiny_guest;
mod traced_tools;
