//! A damage of a file: what is wrong, at which line, and what a repair changes.

use std::ops::Range;

use super::source_lines::SourceLines;
use crate::model::check::{FindingKind, Harm};
use crate::model::{Finding, Location, Remedy, VmName};

/// One finding, with its place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The line, from 1; `None` if the finding has no place in the file.
    pub line: Option<usize>,
    /// The affected qube.
    pub qube: Option<VmName>,
    /// What is wrong, as one of the documented kinds.
    pub kind: FindingKind,
    /// What the damage leads to.
    pub harm: Harm,
    /// What is wrong, in one line without the name of the qube.
    pub text: String,
    /// What repairs it.
    pub remedy: Remedy,
    pub(super) target: Target,
}

impl Damage {
    /// Creates a warning about something outside the text that only a person can repair.
    pub fn for_manual_repair(
        line: Option<usize>,
        qube: Option<VmName>,
        kind: FindingKind,
        text: String,
        what: &str,
    ) -> Damage {
        let remedy = Remedy::Manual(what.to_owned());
        Damage {
            line,
            qube,
            kind,
            harm: Harm::Misread,
            text,
            remedy,
            target: Target::Text,
        }
    }

    /// Creates a damage of the text, for which upstream refuses the store.
    pub(super) fn of_text(
        line: Option<usize>,
        kind: FindingKind,
        text: String,
        remedy: Remedy,
    ) -> Damage {
        Damage {
            line,
            qube: None,
            kind,
            harm: Harm::Refused,
            text,
            remedy,
            target: Target::Text,
        }
    }

    /// Creates a damage of the element at `range`, for which upstream refuses the store.
    pub(super) fn of_element(
        lines: &SourceLines,
        range: Range<usize>,
        kind: FindingKind,
        text: String,
        remedy: Remedy,
    ) -> Damage {
        Damage {
            line: Some(lines.line_at(range.start)),
            target: Target::Element(range),
            ..Damage::of_text(None, kind, text, remedy)
        }
    }
}

/// What a repair changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// Something in the collection.
    Known(Location),
    /// An element of the file that is not in the collection.
    Element(Range<usize>),
    /// The text of the file.
    Text,
}

/// Returns the findings about the collection, with their positions in `damages`.
pub(super) fn known_findings(damages: &[Damage]) -> impl Iterator<Item = (usize, Finding)> + '_ {
    damages
        .iter()
        .enumerate()
        .filter_map(|(n, damage)| match &damage.target {
            Target::Known(at) => {
                let Damage {
                    kind,
                    harm,
                    text,
                    remedy,
                    ..
                } = damage.clone();
                Some((
                    n,
                    Finding {
                        at: at.clone(),
                        kind,
                        harm,
                        text,
                        remedy,
                    },
                ))
            }
            _ => None,
        })
}
