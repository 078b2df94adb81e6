//! The filters of qvm-ls. A qube must pass all of them.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::model::boolean::BooleanDialect;
use crate::model::{PowerState, Property, Qubes, Vm};
use crate::tools::completion::{self, Completer, Offer};
use crate::tools::ui::failure::Failure;
use crate::tools::ui::filter_terms::{self, FilterTerms};
use crate::tools::ui::hint::Hint;
use crate::tools::ui::values::Values;

/// The options of filters. Their values contain no commas, so `--class=AppVM,DispVM` is split; in
/// contrast to two words, names of qubes may follow it.
#[derive(Args)]
#[command(next_help_heading = "Filters")]
pub struct FilterOptions {
    /// List only qubes of these classes
    #[arg(long, num_args = 1.., value_delimiter = ',', add = completion::CLASS_LIST)]
    class: Option<Vec<String>>,
    /// List only qubes with one of these labels
    #[arg(long, num_args = 1.., value_delimiter = ',', add = completion::LABEL_LIST)]
    label: Option<Vec<String>>,
    /// List only qubes with one of these tags
    #[arg(
        long,
        value_name = "TAG",
        num_args = 1..,
        value_delimiter = ',',
        add = completion::TAG_LIST
    )]
    tags: Option<Vec<String>>,
    /// List only qubes that lack one of these tags
    #[arg(
        long,
        value_name = "TAG",
        num_args = 1..,
        value_delimiter = ',',
        add = completion::TAGS
    )]
    exclude_tags: Vec<String>,
    /// List only running qubes
    #[arg(long)]
    running: bool,
    /// List only paused qubes
    #[arg(long)]
    paused: bool,
    /// List only halted qubes
    #[arg(long)]
    halted: bool,
    /// List only qubes based on these templates; "" stands for none
    #[arg(
        long,
        value_name = "TEMPLATE",
        num_args = 1..,
        value_delimiter = ',',
        add = completion::TEMPLATES
    )]
    template_source: Option<Vec<String>>,
    /// List only qubes with one of these netvms; "" stands for qubes that cannot have one
    #[arg(
        long,
        value_name = "NETVM",
        num_args = 1..,
        value_delimiter = ',',
        add = Completer(|_| Offer::Netvms)
    )]
    netvm_is: Option<Vec<String>>,
    /// List only internal qubes (y) or only others (n)
    #[arg(long, value_name = "<y|n>", value_parser = yes_or_no(), add = completion::YES_OR_NO)]
    internal: Option<bool>,
    /// List only service qubes (y) or only others (n)
    #[arg(long, value_name = "<y|n>", value_parser = yes_or_no(), add = completion::YES_OR_NO)]
    servicevm: Option<bool>,
    /// List only qubes with pending updates
    #[arg(long)]
    pending_update: bool,
    /// List only qubes with these features; FEATURE= stands for a feature that is not set
    #[arg(long, value_name = "FEATURE=VALUE", num_args = 1..)]
    features: Vec<String>,
    /// List only qubes with these property values
    #[arg(long, value_name = "PREFERENCE=VALUE", num_args = 1..)]
    prefs: Vec<String>,
}

fn yes_or_no() -> impl TypedValueParser<Value = bool> {
    PossibleValuesParser::new(["y", "yes", "n", "no"]).map(|word| word.starts_with('y'))
}

/// The filters of a command line.
pub struct Filters<'a> {
    options: &'a FilterOptions,
    states: Vec<PowerState>,
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
    pub fn new(options: &'a FilterOptions) -> Result<Filters<'a>, Failure> {
        let states = [
            (options.running, PowerState::Running),
            (options.paused, PowerState::Paused),
            (options.halted, PowerState::Halted),
        ];
        let states = states.into_iter().filter(|(is_given, _)| *is_given);
        Ok(Filters {
            options,
            states: states.map(|(_, state)| state).collect(),
            features: parse_value_filters("features", &options.features)?,
            properties: parse_value_filters("prefs", &options.prefs)?,
        })
    }

    fn terms(&self) -> FilterTerms<'_> {
        FilterTerms {
            class: self.options.class.as_deref(),
            label: self.options.label.as_deref(),
            tags: self.options.tags.as_deref(),
            other_tags: &self.options.exclude_tags,
            template: self.options.template_source.as_deref(),
            netvm: self.options.netvm_is.as_deref(),
            features: self.features.iter().map(|(name, _)| *name).collect(),
            properties: self.properties.iter().map(|(name, _)| *name).collect(),
        }
    }

    /// Returns a warning for each value that nothing in the system is named by.
    pub fn unmatched(&self, qubes: &Qubes) -> Vec<String> {
        self.terms().unmatched(qubes)
    }

    /// Whether a filter needs power states.
    pub fn needs_states(&self) -> bool {
        let is_live = |name| Property::rows(name).any(|property| property.is_live);
        !self.states.is_empty() || self.properties.iter().any(|(name, _)| is_live(name))
    }

    /// Whether there are no filters.
    pub fn is_empty(&self) -> bool {
        self.options.class.is_none() && self.is_class_only()
    }

    /// Whether the class is the only filter, so that no more of a qube has to be read.
    pub fn is_class_only(&self) -> bool {
        let lists = [
            &self.options.label,
            &self.options.tags,
            &self.options.template_source,
            &self.options.netvm_is,
        ];
        lists.into_iter().all(Option::is_none)
            && self.options.exclude_tags.is_empty()
            && self.states.is_empty()
            && self.options.internal.is_none()
            && self.options.servicevm.is_none()
            && !self.options.pending_update
            && self.features.is_empty()
            && self.properties.is_empty()
    }

    /// Whether a class passes.
    pub fn matches_class(&self, class: &str) -> bool {
        filter_terms::is_listed(self.options.class.as_deref(), Some(class))
    }

    /// Whether a qube passes every filter.
    pub fn matches(&self, values: &Values, vm: &Vm) -> bool {
        let options = self.options;
        let feature_is = |name, wanted: Option<bool>| {
            let is_true = |text: &str| BooleanDialect::ListedFeature.is_true(text);
            let is_true = || vm.features.get(name).is_some_and(is_true);
            wanted.is_none_or(|wanted| is_true() == wanted)
        };
        let refers_to = |property, names: &Option<Vec<String>>| {
            let names = names.as_deref();
            names.is_none_or(|names| has_reference_to(values, vm, property, names))
        };
        let lacks_one = || options.exclude_tags.iter().any(|tag| !vm.has_tag(tag));
        let has_updates = || {
            vm.features
                .get("updates-available")
                .is_some_and(|v| !v.is_empty())
        };
        self.terms().matches(values, vm)
            && (options.exclude_tags.is_empty() || lacks_one())
            && (self.states.is_empty() || self.states.contains(&values.state(vm)))
            && refers_to("template", &options.template_source)
            && refers_to("netvm", &options.netvm_is)
            && feature_is("internal", options.internal)
            && feature_is("servicevm", options.servicevm)
            && (!options.pending_update || has_updates())
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
fn has_reference_to(values: &Values, vm: &Vm, property: &str, names: &[String]) -> bool {
    if !values.has(vm, property) {
        return names.iter().any(String::is_empty);
    }
    filter_terms::is_listed(Some(names), values.text(vm, property).as_deref())
}

fn parse_value_filters<'a>(
    option: &str,
    texts: &'a [String],
) -> Result<Vec<(&'a str, ValueFilter<'a>)>, Failure> {
    let pairs = texts.iter().map(|text| match text.split_once('=') {
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
                "--{option} takes NAME=VALUE, and every word up to the next option; name qubes \
                 before it"
            );
            let text = format!("Invalid argument: --{option} {text}");
            Err(Failure::usage(text).with_hint(Hint::Text(hint)))
        }
    });
    pairs.collect()
}
