//! Stores of R1, R2 and R3 become stores of R4 with the first change. The mapping is described in
//! `docs/migration.md`.

mod command;
mod crash;
mod firewalls;
mod images;
mod meaning;
mod old_stores;
mod old_system;
mod writers;
