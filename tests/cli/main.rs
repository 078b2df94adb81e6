//! The tools as people and scripts meet them: what they print, where, and how they end.

mod behaviour;
mod completion;
mod generated;
mod json_schemas;
mod messages;
mod prefs_of_several;
mod recording;
mod recordings;
mod refused;
mod set_unset;
mod shells;
#[path = "../support/skip.rs"]
mod skip;
mod store;
mod terminal;
mod written_down;
