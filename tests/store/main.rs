//! The store's file: its lock, transactions, copies, and whatever disturbs them.

mod crash;
mod crowd;
mod faults;
mod lock;
mod neighbours;
mod places;
mod reading;
mod transaction;
