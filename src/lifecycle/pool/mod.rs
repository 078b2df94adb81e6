//! Operations on pools.

mod change;
mod details;

pub use change::{PoolOptionError, add, remove, set_options};
pub use details::{PoolDetails, containing_pool, details};
