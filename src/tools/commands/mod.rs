//! The commands, one file or folder each: its arguments and its glue.

pub mod check;
pub mod clone;
pub mod create;
pub mod db;
pub mod domain_xml;
pub mod example;
pub mod features;
pub mod kill;
pub mod ls;
pub mod monitor;
pub mod notes;
pub mod pause;
pub mod pool;
pub mod prefs;
pub mod qubes_create;
pub mod recover;
pub mod remove;
pub mod service;
pub mod set_updates;
pub mod shutdown;
pub mod start;
pub mod tags;
pub mod template_postprocess;
pub mod volume;
