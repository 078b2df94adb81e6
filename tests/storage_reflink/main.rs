//! Driver `file-reflink` on real file systems: btrfs and XFS, whose files share blocks, and ext4,
//! whose files do not.

mod crash;
mod full;
#[path = "../support/killed_steps.rs"]
mod killed_steps;
mod life;
#[path = "../support/loop_mount.rs"]
mod loop_mount;
mod pool;
mod runs;
#[path = "../support/skip.rs"]
mod skip;
