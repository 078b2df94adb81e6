//! Everything that is wrong with a file: its form, and what it says ([`crate::model::check`]), each with its line.

use std::collections::HashSet;

use super::index::Section;
use super::places::{Places, label_number};
use super::tree::Tree;
use super::{Bytes, FormatError, check, full, read, usable_name};
use crate::model::check::{Harm, Part};
use crate::model::{At, Facts, Finding, Qubes, Remedy, VmName};

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// From 1; `None` for what stands nowhere.
    pub line: Option<usize>,
    /// The qube it is about.
    pub qube: Option<VmName>,
    pub harm: Harm,
    /// One line for a person, without the qube's name.
    pub text: String,
    pub remedy: Remedy,
}

/// What is wrong with `bytes` as a store, in the order of the file. Where they cannot be read at all, that is the one
/// thing.
pub fn damage(bytes: &Bytes, facts: &dyn Facts) -> Vec<Damage> {
    let mut found = Vec::new();
    let form = check(bytes).err();
    found.extend(form.as_ref().map(of_form));
    let places = Places::of(bytes);
    match read(bytes.clone()) {
        // What keeps it from being read is what `check` has found.
        Err(error) if form.is_none() => found.push(of_form(&error)),
        Err(_) => {}
        Ok(qubes) if qubes.needs_conversion => found.extend(of_old(&qubes, bytes, &places)),
        Ok(qubes) => {
            head(&places, &mut found);
            domains(&places, &mut found);
            for vm in qubes.iter() {
                let told = vm.diagnoses.iter().filter(|d| form.as_ref().is_none_or(|f| f.to_string() != d.text));
                let line = places.line(&At::Qube { name: vm.name.clone(), part: Part::Domain });
                found.extend(told.map(|d| Damage {
                    line,
                    qube: Some(vm.name.clone()),
                    harm: Harm::Refused,
                    text: d.text.clone(),
                    remedy: Remedy::ByHand(format!("mend it in an editor, or qvm-remove {}", vm.name)),
                }));
            }
            found.extend(qubes.findings(facts).into_iter().map(|finding| locate(finding, &places)));
        }
    }
    found.sort_by_key(|damage| damage.line);
    found
}

/// What means nothing in a store of R1 to R3: its conversion leaves that out. That it is old is no damage.
fn of_old(qubes: &Qubes, bytes: &[u8], places: &Places) -> Vec<Damage> {
    let Ok(tree) = full::document(bytes) else { return Vec::new() };
    let line = |name: &VmName| {
        let called = |id: &usize| tree.attribute(*id, "name").as_deref() == Some(name.as_str());
        tree.children(Tree::ROOT).find(called).map(|id| places.line_of(tree.whole(id).start))
    };
    let damage = |qube: Option<&VmName>, text: &str| Damage {
        line: qube.and_then(line),
        qube: qube.cloned(),
        harm: Harm::Misread,
        text: text.to_owned(),
        remedy: Remedy::ByHand("set it anew after the conversion, or mend it in an editor before".into()),
    };
    let of_system = qubes.diagnoses.iter().map(|d| damage(None, &d.text));
    let of_qubes = qubes.iter().flat_map(|vm| vm.diagnoses.iter().map(|d| damage(Some(&vm.name), &d.text)));
    of_system.chain(of_qubes).collect()
}

fn locate(finding: Finding, places: &Places) -> Damage {
    let Finding { at, harm, text, remedy } = finding;
    Damage { line: places.line(&at), qube: at.qube().cloned(), harm, text, remedy }
}

/// That the file is no store that can be read.
fn of_form(error: &FormatError) -> Damage {
    let back = "go back to a copy: qubes-db restore COPY";
    let (line, text, what) = match error {
        FormatError::NotWellFormed { line, column, reason } => {
            let text = format!("not well-formed XML at column {column}: {reason}");
            (Some(*line), text, format!("mend it in an editor, or {back}"))
        }
        other => (None, other.to_string(), back.to_owned()),
    };
    let remedy = Remedy::ByHand(what);
    Damage { line, qube: None, harm: Harm::Refused, text, remedy }
}

/// Labels and pools that the reader leaves out.
fn head(places: &Places, found: &mut Vec<Damage>) {
    let mut add = |tree: &Tree, id, text: String, what: &str| {
        let line = Some(places.line_of(tree.whole(id).start));
        let remedy = Remedy::TakeOut { what: what.into() };
        found.push(Damage { line, qube: None, harm: Harm::Refused, text, remedy });
    };
    for tree in places.sections(Section::Labels) {
        for id in tree.children_named(Tree::ROOT, b"label").filter(|id| label_number(&tree, *id).is_none()) {
            add(&tree, id, format!("label '{}' has no number: its id is not label-N", tree.text(id)), "the label");
        }
    }
    for tree in places.sections(Section::Pools) {
        let nameless = |id: &usize| tree.attribute(*id, "name").is_none_or(|n| n.is_empty());
        for id in tree.children_named(Tree::ROOT, b"pool").filter(nameless) {
            add(&tree, id, "a storage pool has no name".into(), "the pool");
        }
    }
}

/// Domains that cannot be used: without a usable name, or the second of a name.
fn domains(places: &Places, found: &mut Vec<Damage>) {
    let mut seen = HashSet::new();
    for entry in &places.index().domains {
        let (qube, text) = match usable_name(entry) {
            Err(reason) => (None, format!("this domain cannot be used: {reason}")),
            Ok(name) if !seen.insert(name.clone()) => {
                (Some(name.clone()), "a second qube has this name; the first is used".to_owned())
            }
            Ok(_) => continue,
        };
        let line = Some(places.line_of(entry.span.start as usize));
        let remedy = Remedy::ByHand("give it a name of its own in an editor, or take the domain out".into());
        found.push(Damage { line, qube, harm: Harm::Refused, text, remedy });
    }
}
