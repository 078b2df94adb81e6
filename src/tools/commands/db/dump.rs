//! qubes-db dump: prints the content of the store as JSON.

use serde::Serialize;
use serde_json::ser::PrettyFormatter;

use super::DbArguments;
use super::copies;
use crate::format;
use crate::lifecycle::Context;
use crate::model::dump;
use crate::store::{StoreError, read_bytes};
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;

/// Prints JSON, with or without `--json`.
pub fn run(
    call: &mut Invocation,
    context: &Context,
    arguments: &DbArguments,
) -> Result<u8, Failure> {
    let version = match arguments.copy() {
        Some(word) => copies::find(context, word)?,
        None => copies::current_store(context),
    };
    let bytes = read_bytes(&version.path)?;
    let qubes = format::read(bytes).map_err(|source| StoreError::Format {
        path: version.path.clone(),
        source,
    })?;
    let mut text = Vec::new();
    let mut writer =
        serde_json::Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b" "));
    dump::dump_system(&qubes, context.facts()).serialize(&mut writer)?;
    call.out.line(&String::from_utf8_lossy(&text))?;
    Ok(0)
}
