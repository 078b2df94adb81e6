//! Tests of a fresh machine: the programs that tests and scripts call, their installation, and
//! `make install`.

mod dependencies;
mod install;
mod pipes;
mod programs;
mod runner;
mod shell;
mod sources;
mod units;
