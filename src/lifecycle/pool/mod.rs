//! Operations on pools.

mod change;

pub use change::{
    PoolDetails, PoolOptionError, add, containing_pool, details, remove, set_options,
};
