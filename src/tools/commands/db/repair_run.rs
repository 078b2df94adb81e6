//! One run of qubes-db repair.

use super::complete_copy;
use clap::Args;

use crate::lifecycle::Context;
use crate::tools::completion::Completer;

/// The arguments of `repair`.
#[derive(Args)]
pub struct RepairArguments {
    /// List every problem, also many of one kind
    #[arg(long)]
    pub(super) all: bool,
    /// Print what would be done and write nothing
    #[arg(long, short = 'n')]
    pub(super) dry_run: bool,
    /// Do not ask for confirmation
    #[arg(long, short)]
    pub(super) yes: bool,
    /// Keep what can be read of a damaged file and give up the rest
    #[arg(long)]
    pub(super) salvage: bool,
    /// Complete a damaged file from this copy
    #[arg(long, value_name = "COPY", add = Completer(complete_copy))]
    pub(super) from: Option<String>,
}

/// One run of `qubes-db repair`.
pub(super) struct Repair<'a> {
    pub(super) context: &'a Context,
    pub(super) arguments: &'a RepairArguments,
    pub(super) file: String,
}
