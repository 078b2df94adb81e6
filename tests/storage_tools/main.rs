//! The tools for pools and volumes, on real file systems, checked down to the bytes on disk.

mod cut_off;
mod directories;
mod existing_images;
mod full;
mod identity;
mod pools;
mod pools_apart;
mod progress;
mod qvm_volume_import;
mod removal;
mod restored;
mod root_images;
mod running;
mod second_names;
mod small_pool;
mod sources;
mod system;
mod template_changes;
mod volumes;
