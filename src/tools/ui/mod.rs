//! What commands share: arguments and the selection of qubes, tables, colours, progress, messages,
//! failures and hints.

pub mod arguments;
pub mod command_line;
pub(crate) mod damage_scan;
pub mod failure;
pub(crate) mod filter_terms;
pub(crate) mod help;
pub(crate) mod hint;
pub(crate) mod images;
pub mod invocation;
pub(crate) mod label_color;
pub mod output;
pub(crate) mod pairs;
pub(crate) mod parallel;
pub(crate) mod program_name;
pub(crate) mod progress;
pub mod quoted;
pub mod selection;
pub(crate) mod size;
pub(crate) mod store_copies;
pub(crate) mod subcommand;
pub(crate) mod suggestion;
pub mod table;
pub mod usage;
pub(crate) mod usage_error;
pub mod values;
pub(crate) mod words;
