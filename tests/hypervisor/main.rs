//! Tests the library's hypervisor with real libvirt, real QEMU and a guest of 100 bytes.

mod absent;
mod domain_xml;
mod fixture;
mod hangs;
mod lifecycle;
mod operations;
mod session;
