//! Operations on pools.

mod change;

pub use change::{PoolDetails, PoolOptionError};
