//! libvirt's C functions, forwarded to `libvirt.so.0`, which is opened at the first call.
//!
//! Linking libvirt costs a program 8 ms and 12 MB before its `main` and makes building need
//! libvirt's headers. This crate stands in for the one of the same name below crate `virt`: the
//! same items, but nothing of libvirt is needed to build, and a program that never calls a function
//! never opens the library.
//!
//! * [`load`] opens the library and says why it cannot: call it before the first use.
//! * Every function returns its failure value (null, −1) when the library or the function is
//!   missing there; none panics.
//! * [`link`] and [`events`] are a small safe layer over what crate `virt` has no wrapper for:
//!   domain events and sleep.
//!
//! `bindings.rs` is written by the program `generate` beside this crate's manifest from the
//! prototypes in libvirt's headers.

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
pub mod events;
mod library;
pub mod link;

pub use bindings::*;
pub use library::{LoadError, load};
