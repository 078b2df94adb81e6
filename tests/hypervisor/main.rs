//! The hypervisor as the library sees it: real libvirt, real QEMU, a guest of 100 bytes.

#[path = "../support/libvirt_daemon.rs"]
mod libvirt_daemon;
#[path = "../support/skip.rs"]
mod skip;
#[path = "../support/tiny_guest.rs"]
mod tiny_guest;

mod absent;
mod fixture;
mod life;
mod orders;
mod session;
