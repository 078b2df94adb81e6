//! The rules of the model on the samples: values and defaults, changes, creation, volumes.

// Most tests look at the store only, and drop what would follow outside.
#![allow(unused_must_use)]

mod changes;
mod creation;
mod reading;
mod sample;
mod storage;
