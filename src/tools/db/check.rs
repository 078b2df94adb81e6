//! qubes-db check.

use serde_json::json;

use super::{copies, one_line};
use crate::format::{self, Damage};
use crate::lifecycle::Session;
use crate::model::check::Harm;
use crate::store::read_bytes;
use crate::tools::failure::Failure;
use crate::tools::invocation::Invocation;

pub fn run(call: &mut Invocation, session: &Session) -> Result<u8, Failure> {
    let version = match call.values("copy").first() {
        Some(word) => copies::find(session, word)?,
        None => copies::the_store(session),
    };
    let is_store = call.values("copy").is_empty();
    let bytes = match read_bytes(&version.path) {
        Ok(bytes) => bytes,
        Err(error) if is_store => return Err(Failure::error(format!("{error}; {}", copies::way_out(session)))),
        Err(error) => return Err(error.into()),
    };
    let damages = format::damage(&bytes, session);
    if call.has("json") {
        let listed: Vec<_> = damages.iter().map(as_json).collect();
        call.out.line(&serde_json::to_string_pretty(&listed)?)?;
        return Ok(u8::from(!damages.is_empty()));
    }
    let file = version.path.display().to_string();
    for damage in &damages {
        tell(call, &file, damage)?;
    }
    if is_store && format::check(&bytes).is_err() {
        call.out.line(&copies::way_out(session))?;
    }
    if format::read(bytes).is_ok_and(|qubes| qubes.needs_conversion) {
        let (what, how) = ("written by Qubes R3 or older", "qubes-db convert --dry-run tells what it would become");
        call.inform("qubes-db", &format!("{file}: {what}; the next change converts it to R4, and {how}"));
    }
    let errors = damages.iter().filter(|d| d.harm == Harm::Refused).count();
    call.inform("qubes-db", &summary(&file, errors, damages.len() - errors));
    Ok(u8::from(!damages.is_empty()))
}

/// Two lines, the first as compilers write it, so that editors jump there.
fn tell(call: &mut Invocation, file: &str, damage: &Damage) -> Result<(), Failure> {
    let line = damage.line.map(|n| format!(":{n}")).unwrap_or_default();
    let qube = damage.qube.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
    call.out.line(&format!("{file}{line}: {}: {qube}{}", word(damage.harm), one_line(&damage.text)))?;
    call.out.line(&format!("    repair: {}", one_line(&damage.remedy.to_string())))
}

fn word(harm: Harm) -> &'static str {
    match harm {
        Harm::Refused => "error",
        Harm::Misread => "warning",
    }
}

fn summary(file: &str, errors: usize, warnings: usize) -> String {
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    match (errors, warnings) {
        (0, 0) => format!("{file}: nothing is wrong"),
        (0, _) => format!("{file}: {}; qubesd loads it", count(warnings, "warning")),
        _ => format!("{file}: {} that qubesd refuses it for, {}", count(errors, "error"), count(warnings, "warning")),
    }
}

fn as_json(damage: &Damage) -> serde_json::Value {
    json!({
        "line": damage.line,
        "qube": damage.qube.as_ref().map(|name| name.as_str()),
        "severity": word(damage.harm),
        "text": damage.text,
        "repair": damage.remedy.to_string(),
    })
}
