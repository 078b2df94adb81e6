//! Driver `file` without a device mapper: its files, commits, revisions, imports, sizes, and the
//! state after crashes. The tests play the part of dm-snapshot while a qube runs.
//! tests/storage_mapped tests the driver with the real one.

mod crash;
mod life;
mod neighbours;
mod pool;
mod runs;
