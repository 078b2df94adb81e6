//! qvm-volume list and info.

use serde_json::{Value as Json, json};

use super::{find_volume_in, reported_error};
use crate::lifecycle::volume::{VolumeDetails, VolumeListEntry};
use crate::lifecycle::{Context, volume};
use crate::model::VmName;
use crate::model::boolean::boolean_text;
use crate::tools::ui::failure::{Failure, quoted};
use crate::tools::ui::hint::{self, Hint, NameKind};
use crate::tools::ui::invocation::{Invocation, read_until_exit};
use crate::tools::ui::output::{print_message, print_warning};
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

pub fn list(call: &mut Invocation, context: &Context, names: &[&str]) -> Result<u8, Failure> {
    let qubes = read_until_exit(context)?;
    let pools: Vec<String> = call.values("pool").into_iter().map(String::from).collect();
    if let Some(unknown) = pools.iter().find(|pool| qubes.pools.get(pool).is_none()) {
        let failure = Failure::usage(format!("No such pools: [{}]", quoted(unknown)));
        return Err(failure.with_hint(Hint::Unknown(NameKind::Pool, unknown.clone())));
    }
    if call.has("all") && !names.is_empty() {
        return Err(Failure::usage(
            "argument VMNAME: not allowed with argument --all",
        ));
    }
    let all: Vec<&str> = qubes.names().map(VmName::as_str).collect();
    let given = Selection {
        names: names.iter().map(ToString::to_string).collect(),
        ..Selection::default()
    };
    let mut chosen = given.resolve(&all, true)?;
    // Upstream lists all volumes if no pattern matches. A table does so here too; JSON lists
    // nothing.
    let lists_all = chosen.is_empty() && (names.is_empty() || !call.has("json"));
    let more = if lists_all {
        "; the volumes of all qubes are listed"
    } else {
        ""
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
    if call.has("json") {
        let one = |volume: &VolumeListEntry| {
            json!({
                "pool": volume.pool,
                "vid": volume.vid,
                "qube": volume.qube.as_str(),
                "volume": volume.name,
                "revert_possible": volume.is_revertible,
            })
        };
        return call
            .print_json(&volumes.iter().map(one).collect())
            .map(|()| 0);
    }
    let heading = ["POOL:VOLUME", "VMNAME", "VOLUME_NAME", "REVERT_POSSIBLE"].map(String::from);
    let mut rows = vec![heading];
    let omits_repeated = call.out.is_terminal() && !call.has("full");
    let mut last = None;
    for volume in &volumes {
        let place = format!("{}:{}", volume.pool, volume.vid);
        let shown = if omits_repeated && last.as_ref() == Some(&place) {
            String::new()
        } else {
            place.clone()
        };
        last = Some(place);
        let revert = if volume.is_revertible { "Yes" } else { "No" };
        rows.push([
            shown,
            volume.qube.to_string(),
            volume.name.clone(),
            revert.to_string(),
        ]);
    }
    table::print(&mut call.out, &rows).map(|()| 0)
}

pub fn info(
    call: &mut Invocation,
    context: &Context,
    text: &str,
    property: Option<&str>,
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
        _ if call.has("json") => {
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
