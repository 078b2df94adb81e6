//! The words that completion offers for arguments that name things of the store.

use super::arguments::{self, Parsed};
use super::complete::{Candidate, candidate};
use super::qubes_given::is_pattern;
use super::values::Values;
use crate::lifecycle::Session;
use crate::model::property::Kind as PropertyKind;
use crate::model::{Class, Property, Qubes, Scope, global_properties, properties_of};
use crate::system::{Options, System};

/// What sort of thing an argument names.
#[derive(Debug)]
pub enum Kind<'a> {
    Qubes,
    Templates,
    Netvms,
    Labels,
    Classes,
    Pools,
    Tags,
    /// Tags that one qube has.
    TagsOf(Option<&'a str>),
    /// Features that one qube has, whose names begin with this; it is left out.
    Features {
        of: Option<&'a str>,
        below: &'a str,
    },
    /// Copies of the store.
    Copies,
    /// Properties of a qube, or of the system.
    Properties {
        of: Option<&'a str>,
    },
    /// Values of one property.
    ValuesOf {
        of: Option<&'a str>,
        property: &'a str,
    },
    /// These.
    Words(Vec<&'static str>),
}

/// All words of a kind, in their order. A store that cannot be read offers nothing: completion is no place for
/// error messages. `words` is the command line, which may say where the store is.
pub fn of_kind(kind: &Kind, words: &[String]) -> Vec<Candidate> {
    if let Kind::Words(words) = kind {
        return words.iter().map(|w| candidate(w, "")).collect();
    }
    if let Kind::Classes = kind {
        return Class::ALL.iter().map(|c| candidate(c.as_str(), "")).collect();
    }
    let options = Options { offline: true, ..place(words) };
    let Ok(system) = System::new(options) else { return Vec::new() };
    let session = Session::new(system);
    if let Kind::Copies = kind {
        return super::db::names_of_copies(&session).iter().map(|name| candidate(name, "")).collect();
    }
    let Ok(qubes) = session.read() else { return Vec::new() };
    from_store(kind, &qubes, &session)
}

/// The classes of the qubes that a word means: of one, or of any where it may mean several.
fn classes(qubes: &Qubes, word: &str) -> Vec<Class> {
    match is_pattern(word) || word.contains(',') {
        true => Class::ALL.to_vec(),
        false => qubes.class(word).cloned().into_iter().collect(),
    }
}

fn from_store(kind: &Kind, qubes: &Qubes, session: &Session) -> Vec<Candidate> {
    let with_classes = |wanted: &dyn Fn(&Class) -> bool| {
        let fitting = qubes.briefs().filter(|(_, class)| wanted(class));
        fitting.map(|(name, class)| candidate(name.as_str(), class.as_str())).collect()
    };
    match *kind {
        Kind::Qubes => with_classes(&|_| true),
        Kind::Templates => with_classes(&|class| *class == Class::TemplateVM),
        Kind::Netvms => {
            let values = Values::new(qubes, session);
            let providing = qubes.iter().filter(|vm| values.is_true(vm, "provides_network"));
            providing.map(|vm| candidate(vm.name.as_str(), vm.class.as_str())).collect()
        }
        Kind::Labels => qubes.labels.iter().map(|l| candidate(&l.name, "")).collect(),
        Kind::Pools => qubes.pools.iter().map(|p| candidate(p.name(), p.driver())).collect(),
        Kind::Tags => {
            let mut tags: Vec<&str> = qubes.iter().flat_map(|vm| vm.tags.iter().map(|t| &**t)).collect();
            tags.sort_unstable();
            tags.dedup();
            tags.into_iter().map(|t| candidate(t, "")).collect()
        }
        Kind::TagsOf(name) => {
            let vm = name.and_then(|name| qubes.get(name));
            vm.map(|vm| vm.tags.iter().map(|t| candidate(t, "")).collect()).unwrap_or_default()
        }
        Kind::Features { of, below } => {
            let vm = of.and_then(|name| qubes.get(name));
            let names = vm.into_iter().flat_map(|vm| vm.features.iter().filter_map(|(n, _)| n.strip_prefix(below)));
            names.map(|name| candidate(name, "")).collect()
        }
        Kind::Properties { of: None } => global_properties().map(|p| candidate(p.name, p.doc)).collect(),
        Kind::Properties { of: Some(name) } => {
            let mut properties: Vec<_> = classes(qubes, name).iter().flat_map(properties_of).collect();
            properties.sort_by_key(|p| p.name);
            properties.dedup_by_key(|p| p.name);
            properties.iter().map(|p| candidate(p.name, p.doc)).collect()
        }
        Kind::ValuesOf { of, property } => {
            let name = property.replace('-', "_");
            let found = match of {
                None => Property::find(Scope::Global, &name),
                Some(of) => classes(qubes, of).iter().find_map(|class| Property::find(Scope::Class(class), &name)),
            };
            found.map(|property| values_of(property, qubes, session)).unwrap_or_default()
        }
        Kind::Classes | Kind::Copies | Kind::Words(_) => Vec::new(),
    }
}

fn values_of(property: &Property, qubes: &Qubes, session: &Session) -> Vec<Candidate> {
    let words = |words: &[&str]| words.iter().map(|w| candidate(w, "")).collect();
    match property.kind {
        PropertyKind::Bool => words(&["True", "False"]),
        PropertyKind::Label => from_store(&Kind::Labels, qubes, session),
        PropertyKind::Pool => from_store(&Kind::Pools, qubes, session),
        PropertyKind::Qube { .. } if property.name == "netvm" => from_store(&Kind::Netvms, qubes, session),
        PropertyKind::Qube { .. } if property.name == "template" => from_store(&Kind::Templates, qubes, session),
        PropertyKind::Qube { .. } => from_store(&Kind::Qubes, qubes, session),
        _ if property.name == "virt_mode" => words(&["hvm", "pv", "pvh"]),
        _ => Vec::new(),
    }
}

/// Where the command line says the store is.
fn place(words: &[String]) -> Options {
    let mut given = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--root" | "--qubesxml" => given.extend([Some(word), words.next()].into_iter().flatten().cloned()),
            w if w.starts_with("--root=") || w.starts_with("--qubesxml=") => given.push(word.clone()),
            _ => {}
        }
    }
    let given = given.into_iter().map(Into::into).collect();
    match arguments::parse(&mut arguments::common("qubes"), given) {
        Ok(Parsed::Matches(matches)) => arguments::place(&matches),
        _ => Options::default(),
    }
}
