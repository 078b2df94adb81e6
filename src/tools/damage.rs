//! How tools speak of what is wrong with a store: in one line, whatever there is.

use crate::lifecycle::Session;
use crate::model::{Qubes, Vm, VmName};

/// The qubes among some that cannot be relied on, each with what is wrong.
pub struct Broken<'q> {
    of_store: Vec<&'q str>,
    qubes: Vec<(&'q VmName, Vec<String>)>,
}

impl<'q> Broken<'q> {
    /// Those of `vms`, and what is wrong with the store outside any qube.
    pub fn among(qubes: &'q Qubes, vms: &[&'q Vm], session: &Session) -> Broken<'q> {
        let of_store = qubes.diagnoses.iter().map(|d| d.text.as_str()).collect();
        Broken { of_store, qubes: qubes.broken(vms, session) }
    }

    /// These, whatever else is wrong.
    pub fn of_qubes(qubes: Vec<(&'q VmName, Vec<String>)>) -> Broken<'q> {
        Broken { of_store: Vec::new(), qubes }
    }

    /// What is wrong with a qube; nothing with most.
    pub fn texts(&self, name: &VmName) -> &[String] {
        self.qubes.iter().find(|(broken, _)| *broken == name).map_or(&[], |(_, texts)| texts)
    }

    pub fn contains(&self, name: &VmName) -> bool {
        !self.texts(name).is_empty()
    }

    /// Who says it, and the line; nothing where nothing is wrong.
    pub fn line(&self, tool: &'static str) -> Option<(String, String)> {
        let more = "qubes-db check tells more";
        match (self.of_store.as_slice(), self.qubes.as_slice()) {
            ([], []) => None,
            ([one], []) => Some((tool.to_owned(), (*one).to_owned())),
            ([], [(name, texts)]) => {
                let first = texts.first().map(String::as_str).unwrap_or_default();
                let others = texts.len().saturating_sub(1);
                let more = if others > 0 { format!(" (and {others} more; {more})") } else { String::new() };
                Some((name.to_string(), format!("{first}{more}")))
            }
            (of_store, qubes) => {
                let names: Vec<&str> = qubes.iter().map(|(name, _)| name.as_str()).take(5).collect();
                let others = if qubes.len() > names.len() { ", …" } else { "" };
                let mut parts = Vec::new();
                match names.as_slice() {
                    [] => {}
                    [name] => parts.push(format!("'{name}' is broken")),
                    _ => parts.push(format!("{} qubes are broken ({}{others})", qubes.len(), names.join(", "))),
                }
                match of_store {
                    [] => {}
                    [one] => parts.push((*one).to_owned()),
                    [one, ..] => parts.push(format!("{one}, and {} things more", of_store.len() - 1)),
                }
                Some((tool.to_owned(), format!("{}; {more}", parts.join("; "))))
            }
        }
    }
}
