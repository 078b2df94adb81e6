//! How tools speak of what is wrong with a store: in one line, whatever there is.

use super::invocation::Invocation;
use crate::lifecycle::Session;
use crate::model::{Qubes, Vm, VmName};

/// The qubes among some that cannot be relied on, each with what is wrong.
pub struct Broken<'q> {
    of_store: Vec<&'q str>,
    qubes: Vec<(&'q VmName, Vec<String>)>,
    /// Of a store of R1 to R3 each thing is told: conversion will do without it.
    is_old: bool,
}

impl<'q> Broken<'q> {
    /// Those of `vms`, and what is wrong with the store outside any qube.
    pub fn among(qubes: &'q Qubes, vms: &[&'q Vm], session: &Session) -> Broken<'q> {
        let of_store = qubes.diagnoses.iter().map(|d| d.text.as_str()).collect();
        Broken { of_store, qubes: qubes.broken(vms, session), is_old: qubes.needs_conversion }
    }

    /// The same for one of them, whatever else is wrong.
    pub fn one(qubes: &'q Qubes, vm: &'q Vm, session: &Session) -> Broken<'q> {
        Broken { of_store: Vec::new(), ..Broken::among(qubes, &[vm], session) }
    }

    /// What is wrong with a qube; nothing with most.
    pub fn texts(&self, name: &VmName) -> &[String] {
        self.qubes.iter().find(|(broken, _)| *broken == name).map_or(&[], |(_, texts)| texts)
    }

    pub fn contains(&self, name: &VmName) -> bool {
        !self.texts(name).is_empty()
    }

    /// Says it in one line, if there is anything to say.
    pub fn warn(&self, call: &Invocation, tool: &'static str) {
        if self.is_old {
            self.of_store.iter().for_each(|text| call.warn(tool, text));
            let each = self.qubes.iter().flat_map(|(name, texts)| texts.iter().map(move |text| (name, text)));
            each.for_each(|(name, text)| call.warn(name.as_str(), text));
        } else if let Some((who, text)) = self.line(tool) {
            call.warn(&who, &text);
        }
    }

    /// Who says it, and the line; nothing where nothing is wrong.
    fn line(&self, tool: &'static str) -> Option<(String, String)> {
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
