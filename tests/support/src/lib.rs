//! What the tests share: temporary systems and stores, samples and generators, daemons and guests,
//! faults and kills at chosen system calls.

pub mod command_line;
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
pub mod scratch_store;
pub mod skip;
pub mod sound_store;
pub mod store_location;
pub mod store_processes;
pub mod strace;
pub mod system;
pub mod tiny_guest;
pub mod tool_output;
pub mod tree;
pub mod volumes;
pub mod wait;
pub mod xml_generator;

pub use command_line::CommandLine;
pub use loop_mount::{FileSystem, LoopMount};
pub use paths::{binary, repository};
pub use sample_host::SampleHost;
pub use skip::skip;
pub use system::TestSystem;
pub use tool_output::ToolOutput;
pub use wait::wait_until;
