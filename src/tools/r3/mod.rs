//! What only R3 had: commands for its installers and packages, and its names and words for
//! properties (`docs/spec/r3-tools.md`).

pub mod add_appvm;
pub mod add_template;
pub mod create_default_dvm;
pub mod grow;
pub mod init_storage;
pub mod list;
pub mod prefs;
pub mod template_changes;
pub mod value_texts;
