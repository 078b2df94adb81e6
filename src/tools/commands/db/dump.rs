//! qubes-db dump: prints the content of the store as JSON.

use clap::Args;
use serde::Serialize;
use serde_json::ser::PrettyFormatter;

use super::CopyArgument;
use crate::format;
use crate::lifecycle::Context;
use crate::model::dump;
use crate::store::{StoreError, read_bytes};
use crate::tools::ui::arguments::JsonOption;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;

/// The arguments of `dump`.
#[derive(Args)]
pub struct DumpArguments {
    #[command(flatten)]
    copy: CopyArgument,
    // JSON is printed without it too.
    #[command(flatten)]
    _output: JsonOption,
}

pub fn run(
    call: &mut Invocation,
    context: &Context,
    arguments: &DumpArguments,
) -> Result<u8, Failure> {
    let version = arguments.copy.version(context)?;
    let bytes = read_bytes(&version.path)?;
    let qubes = format::read(bytes).map_err(StoreError::format(&version.path))?;
    let mut text = Vec::new();
    let mut writer =
        serde_json::Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b" "));
    dump::dump_system(&qubes, context.facts()).serialize(&mut writer)?;
    call.out.line(&String::from_utf8_lossy(&text))?;
    Ok(0)
}
