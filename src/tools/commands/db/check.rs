//! qubes-db check: lists what is wrong with the store or a copy.

use std::collections::HashSet;

use clap::Args;
use serde_json::json;

use super::CopyArgument;
use super::damage_report::{RepairStage, print_damages, severity, summary};
use crate::format::{self, Damage, FormatError};
use crate::lifecycle::Context;
use crate::lifecycle::volume::images;
use crate::model::check::FindingKind;
use crate::store::read_bytes;
use crate::tools::ui::arguments::JsonOption;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::hint;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::store_copies;

/// The arguments of `check`.
#[derive(Args)]
pub struct CheckArguments {
    #[command(flatten)]
    copy: CopyArgument,
    /// List every problem, also many of one kind
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    output: JsonOption,
}

pub fn run(
    call: &mut Invocation,
    context: &Context,
    arguments: &CheckArguments,
) -> Result<u8, Failure> {
    let version = arguments.copy.version(context)?;
    let is_store = arguments.copy.is_store();
    let bytes = match read_bytes(&version.path) {
        Ok(bytes) => bytes,
        Err(error) if is_store => {
            let way = store_copies::recovery_advice_for(context, &error);
            return Err(Failure::error(format!("{}; {way}", hint::describe(&error))));
        }
        Err(error) => return Err(error.into()),
    };
    let mut damages = format::find_damage(&bytes, context.facts());
    add_disk_damages(&mut damages, images::find_damage(context, &bytes));
    if arguments.output.json {
        let listed: Vec<_> = damages.iter().map(damage_json).collect();
        call.out.line(&serde_json::to_string_pretty(&listed)?)?;
        return Ok(u8::from(!damages.is_empty()));
    }
    let file = version.path.display().to_string();
    print_damages(call, arguments.all, &file, &damages, RepairStage::Proposed)?;
    let is_unreadable = |error: &FormatError| !matches!(error, FormatError::OldFormat);
    if is_store && format::check(&bytes).is_err_and(|error| is_unreadable(&error)) {
        call.out.line(&store_copies::recovery_advice(context))?;
    }
    call.inform("qubes-db", &format!("{file}: {}", summary(&damages)));
    Ok(u8::from(!damages.is_empty()))
}

/// Adds damage that was found on the disk, except shared images that the text shows already.
fn add_disk_damages(damages: &mut Vec<Damage>, found: Vec<Damage>) {
    let shared = damages
        .iter()
        .filter(|damage| damage.kind == FindingKind::VolumeShared);
    // Findings in the text name the qube separately: `volume private has …`.
    let label = |told: &Damage| {
        Some(format!(
            "{}:{}",
            told.qube.as_ref()?,
            told.text.split(' ').nth(1)?
        ))
    };
    let told: HashSet<String> = shared.filter_map(label).collect();
    // Findings on the disk name both volumes in the text.
    let names_one = |text: &str| {
        text.split(' ')
            .any(|word| told.contains(word.trim_end_matches(':')))
    };
    let is_told = |new: &Damage| new.kind == FindingKind::VolumeShared && names_one(&new.text);
    damages.extend(found.into_iter().filter(|new| !is_told(new)));
    damages.sort_by_key(|damage| damage.line);
}

fn damage_json(damage: &Damage) -> serde_json::Value {
    json!({
        "line": damage.line,
        "qube": damage.qube.as_ref().map(|name| name.as_str()),
        "severity": severity(damage.harm),
        "kind": damage.kind.as_str(),
        "text": damage.text,
        "repair": damage.remedy.to_string(),
        "automatic": damage.remedy.is_automatic(),
    })
}
