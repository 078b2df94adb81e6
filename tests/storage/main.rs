//! The library's storage: its drivers of files, and the storage of a whole qube.

mod file;
mod reflink;
mod vm;
