//! The rules of the model on the samples: values and defaults, changes, creation, volumes.

mod changes;
mod creation;
mod reading;
mod storage;
