//! Values that early R4 stores hold in another form (`docs/spec/r4-xml.md` §2). Upstream converts
//! them when it loads the store; here they are read, and removed when the property is set or reset.

use crate::model::boolean::{BooleanDialect, boolean_text};
use crate::model::vm::Vm;

/// Another form in which a store can hold a property's value.
#[derive(Clone, Copy)]
pub struct LegacyForm {
    /// The old name of the property, if the other form is a property.
    pub property: Option<&'static str>,
    /// Returns the value in effect instead of the property's own text, if there is one.
    pub read: fn(&Vm) -> Option<&'static str>,
    /// Removes the other form.
    pub remove: fn(&mut Vm),
}

/// Property `hvm`, a boolean: the form of `virt_mode` before there were three modes.
pub(super) const HVM: LegacyForm = LegacyForm {
    property: Some("hvm"),
    read: |vm| {
        let hvm = vm
            .properties
            .get("hvm")
            .filter(|_| !vm.properties.contains("virt_mode"))?;
        BooleanDialect::Literal
            .parse(hvm)
            .map(|on| if on { "hvm" } else { "pv" })
    },
    remove: |vm| {
        vm.properties.remove("hvm");
    },
};

/// Property `dispvm_allowed`: the old name of `template_for_dispvms`.
pub(super) const DISPVM_ALLOWED: LegacyForm = LegacyForm {
    property: Some("dispvm_allowed"),
    read: |vm| {
        let allowed = vm
            .properties
            .get("dispvm_allowed")
            .filter(|_| !vm.properties.contains("template_for_dispvms"))?;
        BooleanDialect::Literal.parse(allowed).map(boolean_text)
    },
    remove: |vm| {
        vm.properties.remove("dispvm_allowed");
    },
};

/// Feature `service.meminfo-writer`: empty, it turned memory balancing off before maxmem could be
/// 0. It has precedence over maxmem.
pub(super) const MEMINFO_WRITER: LegacyForm = LegacyForm {
    property: None,
    read: |vm| (vm.features.get("service.meminfo-writer") == Some("")).then_some("0"),
    remove: |vm| {
        vm.features.remove("service.meminfo-writer");
    },
};
