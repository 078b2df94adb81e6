//! R3's texts of values, and what is stored for its words.

use crate::model::boolean::BooleanDialect;
use crate::model::property::ValueType;
use crate::model::{Property, Vm};
use crate::tools::commands::prefs::stored_text::stored_text;

/// Whether a boolean feature is on.
pub(crate) fn is_on(vm: &Vm, feature: &str, default: bool) -> bool {
    vm.features
        .get(feature)
        .map_or(default, |text| BooleanDialect::Feature.is_true(text))
}

/// Returns `['a', 'b']`. Addresses contain no quotes.
pub(crate) fn python_list(items: &[String]) -> String {
    let quoted: Vec<String> = items.iter().map(|item| format!("'{item}'")).collect();
    format!("[{}]", quoted.join(", "))
}

/// Returns the text to store for a property; `None` for the default, which the word `default` names
/// where no value can be called so. With `--set`, R3's special words count for every property that
/// had them there.
pub fn stored_value<'a>(property: &Property, text: &'a str, by_set: bool) -> Option<&'a str> {
    match (property.name, text) {
        ("netvm", "default") | ("mac", "auto") => None,
        ("kernel" | "kernelopts", "default") if by_set => None,
        ("kernel", none) if by_set && none.eq_ignore_ascii_case("none") => Some(""),
        _ => Some(stored_text(property, text)),
    }
}

/// Returns the text to store for a property of the system: with `--set`, `none` is no qube.
pub fn stored_global_value<'a>(property: &Property, text: &'a str, by_set: bool) -> &'a str {
    let refers = matches!(property.value_type, ValueType::Qube { .. });
    if by_set && refers && text.eq_ignore_ascii_case("none") {
        ""
    } else {
        stored_text(property, text)
    }
}
