//! Column FLAGS of qvm-ls.

use crate::model::property::{AUTOSTART, DEBUG, INSTALLED_BY_RPM, PROVIDES_NETWORK};
use crate::model::{BooleanDialect, PowerState, Property, Scope, Vm};
use crate::tools::ui::values::Values;

/// The regular expression that each cell matches, for the JSON schema.
pub const PATTERN: &str = "^[0tasdTASD-][rtpshdc?-][U-][N-][R-][i-][D-][A-]$";

/// Appends eight letters: type, state, and six properties.
pub fn push(values: &Values, vm: &Vm, cell: &mut String) {
    let kind = vm.class.spec().map_or('-', |row| row.letter);
    let is_hvm = values.text(vm, "virt_mode").as_deref() == Some("hvm");
    let state = match values.state(vm) {
        PowerState::Running => 'r',
        PowerState::Transient => 't',
        PowerState::Paused => 'p',
        PowerState::Suspended => 's',
        PowerState::Halting => 'h',
        PowerState::Dying => 'd',
        PowerState::Crashed => 'c',
        PowerState::Unknown => '?',
        PowerState::Halted => '-',
    };
    let set = |letter: char, is_set: bool| if is_set { letter } else { '-' };
    let property = |letter, property: &Property| {
        let is_known = property.is_in_scope(Scope::Class(&vm.class));
        set(letter, is_known && values.is_true_of(vm, property))
    };
    let is_true = |text: &str| BooleanDialect::ListedFeature.is_true(text);
    cell.extend([
        if is_hvm {
            kind.to_ascii_uppercase()
        } else {
            kind
        },
        state,
        set('U', values.is_true(vm, "updateable")),
        property('N', PROVIDES_NETWORK),
        property('R', INSTALLED_BY_RPM),
        set('i', vm.features.get("internal").is_some_and(is_true)),
        property('D', DEBUG),
        property('A', AUTOSTART),
    ]);
}
