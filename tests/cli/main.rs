//! The tools as people and scripts meet them: what they print, where, and how they end.

mod behaviour;
mod completion;
mod generated;
mod recording;
mod recordings;
mod set_unset;
mod shells;
#[path = "../support/skip.rs"]
mod skip;
mod store;
mod written_down;
