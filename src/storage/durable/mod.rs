//! File operations that survive a power loss once they return (`docs/spec/r4-storage.md` §5,
//! primitive operations).
//!
//! Operations with `scratch` in their name do not wait for the disk, which takes most of the time
//! of a start. They are for images that the next start makes anew after a power loss. The files
//! that they make have the mark of a run (`RUN_MARK`).

mod content;
mod names;

pub use content::{
    CopyMode, CopyProgress, adopt, clone_resized, copy, copy_data, copy_mtime, copy_scratch,
    create_sparse, create_sparse_scratch, has_run_mark, lengthen, sync_file, write,
};
pub use names::{
    DirectoryRemoval, create_directory, hard_link_scratch, remove, remove_all, remove_directory,
    remove_real_directory, remove_scratch, rename, replace, sync_parent,
};
