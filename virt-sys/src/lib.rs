//! libvirt's C functions, forwarded to `libvirt.so.0`, which is opened at the first call.
//!
//! Linking libvirt costs a program 8 ms and 12 MB before its `main`, and its headers are needed to
//! build it. This crate replaces the crate of the same name that crate `virt` depends on. It has
//! the same items, but builds without libvirt, and a program that calls no function never opens the
//! library.
//!
//! * [`load`] opens the library or returns the reason why it cannot. Call it before the first use.
//! * Every function returns its failure value (null, −1) if the library or the function is missing.
//!   None panics.
//! * [`link`] and [`events`] are safe wrappers for what crate `virt` does not wrap: domain events
//!   and suspending to RAM.
//!
//! The program `generate`, beside this crate's manifest, writes `bindings.rs` from libvirt's
//! headers.

#[allow(
    non_camel_case_types,
    non_snake_case,
    clippy::missing_safety_doc,
    clippy::too_many_arguments
)]
#[allow(
    missing_docs,
    reason = "the functions and constants are libvirt's own, documented there"
)]
mod bindings;
mod event_loop;
pub mod events;
mod library;
pub mod link;
mod link_error;
mod load;

pub use bindings::*;
pub use library::LoadError;
pub use link_error::LinkError;
pub use load::load;
