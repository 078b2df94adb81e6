//! Driver `file-reflink` on real file systems: btrfs and XFS, whose files share blocks, and ext4,
//! whose files do not.

mod crash;
mod full;
mod life;
mod pool;
mod runs;
