//! The file: its lock, its durable replace, its history, and the transactions `Read` and `Write`.

pub mod file_lock;
pub mod replace;
