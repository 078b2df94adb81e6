//! Files that others put into RUN, into a root below `--root`, or into a copied store cannot lead
//! a command astray.

mod boot;
mod copies;
mod leases;
#[path = "../support/libvirt_daemon.rs"]
mod libvirt_daemon;
mod links;
mod memory_manager;
mod private;
mod records;
mod roots;
mod run;
#[path = "../support/scratch.rs"]
#[allow(dead_code, reason = "the lifecycle tests use the rest")]
mod scratch;
#[path = "../support/skip.rs"]
mod skip;
#[path = "../support/small_system.rs"]
mod small_system;
#[path = "../support/tool_output.rs"]
mod tool_output;
mod victim;
