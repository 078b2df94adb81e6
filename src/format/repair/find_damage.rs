//! Finds everything that is wrong with a file: in its form, and in its content
//! ([`crate::model::check`]).

use super::damage::{Damage, Target};
use super::element_damage::{check_domain_form, check_domain_names, check_labels, check_pools};
use super::salvage::salvage;
use super::salvaged::SalvagedStore;
use super::source_lines::SourceLines;
use crate::format::{Bytes, FormatError, check, read};
use crate::model::check::FindingKind;
use crate::model::{Facts, Finding, Remedy, VmName, check};

/// Finds what is wrong with `bytes` as a store, in the order of the file. If the text is damaged,
/// the part that can be salvaged is examined, too.
pub fn find_damage(bytes: &Bytes, facts: &dyn Facts) -> Vec<Damage> {
    let mut found = match check(bytes) {
        Ok(()) => content_damage(bytes, facts),
        Err(FormatError::OldFormat) => old_store_damage(bytes),
        Err(error) => text_damage(bytes, &error, facts),
    };
    found.sort_by_key(|damage| damage.line);
    found
}

/// Finds what upstream refuses or reads differently in a well-formed store.
fn content_damage(bytes: &Bytes, facts: &dyn Facts) -> Vec<Damage> {
    let qubes = match read(bytes.clone()) {
        Ok(qubes) => qubes,
        Err(error) => return vec![form_damage(&error)],
    };
    let lines = SourceLines::new(bytes);
    let mut found = Vec::new();
    check_labels(&lines, &mut found);
    check_pools(&lines, &mut found);
    check_domain_names(bytes, &lines, &mut found);
    for vm in qubes.iter().filter(|vm| !vm.diagnoses.is_empty()) {
        check_domain_form(vm, &lines, &mut found);
    }
    found.extend(
        check::findings(&qubes, facts)
            .into_iter()
            .map(|finding| locate(finding, &lines)),
    );
    found
}

/// Adds the line to a finding.
fn locate(finding: Finding, lines: &SourceLines) -> Damage {
    let Finding {
        at,
        kind,
        harm,
        text,
        remedy,
    } = finding;
    Damage {
        line: lines.find_line(&at),
        qube: at.qube().cloned(),
        kind,
        harm,
        text,
        remedy,
        target: Target::Known(at),
    }
}

/// Describes a store of R1 to R3, which no release of R4 loads.
fn old_store_damage(bytes: &Bytes) -> Vec<Damage> {
    let damage = |qube, kind, text: String| Damage {
        qube,
        ..Damage::of_text(None, kind, text, Remedy::Manual("qubes-db convert".into()))
    };
    let text =
        "written by Qubes R3 or older, and no release of R4 loads it; the next change converts it";
    let mut found = vec![damage(None, FindingKind::OldFormat, text.to_owned())];
    match read(bytes.clone()) {
        Err(error) => found.push(form_damage(&error)),
        Ok(qubes) => {
            let system = qubes.diagnoses.iter().map(|diagnosis| (None, diagnosis));
            let of_qubes = qubes
                .iter()
                .flat_map(|vm| vm.diagnoses.iter().map(|d| (Some(vm.name.clone()), d)));
            let all = system.chain(of_qubes);
            found.extend(all.map(|(qube, diagnosis)| {
                damage(qube, FindingKind::BadValue, diagnosis.text.clone())
            }));
        }
    }
    found
}

/// Describes why the file cannot be read as a store.
fn form_damage(error: &FormatError) -> Damage {
    let restore = "go back to a copy: qubes-db restore COPY";
    match error {
        FormatError::NotWellFormed {
            line,
            column,
            reason,
        } => Damage::of_text(
            Some(*line),
            FindingKind::Form,
            format!("not well-formed XML at column {column}: {reason}"),
            Remedy::Manual(format!("fix it in an editor, or {restore}")),
        ),
        other => Damage::of_text(
            None,
            FindingKind::Form,
            other.to_string(),
            Remedy::Manual(restore.to_owned()),
        ),
    }
}

/// Describes a damaged text: what can be salvaged, what is lost, and what is wrong in the rest.
fn text_damage(bytes: &Bytes, error: &FormatError, facts: &dyn Facts) -> Vec<Damage> {
    let mut form = form_damage(error);
    let Some(store) = salvage(bytes) else {
        return vec![form];
    };
    form.remedy = Remedy::Salvage(describe_salvage(&store));
    let form_line = form.line;
    let mut found = vec![form];
    found.extend(store.steps.iter().map(|step| {
        let remedy = Remedy::Salvage(step.action.clone());
        Damage::of_text(step.line, FindingKind::Form, step.problem.clone(), remedy)
    }));
    found.extend(store.lost.iter().map(|lost| {
        let action = match lost.name {
            Some(_) => "restore the qube from a copy, or give it up",
            None => "restore it from a copy",
        };
        let qube = lost.name.as_ref();
        Damage {
            qube: qube.and_then(|name| VmName::from_store(name).ok()),
            ..Damage::of_text(
                Some(lost.line).or(form_line),
                FindingKind::Form,
                lost.text.clone(),
                Remedy::Salvage(action.to_owned()),
            )
        }
    }));
    // A missing reference is a consequence of the lost part.
    let is_independent = |damage: &Damage| {
        store.lost.is_empty()
            || !matches!(
                damage.kind,
                FindingKind::Dangling
                    | FindingKind::VolumeSource
                    | FindingKind::NoDom0
                    | FindingKind::DeviceBackend
            )
    };
    let content = content_damage(&Bytes::from(store.bytes.clone()), facts).into_iter();
    found.extend(content.filter(is_independent).map(|damage| Damage {
        line: damage.line.map(|line| store.original_line(line)),
        ..damage
    }));
    found
}

/// Describes in one line what a salvage keeps.
fn describe_salvage(store: &SalvagedStore) -> String {
    let domains = store.domains;
    let kept = match store.lost.iter().filter(|lost| lost.name.is_some()).count() {
        0 if store.lost.is_empty() => format!("nothing is lost: the store has {domains} domains"),
        0 => format!("{domains} domains can be read"),
        named => format!("{domains} domains can be read, {named} cannot"),
    };
    match store.steps.first().filter(|_| store.lost.is_empty()) {
        Some(step) => format!("{}; {kept}", step.action),
        None => {
            format!("keep what can be read, or use a copy: qubes-db repair asks which; {kept}")
        }
    }
}
