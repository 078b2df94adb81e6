//! Runs the tools and checks their output, messages and exit codes: transcripts of each tool, files
//! for what a tool does beside its output, and files for what all tools have in common. What tools
//! do with images and running qubes is tested in `tests/storage_tools` and `tests/lifecycle`.

mod bad_input;
mod broken_qubes;
mod every_property;
mod every_tool;
mod generated;
mod json_schemas;
mod members;
mod qubes_complete;
mod qubes_db;
mod qubes_db_repair;
mod qubes_domain_xml;
mod qvm_clone;
mod qvm_create;
mod qvm_features;
mod qvm_ls;
mod qvm_notes;
mod qvm_pool;
mod qvm_prefs;
mod qvm_remove;
mod qvm_volume;
mod recording;
mod recordings;
mod releases;
mod shells;
mod terminal;
mod transcripts;
