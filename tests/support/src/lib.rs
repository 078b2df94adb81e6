//! What the tests share: temporary systems and stores, samples and generators, daemons and guests,
//! faults and kills at chosen system calls.

pub mod companions;
pub mod domain_texts;
pub mod format_properties;
pub mod fuzz_bodies;
pub mod killed_steps;
pub mod lab_machine;
pub mod libvirt_daemon;
pub mod loop_mount;
pub mod mutations;
pub mod own_daemon;
pub mod paths;
pub mod sample_host;
pub mod scratch;
pub mod scratch_store;
pub mod skip;
pub mod small_system;
pub mod sound_store;
pub mod store_location;
pub mod store_processes;
pub mod strace;
pub mod tiny_guest;
pub mod tool_output;
pub mod tree;
pub mod wait;
pub mod xml_generator;
