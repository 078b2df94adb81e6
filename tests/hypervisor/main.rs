//! Tests the library's hypervisor with real libvirt, real QEMU and a guest of 100 bytes.

#[path = "../support/libvirt_daemon.rs"]
mod libvirt_daemon;
#[path = "../support/skip.rs"]
mod skip;
#[path = "../support/tiny_guest.rs"]
mod tiny_guest;

mod absent;
mod fixture;
mod lifecycle;
mod operations;
mod session;
