//! qubes-db history: lists the copies of the store.

use serde_json::json;

use super::copies;
use crate::clock;
use crate::format;
use crate::lifecycle::Context;
use crate::tools::ui::arguments::JsonOption;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::store_copies::{self, count_errors};
use crate::tools::ui::table;

pub fn run(call: &mut Invocation, context: &Context, output: JsonOption) -> Result<u8, Failure> {
    let (there, now) = (copies::list(context)?, clock::now());
    let mut rows = vec![["COPY", "BYTES", "QUBES", "STATE"].map(String::from)];
    let mut listed = Vec::new();
    for copy in &there {
        let loaded = store_copies::read_loadable(&copy.path);
        let error = loaded.as_ref().err().map(ToString::to_string);
        let errors = loaded
            .as_ref()
            .ok()
            .map(|bytes| count_errors(&format::find_damage(bytes, context.facts())));
        let bytes = std::fs::metadata(&copy.path).map(|m| m.len()).ok();
        let qubes = loaded
            .ok()
            .and_then(|bytes| Some(format::read(bytes).ok()?.len()));
        let time = store_copies::copy_time(&copy.path).to_owned();
        let number = |n: Option<u64>| n.map_or("-".to_owned(), |n| n.to_string());
        rows.push([
            time.clone(),
            number(bytes),
            number(qubes.map(|n| n as u64)),
            state(
                error.as_deref(),
                errors.unwrap_or_default(),
                copy.is_from_future(&now),
            ),
        ]);
        let path = copy.path.to_string_lossy();
        listed.push(json!({
            "copy": time,
            "path": path,
            "bytes": bytes,
            "qubes": qubes,
            "error": error,
            "refused_for": errors,
        }));
    }
    if output.json {
        call.out.line(&serde_json::to_string_pretty(&listed)?)?;
    } else if there.is_empty() {
        call.inform(
            "qubes-db",
            &format!(
                "there is no copy in {}",
                context.system.backup_dir().display()
            ),
        );
    } else {
        table::print(&mut call.out, &rows)?;
    }
    Ok(0)
}

/// Returns whether a copy loads, in words.
fn state(error: Option<&str>, errors: usize, is_from_future: bool) -> String {
    let state = match (error, errors) {
        (Some(error), _) => error.to_owned(),
        (None, 0) => "loads".to_owned(),
        (None, 1) => "qubesd refuses it for 1 error".to_owned(),
        (None, errors) => format!("qubesd refuses it for {errors} errors"),
    };
    if is_from_future {
        format!("{state}; its time is in the future")
    } else {
        state
    }
}
