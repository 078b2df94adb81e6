//! Finds the words of an offer that fit.

use clap::FromArgMatches as _;

use super::candidate::{Candidate, Completions, candidate};
use super::offer::Offer;
use super::{names, properties, settings};
use crate::lifecycle::Context;
use crate::model::{Class, Qubes, property};
use crate::system::{System, SystemOptions};
use crate::tools::ui::arguments::{CommonOptions, base_command};
use crate::tools::ui::command_line::{self, Parsed};
use crate::tools::ui::invocation::read_until_exit;
use crate::tools::ui::store_copies;

impl Offer<'_> {
    /// Returns what begins with `begun`. A store that cannot be read has nothing: completion prints
    /// no errors. `line` is the command line, which may name the store.
    pub fn completions(&self, begun: &str, line: &[String]) -> Completions {
        match self {
            Offer::Files => Completions {
                file: true,
                ..Completions::default()
            },
            // `-O name,state,cl`: complete the last name of the list. Names contain no commas.
            Offer::List(of) => {
                let (front, last) = begun.split_at(begun.rfind(',').map_or(0, |at| at + 1));
                of.completions(last, line).with_prefix(front)
            }
            Offer::Name(of) => {
                let mut found = of.completions(begun, line);
                found.candidates.iter_mut().for_each(|c| c.word.push('='));
                found
            }
            Offer::Value(name, of) => {
                let front = format!("{name}=");
                let value = begun.strip_prefix(&front).unwrap_or_default();
                of.completions(value, line).with_prefix(&front)
            }
            _ => {
                let mut all = self.candidates(begun, line).unwrap_or_default();
                all.retain(|candidate| candidate.word.starts_with(begun));
                all.into()
            }
        }
    }

    fn candidates(&self, begun: &str, line: &[String]) -> Option<Vec<Candidate>> {
        let fixed = self.fixed();
        if fixed.is_some() {
            return fixed;
        }
        let system = System::new(SystemOptions {
            offline: true,
            ..system_options(line)
        });
        let context = Context::new(system.ok()?);
        if let Offer::Copies = self {
            return Some(plain(&store_copies::copy_times(&context)));
        }
        let qubes = read_until_exit(&context).ok()?;
        Some(self.in_store(begun, &qubes, &context))
    }

    /// Returns the candidates that need no store.
    fn fixed(&self) -> Option<Vec<Candidate>> {
        match self {
            Offer::Nothing => Some(Vec::new()),
            Offer::Words(words) => Some(plain(words)),
            Offer::Classes => Some(plain(&Class::names())),
            _ => None,
        }
    }

    /// Returns the candidates from a store. Where there may be a thousand, only those that begin
    /// with `begun`.
    pub(super) fn in_store(&self, begun: &str, qubes: &Qubes, context: &Context) -> Vec<Candidate> {
        match *self {
            Offer::Qubes(which) => names::qubes(which, begun, qubes, context),
            Offer::Templates => names::of_class(qubes, |class| *class == Class::TemplateVM),
            Offer::DisposableTemplates => names::qubes_that(qubes, |vm| {
                property::is_template_for_dispvms(qubes, vm, context.facts())
            }),
            Offer::Netvms => names::netvms(qubes, context),
            Offer::Labels => {
                let labels = qubes.labels.iter();
                labels.map(|label| candidate(&label.name, "")).collect()
            }
            Offer::Pools => {
                let pools = qubes.pools.iter();
                pools
                    .map(|pool| candidate(pool.name(), pool.driver()))
                    .collect()
            }
            Offer::Volumes => names::volumes(qubes),
            Offer::Revisions(volume) => {
                names::revisions(volume, qubes, context).unwrap_or_default()
            }
            Offer::Tags => settings::tags(qubes),
            Offer::TagsOf(name) => settings::tags_of(name, qubes),
            Offer::Features { of, only_own } => settings::features(of, only_own, qubes),
            Offer::Services { of, only_own } => settings::services(of, only_own, qubes),
            Offer::PropertiesOfClass(ref class) => properties::at_creation(class),
            Offer::ValuesOfClass {
                ref class,
                property,
            } => properties::values_of_class(class, property, qubes, context),
            Offer::Properties { of } => properties::names(of, qubes),
            Offer::ValuesOf { of, property } => properties::values_of(of, property, qubes, context),
            _ => self.fixed().unwrap_or_default(),
        }
    }
}

fn plain(words: &[impl AsRef<str>]) -> Vec<Candidate> {
    words
        .iter()
        .map(|word| candidate(word.as_ref(), ""))
        .collect()
}

/// Returns the options of a command line that name the store.
fn system_options(words: &[String]) -> SystemOptions {
    let mut given = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--root" | "--qubesxml" => {
                given.extend([Some(word), words.next()].into_iter().flatten().cloned())
            }
            w if w.starts_with("--root=") || w.starts_with("--qubesxml=") => {
                given.push(word.clone())
            }
            _ => {}
        }
    }
    let given = given.into_iter().map(Into::into).collect();
    match command_line::parse(&mut base_command("qubes"), given) {
        Ok(Parsed::Matches(matches)) => CommonOptions::from_arg_matches(&matches)
            .map(|common| common.system_options())
            .unwrap_or_default(),
        _ => SystemOptions::default(),
    }
}
