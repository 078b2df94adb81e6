//! What a machine needs that has never seen this project: the programs that tests and scripts call,
//! how they are installed, and `make install`.

mod dependencies;
mod install;
mod pipes;
mod programs;
mod runner;
mod shell;
mod sources;
mod units;
