//! The documents: their commands work, the examples run, and what they refer to exists.

mod examples;
mod references;
mod tours;
