//! Repairs what [`crate::format::find_damage()`] finds, in rounds: one repair may reveal further
//! damage.

use uuid::Uuid;

use super::damage::{Damage, Target, known_findings};
use super::find_damage::find_damage;
use crate::format::document::edit::Edits;
use crate::format::document::edit::LineShift;
use crate::format::document::parse;
use crate::format::document::patch::Patch;
use crate::format::document::patch_domain::patch_domain;
use crate::format::document::patch_store;
use crate::format::error::FormatError;
use crate::format::xml::tree::Tree;
use crate::format::{Bytes, read_r4};
use crate::model::check::FindingKind;
use crate::model::{Class, Facts, Finding, Remedy, VmName, check};

/// Largest number of rounds, more than any file needs: each repairs everything of one sort.
const MAX_ROUNDS: usize = 12;

/// A repaired file, with what was repaired and what remains.
pub struct RepairedStore {
    /// The new content.
    pub bytes: Bytes,
    /// What was repaired, with the lines of the original file.
    pub repaired: Vec<Damage>,
    /// What remains, with the lines of the repaired file.
    pub remaining: Vec<Damage>,
}

/// Repairs a well-formed store. `uuid` generates new UUIDs.
///
/// # Errors
/// The file is not well-formed, or a value cannot be written in XML.
pub fn repair(
    bytes: &Bytes,
    facts: &dyn Facts,
    uuid: &mut dyn FnMut() -> Uuid,
) -> Result<RepairedStore, FormatError> {
    let mut now = bytes.clone();
    let mut done = Vec::new();
    let mut maps: Vec<LineShift> = Vec::new();
    for _ in 0..MAX_ROUNDS {
        let found = find_damage(&now, facts);
        let (edits, repaired) = repair_round(&now, &found, facts, uuid)?;
        if repaired.is_empty() {
            return Ok(RepairedStore {
                bytes: now,
                repaired: done,
                remaining: found,
            });
        }
        for damage in repaired {
            let line = damage
                .line
                .map(|line| maps.iter().rev().fold(line, |line, map| map.original(line)));
            done.push(Damage { line, ..damage });
        }
        maps.push(edits.line_shift(&now));
        now = edits.apply(&now).into();
    }
    let left = find_damage(&now, facts);
    Ok(RepairedStore {
        bytes: now,
        repaired: done,
        remaining: left,
    })
}

/// Repairs elements that are not in the collection, or, if there are none, the collection.
fn repair_round(
    bytes: &Bytes,
    found: &[Damage],
    facts: &dyn Facts,
    uuid: &mut dyn FnMut() -> Uuid,
) -> Result<(Edits, Vec<Damage>), FormatError> {
    let mut edits = Edits::default();
    let mut repaired = Vec::new();
    for damage in found.iter().filter(|damage| damage.remedy.is_automatic()) {
        if let Target::Element(range) = &damage.target
            && repair_element(bytes, range.clone(), &damage.remedy, &mut edits)?
        {
            repaired.push(damage.clone());
        }
    }
    if !repaired.is_empty() {
        return Ok((edits, repaired));
    }
    let mut loops = 0;
    // Removing one netvm may resolve other loops, too: only one is repaired per round.
    let mut is_due = |finding: &Finding| {
        loops += usize::from(finding.kind == FindingKind::NetvmLoop);
        finding.remedy.is_automatic() && (finding.kind != FindingKind::NetvmLoop || loops == 1)
    };
    let (positions, findings): (Vec<usize>, Vec<Finding>) =
        known_findings(found).filter(|(_, f)| is_due(f)).unzip();
    let mut qubes = read_r4(bytes.clone())?;
    let done = check::apply_remedies(&mut qubes, &findings, facts, uuid);
    let edits = patch_store::collect_edits(bytes, &qubes)?;
    let repaired = positions
        .iter()
        .zip(&done)
        .filter(|(_, done)| **done)
        .filter_map(|(at, _)| found.get(*at).cloned());
    Ok((edits, repaired.collect()))
}

/// Edits one element; returns whether the remedy applied.
fn repair_element(
    bytes: &[u8],
    range: std::ops::Range<usize>,
    remedy: &Remedy,
    edits: &mut Edits,
) -> Result<bool, FormatError> {
    let tree = Tree::parse_element(bytes, range.clone()).map_err(|fault| fault.locate(bytes))?;
    match remedy {
        Remedy::Remove { .. } => edits.delete(tree.blank_start(range.start)..range.end),
        Remedy::SetAttribute { name, value } => {
            let mut target = parse::read_attributes(&tree, Tree::ROOT);
            target.set(name, value);
            Patch {
                tree: &tree,
                edits,
                place: "the store".into(),
            }
            .set_attributes(Tree::ROOT, &target)?;
        }
        Remedy::NewName(new) => {
            let Ok(new) = VmName::new(new) else {
                return Ok(false);
            };
            let class = Class::from_store(&tree.attribute(Tree::ROOT, "class").unwrap_or_default());
            let old = parse::read_vm(&tree, new.clone(), class);
            let mut named = old.clone();
            named.properties.set("name", new.as_str());
            patch_domain(&tree, edits, &old, &named)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}
