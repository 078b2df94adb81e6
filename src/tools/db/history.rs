//! qubes-db history.

use serde_json::json;

use super::copies;
use crate::format;
use crate::lifecycle::Session;
use crate::tools::failure::Failure;
use crate::tools::invocation::Invocation;
use crate::tools::table;

pub fn run(call: &mut Invocation, session: &Session) -> Result<u8, Failure> {
    let there = copies::all(session)?;
    let mut rows = vec![["COPY", "BYTES", "QUBES", "STATE"].map(String::from)];
    let mut listed = Vec::new();
    for copy in &there {
        let loaded = copies::loads(&copy.path);
        let state = loaded.as_ref().err().map(ToString::to_string);
        let bytes = std::fs::metadata(&copy.path).map(|m| m.len()).ok();
        let qubes = loaded.ok().and_then(|bytes| Some(format::read(bytes).ok()?.len()));
        let time = copies::time_of(&copy.path).to_owned();
        let number = |n: Option<u64>| n.map_or("-".to_owned(), |n| n.to_string());
        rows.push([
            time.clone(),
            number(bytes),
            number(qubes.map(|n| n as u64)),
            state.clone().unwrap_or_else(|| "loads".into()),
        ]);
        let path = copy.path.to_string_lossy();
        listed.push(json!({"copy": time, "path": path, "bytes": bytes, "qubes": qubes, "error": state}));
    }
    if call.has("json") {
        call.out.line(&serde_json::to_string_pretty(&listed)?)?;
    } else if there.is_empty() {
        call.inform("qubes-db", &format!("there is no copy in {}", session.system.backup_dir().display()));
    } else {
        table::print(&mut call.out, &rows)?;
    }
    Ok(0)
}
