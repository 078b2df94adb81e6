//! qvm-volume list and info.

use clap::Args;
use serde_json::{Value as Json, json};

use super::{find_volume_in, reported_error};
use crate::lifecycle::volume::{VolumeDetails, VolumeListEntry};
use crate::lifecycle::{Context, volume};
use crate::model::VmName;
use crate::model::boolean::boolean_text;
use crate::tools::completion;
use crate::tools::ui::arguments::JsonOption;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::hint::{self, Hint, NameKind};
use crate::tools::ui::invocation::{Invocation, read_until_exit};
use crate::tools::ui::output::{print_message, print_warning};
use crate::tools::ui::quoted::quoted;
use crate::tools::ui::selection::Selection;
use crate::tools::ui::table;

/// The properties of `info` in their order; `revisions` is the list at its end.
pub const PROPERTIES: [&str; 12] = [
    "pool",
    "vid",
    "rw",
    "source",
    "save_on_stop",
    "snap_on_start",
    "size",
    "usage",
    "revisions_to_keep",
    "ephemeral",
    "is_outdated",
    "revisions",
];

/// The arguments of `list`.
#[derive(Args)]
pub struct ListArguments {
    /// Names of qubes or shell patterns (default: all qubes)
    #[arg(value_name = "VMNAME", num_args = 0.., add = completion::GUESTS)]
    names: Vec<String>,
    /// List only volumes in this pool (can be repeated)
    #[arg(long, short, value_name = "POOL_NAME", add = completion::POOLS)]
    pool: Vec<String>,
    /// Print POOL:VOLUME on every line, on a terminal too
    #[arg(long)]
    full: bool,
    /// List the volumes of all qubes (the default)
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    output: JsonOption,
}

pub fn list(
    call: &mut Invocation,
    context: &Context,
    arguments: ListArguments,
) -> Result<u8, Failure> {
    let ListArguments {
        pool: pools,
        names,
        all: is_all,
        full,
        output,
    } = arguments;
    let qubes = read_until_exit(context)?;
    if let Some(unknown) = pools.iter().find(|pool| qubes.pools.get(pool).is_none()) {
        let failure = Failure::usage(format!("No such pools: [{}]", quoted(unknown)));
        return Err(failure.with_hint(Hint::Unknown(NameKind::Pool, unknown.clone())));
    }
    if is_all && !names.is_empty() {
        return Err(Failure::usage(
            "argument VMNAME: not allowed with argument --all",
        ));
    }
    let all: Vec<&str> = qubes.names().map(VmName::as_str).collect();
    let given = Selection {
        names,
        ..Selection::default()
    };
    let mut chosen = given.resolve(&all, true)?;
    // Upstream lists all volumes if no pattern matches. A table does so here too; JSON lists
    // nothing.
    let lists_all = chosen.is_empty() && (given.names.is_empty() || !output.json);
    let more = match lists_all {
        true => "; the volumes of all qubes are listed",
        false => "",
    };
    given
        .unmatched(&all)
        .iter()
        .for_each(|text| print_warning(&format!("{text}{more}")));
    if lists_all {
        chosen = all;
    }
    let mut volumes = volume::list(context, &qubes, &chosen);
    volumes.retain(|volume| pools.is_empty() || pools.contains(&volume.pool));
    match output.json {
        true => call.print_json(&volumes.iter().map(entry_json).collect())?,
        false => print_table(call, &volumes, full)?,
    }
    Ok(0)
}

fn entry_json(volume: &VolumeListEntry) -> Json {
    json!({
        "pool": volume.pool,
        "vid": volume.vid,
        "qube": volume.qube.as_str(),
        "volume": volume.name,
        "revert_possible": volume.is_revertible,
    })
}

/// Prints the table. On a terminal a volume of several qubes is named once, unless `full`.
fn print_table(
    call: &mut Invocation,
    volumes: &[VolumeListEntry],
    full: bool,
) -> Result<(), Failure> {
    let heading = ["POOL:VOLUME", "VMNAME", "VOLUME_NAME", "REVERT_POSSIBLE"].map(String::from);
    let mut rows = vec![heading];
    let omits_repeated = call.out.is_terminal() && !full;
    let mut last = None;
    for volume in volumes {
        let place = format!("{}:{}", volume.pool, volume.vid);
        let is_repeated = omits_repeated && last.as_ref() == Some(&place);
        let revert = if volume.is_revertible { "Yes" } else { "No" };
        rows.push([
            if is_repeated {
                String::new()
            } else {
                place.clone()
            },
            volume.qube.to_string(),
            volume.name.clone(),
            revert.to_string(),
        ]);
        last = Some(place);
    }
    table::print(&mut call.out, &rows)
}

pub fn info(
    call: &mut Invocation,
    context: &Context,
    text: &str,
    property: Option<&str>,
    output: JsonOption,
) -> Result<u8, Failure> {
    let qubes = read_until_exit(context)?;
    let (name, volume) = find_volume_in(&qubes, text)?;
    let Some(vm) = qubes.get(name.as_str()) else {
        return Err(Failure::no_such_domain(name.as_str()));
    };
    let details = volume::details(context, &qubes, vm, &volume)
        .map_err(|error| reported_error(&hint::describe(&error)))?;
    if let Some(unknown) = property.filter(|property| !PROPERTIES.contains(property)) {
        return Err(reported_error(&format!("No such property: {unknown}"))
            .with_hint(Hint::one_of(unknown, "it is one of", &PROPERTIES)));
    }
    if let Some(reason) = &details.unknown_reason
        && call.common.verbosity() > 1
    {
        print_message(&format!("{text}: {reason}"));
    }
    match property {
        _ if output.json => {
            let all = details_json(&details);
            call.print_json(property.map_or(&all, |property| &all[property]))?;
        }
        Some("revisions") => details
            .revisions
            .iter()
            .try_for_each(|revision| call.out.line(&revision.id))?,
        Some(property) => call.out.line(&property_text(&details, property))?,
        None => {
            let listed = PROPERTIES.iter().filter(|name| **name != "revisions");
            let rows: Vec<[String; 2]> = listed
                .map(|name| [name.to_string(), listed_text(&details, name)])
                .collect();
            table::print(&mut call.out, &rows)?;
            let none = if details.revisions.is_empty() {
                " none"
            } else {
                ""
            };
            call.out
                .line(&format!("List of available revisions (for revert):{none}"))?;
            // Scripts expect a line with the identifier alone.
            let dated = call.out.is_terminal();
            for revision in &details.revisions {
                let time = if dated && revision.time != revision.id {
                    format!("  {}", revision.time)
                } else {
                    String::new()
                };
                call.out.line(&format!("  {}{time}", revision.id))?;
            }
        }
    }
    Ok(0)
}

/// Returns a property as the list shows it.
fn listed_text(details: &VolumeDetails, property: &str) -> String {
    match property_text(details, property) {
        minus if property == "revisions_to_keep" && minus == "-1" => {
            "-1 (snapshot disabled)".to_string()
        }
        text => text,
    }
}

fn property_text(details: &VolumeDetails, property: &str) -> String {
    let truth = |on: bool| boolean_text(on).to_string();
    let volume = &details.volume;
    match property {
        "pool" => volume.pool.clone(),
        "vid" => volume.vid.clone(),
        "rw" => truth(volume.rw),
        "source" => volume.source.clone().unwrap_or_default(),
        "save_on_stop" => truth(volume.save_on_stop),
        "snap_on_start" => truth(volume.snap_on_start),
        "size" => details.size.to_string(),
        "usage" => details.usage.unwrap_or(0).to_string(),
        "revisions_to_keep" => volume.revisions_to_keep.to_string(),
        "ephemeral" => truth(volume.ephemeral),
        "is_outdated" => truth(details.is_outdated),
        _ => String::new(),
    }
}

fn details_json(details: &VolumeDetails) -> Json {
    let volume = &details.volume;
    let revision = |r: &crate::storage::Revision| json!({"id": r.id, "time": r.time});
    json!({
        "qube": details.qube.as_str(),
        "volume": volume.name,
        "pool": volume.pool,
        "vid": volume.vid,
        "rw": volume.rw,
        "source": volume.source,
        "save_on_stop": volume.save_on_stop,
        "snap_on_start": volume.snap_on_start,
        "size": details.size,
        "usage": details.usage,
        "revisions_to_keep": volume.revisions_to_keep,
        "ephemeral": volume.ephemeral,
        "is_outdated": details.is_outdated,
        "revisions": details.revisions.iter().map(revision).collect::<Vec<_>>(),
    })
}
