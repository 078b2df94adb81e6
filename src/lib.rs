//! The dom0 management core of Qubes OS: qubes, the store that describes them (`qubes.xml`), their
//! storage, and their domains.
//!
//! A program opens a [`Context`](lifecycle::Context) on a [`System`](system::System), reads the
//! store or changes it, and applies the effects of what it changed. Each call locks the store for
//! as long as it needs it and no longer.
//!
//! ```
//! use qubes::lifecycle::{Context, new_system, qube, reconcile};
//! use qubes::model::{VmName, property};
//! use qubes::system::{System, SystemOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let root = directory.path().canonicalize()?;
//! // Leave `root` and `offline` out to work on this machine's own qubes.
//! let context = Context::new(System::new(SystemOptions {
//!     root: Some(root),
//!     offline: true,
//!     ..SystemOptions::default()
//! })?);
//! new_system::create(&context)?;
//!
//! // Open the store and read a property: never waits for a writer.
//! let qubes = context.read()?;
//! let dom0 = qubes.get("dom0").ok_or("no dom0")?;
//! assert_eq!(property::text(&qubes, dom0, "label", context.facts())?, "black");
//!
//! // Change it, save, and apply the effects, in one call.
//! qube::set_feature(&context, &VmName::dom0(), "gui-default-allow-utf8-titles", "1")?;
//!
//! // The same in steps. The store is locked while this decides and saves, not while it applies.
//! let saved = reconcile::save_change(&context, |draft| {
//!     Ok(property::set_global(draft, "default_netvm", "", context.facts())?)
//! })?;
//! for notice in reconcile::apply_effects(&context, saved)? {
//!     eprintln!("{notice}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The rooms, from the bottom up; each uses those before it only (`ARCHITECTURE.md`): [`fs`] files,
//! locks and directories, [`clock`] the machine's time, [`exec`] other programs, [`model`] what a
//! Qubes system is, [`mod@format`] qubes.xml, [`store`] the file with its lock, [`system`] where
//! everything is, [`hypervisor`] libvirt, [`storage`] pools and volumes on disk, [`devices`] what
//! of this machine qubes can be given, [`firewall`] rules of the network, [`lifecycle`] what
//! commands do, [`tools`] the commands.

#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(
        clippy::expect_used,
        clippy::panic,
        clippy::print_stderr,
        clippy::print_stdout,
        clippy::unwrap_used
    )
)]

pub mod clock;
pub mod devices;
pub mod exec;
pub mod firewall;
pub mod format;
pub mod fs;
pub mod hypervisor;
pub mod lifecycle;
pub mod model;
pub mod progress;
pub mod storage;
pub mod store;
pub mod system;
#[cfg(feature = "tools")]
pub mod tools;
