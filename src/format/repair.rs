//! Doing what [`super::find_damage()`] says, round after round: what is mended first may bring to light
//! what lay behind it.

use uuid::Uuid;

use super::damage::{Damage, Target, known};
use super::edit::Edits;
use super::error::FormatError;
use super::patch::Patch;
use super::patch_domain::patch_domain;
use super::reader;
use super::salvage::Lines;
use super::tree::Tree;
use super::{Bytes, find_damage, read_r4, writer};
use crate::model::check::FindingKind;
use crate::model::{Class, Facts, Finding, Remedy, VmName};

/// More rounds than any file needs: each mends all of what it finds of one sort.
const ROUNDS: usize = 12;

/// A file with what was mended in it, and what is left.
pub struct RepairedStore {
    pub bytes: Bytes,
    /// With the lines of the file as it was.
    pub repaired: Vec<Damage>,
    /// With the lines of the file as it is now.
    pub remaining: Vec<Damage>,
}

/// Mends a well-formed store. `uuid` gives fresh ones.
///
/// # Errors
/// The file is not well-formed, or what is to be written cannot be.
pub fn repair(
    bytes: &Bytes,
    facts: &dyn Facts,
    uuid: &mut dyn FnMut() -> Uuid,
) -> Result<RepairedStore, FormatError> {
    let mut now = bytes.clone();
    let mut done = Vec::new();
    let mut maps: Vec<Lines> = Vec::new();
    for _ in 0..ROUNDS {
        let found = find_damage(&now, facts);
        let (edits, mended) = round(&now, &found, facts, uuid)?;
        if mended.is_empty() {
            return Ok(RepairedStore {
                bytes: now,
                repaired: done,
                remaining: found,
            });
        }
        for damage in mended {
            let line = damage
                .line
                .map(|line| maps.iter().rev().fold(line, |line, map| map.before(line)));
            done.push(Damage { line, ..damage });
        }
        maps.push(edits.lines(&now));
        now = edits.applied_to(&now).into();
    }
    let left = find_damage(&now, facts);
    Ok(RepairedStore {
        bytes: now,
        repaired: done,
        remaining: left,
    })
}

/// Mends elements that the collection does not know, or else what it knows.
fn round(
    bytes: &Bytes,
    found: &[Damage],
    facts: &dyn Facts,
    uuid: &mut dyn FnMut() -> Uuid,
) -> Result<(Edits, Vec<Damage>), FormatError> {
    let mut edits = Edits::default();
    let mut mended = Vec::new();
    for damage in found.iter().filter(|damage| damage.remedy.is_automatic()) {
        if let Target::Element(range) = &damage.target
            && mend_element(bytes, range.clone(), &damage.remedy, &mut edits)?
        {
            mended.push(damage.clone());
        }
    }
    if !mended.is_empty() {
        return Ok((edits, mended));
    }
    let mut loops = 0;
    // When one qube of a loop has no netvm any more, there may be none.
    let mut is_due = |finding: &Finding| {
        loops += usize::from(finding.kind == FindingKind::NetvmLoop);
        finding.remedy.is_automatic() && (finding.kind != FindingKind::NetvmLoop || loops == 1)
    };
    let (positions, findings): (Vec<usize>, Vec<Finding>) =
        known(found).filter(|(_, f)| is_due(f)).unzip();
    let mut qubes = read_r4(bytes.clone())?;
    let done = qubes.apply_remedies(&findings, facts, uuid);
    let edits = writer::changes(bytes, &qubes)?;
    let mended = positions
        .iter()
        .zip(&done)
        .filter(|(_, done)| **done)
        .filter_map(|(at, _)| found.get(*at).cloned());
    Ok((edits, mended.collect()))
}

/// Whether something was done.
fn mend_element(
    bytes: &[u8],
    range: std::ops::Range<usize>,
    remedy: &Remedy,
    edits: &mut Edits,
) -> Result<bool, FormatError> {
    let tree = Tree::of_element(bytes, range.clone()).map_err(|fault| fault.locate(bytes))?;
    match remedy {
        Remedy::Remove { .. } => edits.delete(tree.blank_before(range.start)..range.end),
        Remedy::SetAttribute { name, value } => {
            let mut wanted = reader::attributes(&tree, Tree::ROOT);
            wanted.set(name, value);
            Patch {
                tree: &tree,
                edits,
                place: "the store".into(),
            }
            .attributes(Tree::ROOT, &wanted)?;
        }
        Remedy::NewName(new) => {
            let Ok(new) = VmName::for_new(new) else {
                return Ok(false);
            };
            let class = Class::from_store(&tree.attribute(Tree::ROOT, "class").unwrap_or_default());
            let old = reader::vm(&tree, new.clone(), class);
            let mut named = old.clone();
            named.properties.set("name", new.as_str());
            patch_domain(&tree, edits, &old, &named)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}
