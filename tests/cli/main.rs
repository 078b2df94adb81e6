//! Runs the tools and checks their output, messages and exit codes.

mod annotations;
mod behaviour;
mod completion;
mod generated;
mod invalid_values;
mod json_schemas;
mod messages;
mod prefs_of_several;
mod recording;
mod recordings;
mod set_unset;
mod shells;
mod terminal;
