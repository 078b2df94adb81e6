//! Driver file as far as it can be seen without a device mapper: its files, commits, revisions,
//! imports, sizes, and what a crash leaves. What dm-snapshot does to them while a qube runs is
//! played by the tests; that it does it so is tested where there is one (tests/xen/device_mapper).

mod crash;
#[path = "../support/dying.rs"]
mod dying;
mod life;
mod neighbours;
mod pool;
mod runs;
#[path = "../support/skip.rs"]
mod skip;
