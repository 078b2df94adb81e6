//! The dom0 management core of Qubes OS: the collection of qubes, its file, their storage and their
//! life.
//!
//! The rooms, from the bottom up (arrows point up this list only; `docs/` tells more): [`fs`]
//! files, locks and directories, [`clock`] the machine's time, [`model`] what a Qubes system is,
//! [`format`] qubes.xml, [`store`] the file with its lock, [`hypervisor`] libvirt, [`storage`]
//! pools and volumes on disk, [`devices`] what of this machine qubes can be given, [`firewall`]
//! rules of the network, [`lifecycle`] the verbs, [`tools`] one command per file. [`system`] says
//! where everything is; [`exec`] is the only place that runs another program.

pub mod clock;
pub mod devices;
pub mod error;
pub mod exec;
pub mod firewall;
pub mod format;
pub mod fs;
pub mod hypervisor;
pub mod lifecycle;
pub mod model;
pub mod storage;
pub mod store;
pub mod system;
pub mod tools;
pub mod watcher;
