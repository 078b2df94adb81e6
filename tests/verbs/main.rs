//! The verbs of a qube's life beyond start and stop, on real libvirt with real QEMU guests.

mod autostart;
mod disposables;
mod domain_descriptions;
mod killed;
#[path = "../support/libvirt_daemon.rs"]
mod libvirt_daemon;
mod memory;
mod order;
mod pause;
mod place;
#[path = "../support/scratch.rs"]
mod scratch;
#[path = "../support/skip.rs"]
mod skip;
mod templates;
#[path = "../support/tiny_guest.rs"]
mod tiny_guest;
