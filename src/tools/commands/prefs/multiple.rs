//! qvm-prefs for several qubes: all of them, those that match a pattern, or a list of names,
//! filtered by class, tag and label.

use super::selected_qubes::SelectedQubes;
use clap::Args;

use super::rejected_value::RejectedValue;
use super::{QubePrefsArguments, changed, listing, print_property_help, qube_properties};
use crate::lifecycle::{Context, qube};
use crate::model::{Property, Qubes, Scope, Vm, VmName};
use crate::tools::completion::{self, ReplacesFirst};
use crate::tools::r3;
use crate::tools::ui::arguments::{NotUpstream, OUTPUT_OPTIONS};
use crate::tools::ui::failure::Failure;
use crate::tools::ui::filter_terms::FilterTerms;
use crate::tools::ui::hint;
use crate::tools::ui::invocation::{Invocation, read_until_exit};
use crate::tools::ui::output::print_warning;
use crate::tools::ui::quoted::quoted;
use crate::tools::ui::selection::{Selection, is_pattern, no_match};
use crate::tools::ui::values::Values;

/// The section of the manual page about several qubes.
pub const MANUAL: &str = "\
VMNAME may be a shell pattern, quoted so that the shell does not expand it, or several names and \
patterns separated by commas: qvm-prefs 'sys-*,work' netvm. With --all there is no VMNAME, and the \
first argument is the property. --class, --tags and --label leave only qubes of one of these; \
without VMNAME they choose from all.

Several qubes are listed one property a line: qube, property, mark, value. A property that a qube \
does not have has no line.

--changed lists explicit values that differ from the default, as: qube, property, default -> \
value. Properties without a default (the name, the label, the template) are left out; explicit \
values that equal the default are too (--hide-default shows them).

A value, or --default, applies to all of the qubes or to none: it is one change of the store, and \
if one of the qubes cannot have the value nothing is changed. Qubes that do not have the property \
are left out, and so is dom0 with --all. The qubes that were changed are named on standard error, \
unless --quiet is given.";

/// The options that select several qubes.
#[derive(Args)]
#[command(next_help_heading = OUTPUT_OPTIONS)]
pub struct SeveralQubes {
    /// Select all qubes; the first argument is then PROPERTY
    #[arg(long, add = NotUpstream, add = ReplacesFirst)]
    pub all: bool,
    /// With --all, leave out this qube (can be repeated)
    #[arg(
        long,
        value_name = "EXCLUDE",
        add = NotUpstream,
        add = completion::QUBES
    )]
    exclude: Vec<String>,
    /// Select only qubes of these classes
    #[arg(
        long,
        value_name = "CLASS,...",
        value_delimiter = ',',
        add = NotUpstream,
        add = completion::CLASS_LIST
    )]
    class: Option<Vec<String>>,
    /// Select only qubes with one of these tags
    #[arg(
        long,
        value_name = "TAG,...",
        value_delimiter = ',',
        add = NotUpstream,
        add = completion::TAG_LIST
    )]
    tags: Option<Vec<String>>,
    /// Select only qubes with one of these labels
    #[arg(
        long,
        value_name = "LABEL,...",
        value_delimiter = ',',
        add = NotUpstream,
        add = completion::LABEL_LIST
    )]
    label: Option<Vec<String>>,
}

impl SeveralQubes {
    fn is_given(&self) -> bool {
        let lists = [&self.class, &self.tags, &self.label];
        self.all || !self.exclude.is_empty() || lists.into_iter().any(Option::is_some)
    }

    /// Returns the selection of these names and patterns, separated by commas, or of all qubes.
    fn selection(&self, names: Option<&str>) -> Selection {
        Selection {
            all: names.is_none(),
            exclude: self.exclude.clone(),
            names: names.map_or_else(Vec::new, |names| {
                names.split(',').map(String::from).collect()
            }),
        }
    }

    fn terms(&self) -> FilterTerms<'_> {
        FilterTerms {
            class: self.class.as_deref(),
            tags: self.tags.as_deref(),
            label: self.label.as_deref(),
            ..FilterTerms::default()
        }
    }
}

impl QubePrefsArguments {
    /// Whether the command line selects several qubes, even if only one matches.
    pub fn is_about_several(&self) -> bool {
        let is_list = |name: &String| is_pattern(name) || name.contains(',');
        self.several.is_given() || self.prefs.changed || self.qube.as_ref().is_some_and(is_list)
    }
}

/// The arguments of the command line.
struct PrefsRequest<'a> {
    /// Names and patterns; `None` for all qubes.
    names: Option<&'a str>,
    property: Option<&'a str>,
    value: Option<&'a str>,
    arguments: &'a QubePrefsArguments,
}

impl<'a> PrefsRequest<'a> {
    fn new(arguments: &'a QubePrefsArguments) -> Result<PrefsRequest<'a>, Failure> {
        let prefs = &arguments.prefs;
        let words = [&arguments.qube, &prefs.property, &prefs.value].map(Option::as_deref);
        let (names, property, value) = match (arguments.several.all, words) {
            (true, [_, _, Some(more)]) => {
                return Err(Failure::usage(format!("unrecognized arguments: {more}")));
            }
            (true, [property, value, None]) => (None, property, value),
            (false, [names, property, value]) => (names, property, value),
        };
        if prefs.changed && (value.is_some() || prefs.default) {
            return Err(Failure::usage(
                "--changed lists: it goes with neither a value nor --default",
            ));
        }
        Ok(PrefsRequest {
            names,
            property,
            value,
            arguments,
        })
    }

    fn is_change(&self) -> bool {
        self.property.is_some() && (self.value.is_some() || self.arguments.prefs.default)
    }
}

pub fn run(call: &mut Invocation, arguments: &QubePrefsArguments) -> Result<u8, Failure> {
    let prefs = &arguments.prefs;
    if prefs.help_properties {
        return print_property_help(call, prefs.output, qube_properties());
    }
    let context = Context::new(call.system()?);
    let request = PrefsRequest::new(arguments)?;
    let property = request.property.map(find_in_any_class).transpose()?;
    if request.is_change()
        && let Some(property) = property
    {
        let text = request
            .value
            .and_then(|text| r3::value_texts::stored_value(property, text, prefs.set));
        return change(call, &context, &request, property, text);
    }
    let qubes = read_until_exit(&context)?;
    let vms = selected_qubes(&context, &qubes, &request, true)?;
    vms.iter().for_each(|vm| call.warn_of_damage(vm));
    let of_qube = |vm: &Vm| -> Vec<&'static Property> {
        match property {
            Some(property) => Property::find(Scope::Class(&vm.class), property.name)
                .into_iter()
                .collect(),
            None => crate::model::class_properties(&vm.class).collect(),
        }
    };
    let view = SelectedQubes {
        qubes: &qubes,
        context: &context,
        vms: vms.iter().map(|vm| (*vm, of_qube(vm))).collect(),
    };
    match prefs.changed {
        true => changed::print_qubes(call, &view, prefs.output),
        false => listing::print(call, &view, prefs),
    }
}

/// Returns a property of this name of any class; other classes may have another one.
fn find_in_any_class(given: &str) -> Result<&'static Property, Failure> {
    let name = given.replace('-', "_");
    let found = qube_properties().into_iter().find(|p| p.name == name);
    found.ok_or_else(|| {
        Failure::usage(format!("no such property: {}", quoted(&name)))
            .with_hint(hint::unknown_property(given, None))
    })
}

/// Returns the selected qubes in the order of [`Selection::resolve`].
fn selected_qubes<'q>(
    context: &Context,
    qubes: &'q Qubes,
    request: &PrefsRequest,
    with_dom0: bool,
) -> Result<Vec<&'q Vm>, Failure> {
    let several = &request.arguments.several;
    let given = several.selection(request.names);
    given.check_exclude()?;
    let all: Vec<&str> = qubes.names().map(VmName::as_str).collect();
    if let Some(name) = request
        .names
        .filter(|name| !all.contains(name) && find_in_any_class(name).is_ok())
    {
        let text = format!(
            "{name} is a property: of all qubes that are chosen it is read with --all before it"
        );
        return Err(Failure::no_such_domain_with_hint(
            name,
            hint::Hint::text(text),
        ));
    }
    let names = given.resolve(&all, with_dom0)?;
    if let (Some(pattern), []) = (request.names, names.as_slice()) {
        return Err(no_match(pattern));
    }
    given
        .unmatched(&all)
        .iter()
        .for_each(|text| print_warning(text));
    let filters = several.terms();
    filters
        .unmatched(qubes)
        .iter()
        .for_each(|text| print_warning(text));
    let values = Values::new(qubes, context);
    Ok(names
        .into_iter()
        .filter_map(|name| qubes.get(name))
        .filter(|vm| filters.matches(&values, vm))
        .collect())
}

/// Sets or resets a property of all selected qubes that have it, for all of them or for none.
fn change(
    call: &Invocation,
    context: &Context,
    request: &PrefsRequest,
    property: &'static Property,
    text: Option<&str>,
) -> Result<u8, Failure> {
    let qubes = read_until_exit(context)?;
    let vms = selected_qubes(context, &qubes, request, false)?;
    let has = |vm: &&&Vm| Property::find(Scope::Class(&vm.class), property.name).is_some();
    let names: Vec<VmName> = vms.iter().filter(has).map(|vm| vm.name.clone()).collect();
    if names.is_empty() {
        return Err(Failure::error(format!(
            "none of the chosen qubes has {}; nothing was changed",
            property.name
        )));
    }
    let notes = qube::change_property_of_qubes(context, &names, property.name, text);
    let rejected = RejectedValue {
        context,
        qube: None,
        property,
        text,
    };
    for note in notes.map_err(|error| rejected.failure(error))? {
        call.inform("qvm-prefs", &note);
    }
    let listed: Vec<&str> = names.iter().map(VmName::as_str).collect();
    let what = if text.is_some() { "set" } else { "reset" };
    call.inform(
        "qvm-prefs",
        &format!("{} {what}: {}", property.name, listed.join(" ")),
    );
    Ok(0)
}
