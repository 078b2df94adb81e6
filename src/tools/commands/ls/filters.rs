//! The filters of qvm-ls. A qube must pass all of them.

use crate::model::boolean::BooleanDialect;
use crate::model::{PowerState, Property, Vm};
use crate::tools::ui::failure::{Failure, quoted};
use crate::tools::ui::filter_terms::FilterTerms;
use crate::tools::ui::hint::Hint;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::values::Values;

/// The filters of a command line.
pub struct Filters<'a> {
    classes: Option<Vec<&'a str>>,
    labels: Option<Vec<&'a str>>,
    tags: Option<Vec<&'a str>>,
    without_tags: Vec<&'a str>,
    states: Vec<PowerState>,
    templates: Option<Vec<&'a str>>,
    netvms: Option<Vec<&'a str>>,
    internal: Option<bool>,
    servicevm: Option<bool>,
    pending_update: bool,
    features: Vec<(&'a str, ValueFilter<'a>)>,
    properties: Vec<(&'a str, ValueFilter<'a>)>,
}

/// The value that a feature or property must have.
#[derive(Debug, PartialEq, Eq)]
enum ValueFilter<'a> {
    /// `K=`: not set at all.
    Unset,
    /// `K=VALUE`; `K=""` and `K=''`, quotes and all, stand for the empty value.
    Value(&'a str),
}

impl<'a> Filters<'a> {
    /// Reads the filters of a command line.
    ///
    /// # Errors
    /// A value has a wrong form: a usage error.
    pub fn from_arguments(call: &'a Invocation) -> Result<Filters<'a>, Failure> {
        // The values contain no commas, so `--class=AppVM,DispVM` is split. In contrast to two
        // words, names of qubes may follow it.
        let words = |id| {
            call.values(id)
                .into_iter()
                .flat_map(|word| word.split(','))
                .collect()
        };
        let several = |id| call.is_given(id).then(|| words(id));
        let states = [
            ("running", PowerState::Running),
            ("paused", PowerState::Paused),
            ("halted", PowerState::Halted),
        ];
        Ok(Filters {
            classes: several("class"),
            labels: several("label"),
            tags: several("tags"),
            without_tags: words("exclude-tags"),
            states: states
                .into_iter()
                .filter(|(id, _)| call.has(id))
                .map(|(_, state)| state)
                .collect(),
            templates: several("template-source"),
            netvms: several("netvm-is"),
            internal: yes_or_no(call, "internal")?,
            servicevm: yes_or_no(call, "servicevm")?,
            pending_update: call.has("pending-update"),
            features: parse_value_filters(call, "features")?,
            properties: parse_value_filters(call, "prefs")?,
        })
    }

    /// Returns the values that name something.
    pub fn words(&self) -> FilterTerms<'_> {
        let tags = [self.tags.as_deref().unwrap_or_default(), &self.without_tags].concat();
        FilterTerms {
            class: self.classes.as_deref(),
            label: self.labels.as_deref(),
            tags,
            template: self.templates.as_deref(),
            netvm: self.netvms.as_deref(),
            features: self.features.iter().map(|(name, _)| *name).collect(),
            properties: self.properties.iter().map(|(name, _)| *name).collect(),
        }
    }

    /// Whether a filter needs power states.
    pub fn needs_states(&self) -> bool {
        let is_live = |name| Property::rows(name).any(|property| property.is_live);
        !self.states.is_empty() || self.properties.iter().any(|(name, _)| is_live(name))
    }

    /// Whether there are no filters.
    pub fn is_empty(&self) -> bool {
        self.classes.is_none() && self.is_class_only()
    }

    /// Whether the class is the only filter, so that no more of a qube has to be read.
    pub fn is_class_only(&self) -> bool {
        self.labels.is_none()
            && self.tags.is_none()
            && self.without_tags.is_empty()
            && self.states.is_empty()
            && self.templates.is_none()
            && self.netvms.is_none()
            && self.internal.is_none()
            && self.servicevm.is_none()
            && !self.pending_update
            && self.features.is_empty()
            && self.properties.is_empty()
    }

    /// Whether a class passes.
    pub fn matches_class(&self, class: &str) -> bool {
        self.classes
            .as_ref()
            .is_none_or(|classes| classes.contains(&class))
    }

    /// Whether a qube passes every filter.
    pub fn matches(&self, values: &Values, vm: &Vm) -> bool {
        let is_true = |text: &str| BooleanDialect::ListedFeature.is_true(text);
        let feature_is_true = |name| vm.features.get(name).is_some_and(is_true);
        self.matches_class(vm.class.as_str())
            && self.labels.as_ref().is_none_or(|l| {
                values
                    .text(vm, "label")
                    .is_some_and(|label| l.contains(&&*label))
            })
            && self
                .tags
                .as_ref()
                .is_none_or(|tags| tags.iter().any(|t| vm.has_tag(t)))
            && (self.without_tags.is_empty() || self.without_tags.iter().any(|t| !vm.has_tag(t)))
            && (self.states.is_empty() || self.states.contains(&values.state(vm)))
            && self
                .templates
                .as_ref()
                .is_none_or(|names| has_reference_to(values, vm, "template", names))
            && self
                .netvms
                .as_ref()
                .is_none_or(|names| has_reference_to(values, vm, "netvm", names))
            && self
                .internal
                .is_none_or(|wanted| feature_is_true("internal") == wanted)
            && self
                .servicevm
                .is_none_or(|wanted| feature_is_true("servicevm") == wanted)
            && (!self.pending_update
                || vm
                    .features
                    .get("updates-available")
                    .is_some_and(|v| !v.is_empty()))
            && self
                .features
                .iter()
                .all(|(name, filter)| filter.accepts(vm.features.get(name)))
            && self.properties.iter().all(|(name, filter)| match filter {
                // As in upstream, where a property always has a text.
                ValueFilter::Unset => false,
                ValueFilter::Value(value) => values.python_text(vm, name) == *value,
            })
    }
}

impl ValueFilter<'_> {
    fn accepts(&self, value: Option<&str>) -> bool {
        match self {
            ValueFilter::Unset => value.is_none(),
            ValueFilter::Value(wanted) => value == Some(wanted),
        }
    }
}

/// Whether a property refers to one of the qubes; the empty name stands for qubes without the
/// property.
fn has_reference_to(values: &Values, vm: &Vm, property: &str, names: &[&str]) -> bool {
    if !values.has(vm, property) {
        return names.contains(&"");
    }
    values
        .text(vm, property)
        .is_some_and(|name| names.contains(&&*name))
}

fn yes_or_no(call: &Invocation, id: &'static str) -> Result<Option<bool>, Failure> {
    match call.value(id) {
        None => Ok(None),
        Some("y" | "yes") => Ok(Some(true)),
        Some("n" | "no") => Ok(Some(false)),
        Some(other) => Err(Failure::usage(format!(
            "argument --{id}: invalid choice: {} (choose from 'y', 'yes', 'n', 'no')",
            quoted(other)
        ))),
    }
}

fn parse_value_filters<'a>(
    call: &'a Invocation,
    id: &'static str,
) -> Result<Vec<(&'a str, ValueFilter<'a>)>, Failure> {
    let pairs = call
        .values(id)
        .into_iter()
        .map(|text| match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((
                name,
                match value {
                    "" => ValueFilter::Unset,
                    "\"\"" | "''" => ValueFilter::Value(""),
                    value => ValueFilter::Value(value),
                },
            )),
            _ => {
                let hint = format!(
                    "--{id} takes NAME=VALUE, and every word up to the next option; \
                                name qubes before it"
                );
                Err(Failure::usage(format!(
                    "Invalid argument: --{id} \
                                        {text}"
                ))
                .with_hint(Hint::Text(hint)))
            }
        });
    pairs.collect()
}
