//! Warnings about filter values that no qube can have, such as an unknown class or a tag that is
//! not in use. Without them such a filter would leave out every qube silently.

use std::collections::BTreeSet;

use super::suggestion::did_you_mean;
use super::values::Values;
use crate::model::property::PROPERTIES;
use crate::model::{Class, Qubes, Scope, Vm, VmName};
use crate::tools::ui::quoted::quoted;

/// The values of filters; `None` if a filter was not given.
#[derive(Debug, Default)]
pub struct FilterTerms<'a> {
    pub class: Option<&'a [String]>,
    pub label: Option<&'a [String]>,
    pub tags: Option<&'a [String]>,
    /// Tags that filter otherwise.
    pub other_tags: &'a [String],
    pub template: Option<&'a [String]>,
    pub netvm: Option<&'a [String]>,
    pub features: Vec<&'a str>,
    pub properties: Vec<&'a str>,
}

impl FilterTerms<'_> {
    /// Whether a qube has one of the classes, one of the labels and one of the tags.
    pub fn matches(&self, values: &Values, vm: &Vm) -> bool {
        let has_one = |tags: &[String]| tags.iter().any(|tag| vm.has_tag(tag));
        is_listed(self.class, Some(vm.class.as_str()))
            && (self.label.is_none() || is_listed(self.label, values.text(vm, "label").as_deref()))
            && self.tags.is_none_or(has_one)
    }

    /// Returns a warning for each value that nothing in the system is named by.
    pub fn unmatched(&self, qubes: &Qubes) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(words) = self.class {
            // The store may contain classes that this program does not know.
            let mut known: Vec<&str> = Class::all().map(Class::as_str).collect();
            known.extend(qubes.names_with_classes().map(|(_, class)| class.as_str()));
            report_unknown(&mut warnings, qubes, "there is no class", words, &known);
        }
        if let Some(words) = self.label {
            let known: Vec<&str> = qubes.labels.iter().map(|label| &*label.name).collect();
            report_unknown(&mut warnings, qubes, "there is no label", words, &known);
        }
        for words in [self.template, self.netvm].into_iter().flatten() {
            let known: Vec<&str> = qubes.names().map(VmName::as_str).chain([""]).collect();
            report_unknown(&mut warnings, qubes, "there is no qube", words, &known);
        }
        if !self.properties.is_empty() {
            let known: Vec<&str> = PROPERTIES
                .iter()
                .filter(|p| !p.is_in_scope(Scope::Global))
                .map(|p| p.name)
                .collect();
            report_unknown(
                &mut warnings,
                qubes,
                "qubes have no property",
                &self.properties,
                &known,
            );
        }
        let names_of_tags =
            |vm: &Vm, visit: &mut dyn FnMut(&str)| vm.tags.iter().for_each(|tag| visit(tag));
        report_unused(
            &mut warnings,
            "no qube has the tag",
            &[self.tags.unwrap_or_default(), self.other_tags].concat(),
            qubes,
            names_of_tags,
        );
        let names_of_features =
            |vm: &Vm, visit: &mut dyn FnMut(&str)| vm.features.names().for_each(visit);
        report_unused(
            &mut warnings,
            "no qube has the feature",
            &self.features,
            qubes,
            names_of_features,
        );
        warnings
    }
}

/// Whether a filter is not given, or names this value.
pub fn is_listed(words: Option<&[String]>, value: Option<&str>) -> bool {
    words.is_none_or(|words| value.is_some_and(|value| words.iter().any(|word| word == value)))
}

fn report_unknown(
    warnings: &mut Vec<String>,
    qubes: &Qubes,
    what: &str,
    words: &[impl AsRef<str>],
    known: &[&str],
) {
    let words = words.iter().map(AsRef::as_ref);
    for word in words.filter(|word| !known.contains(word)) {
        let close = did_you_mean(word, known.iter().copied().filter(|name| !name.is_empty()));
        let close = match qubes.contains(word) {
            // The option takes every argument up to the next option.
            true => Some(
                "it is a qube: name qubes before the option, or join its words with commas"
                    .to_string(),
            ),
            false => close,
        };
        let more = close.map_or_else(String::new, |close| format!("; {close}"));
        warnings.push(format!("{what} {}{more}", quoted(word)));
    }
}

/// Reports values that no qube has, such as tags. Qubes are read until every value was seen.
fn report_unused(
    warnings: &mut Vec<String>,
    what: &str,
    words: &[impl AsRef<str>],
    qubes: &Qubes,
    names_of: impl Fn(&Vm, &mut dyn FnMut(&str)),
) {
    let mut unseen: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    let mut known: BTreeSet<String> = BTreeSet::new();
    for qube in qubes.names() {
        if unseen.is_empty() {
            return;
        }
        qubes.inspect(qube.as_str(), |vm| {
            names_of(vm, &mut |name| {
                unseen.retain(|word| *word != name);
                if !known.contains(name) {
                    known.insert(name.to_string());
                }
            });
        });
    }
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    report_unknown(warnings, qubes, what, &unseen, &known);
}
