//! The store: qubes.xml with its lock, its copies, and the transactions `Read` and `Write`.
//!
//! `Read` and `Write` are different types and only `Write` has `save()`. A `Read` cannot become a
//! `Write`, so no change is based on what was read before the lock was taken.

mod cache;
mod error;
pub mod history;
mod location;
mod lock;
pub mod qubesd;
mod transaction;
mod version;

pub use error::StoreError;
pub use location::StoreLocation;
pub use lock::LockWait;
pub use transaction::{Companions, Read, RestoreOutcome, SaveOutcome, Write, read_bytes};
