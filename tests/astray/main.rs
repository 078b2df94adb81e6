//! Files that others put into RUN, into a root below `--root`, or into a copied store cannot lead
//! a command astray.

mod boot;
mod copies;
mod leases;
mod links;
mod memory_manager;
mod private;
mod records;
mod roots;
mod run;
mod victim;
