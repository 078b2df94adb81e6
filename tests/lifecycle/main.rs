//! Starting, stopping and everything between, on real libvirt with real QEMU guests.

mod autostart;
mod concurrent_starts;
mod devices;
mod discard;
mod disposables;
mod domain_descriptions;
mod faults;
mod full_disk;
mod libvirtd_restart;
mod memory;
mod order;
mod pause;
mod removal;
mod start_and_stop;
mod stopping;
mod systems;
mod templates;
mod traced_tools;
