//! What early R4 stores say in another place (`docs/spec/r4-xml.md` §2): upstream moves it when it
//! loads, so it counts here, and goes when the property is set or reset.

use super::parse_bool;
use crate::model::vm::Vm;

/// Another place in which a property's value may stand.
#[derive(Clone, Copy)]
pub struct LegacyForm {
    /// The text that counts instead of the property's own, if there is one.
    pub read: fn(&Vm) -> Option<&'static str>,
    /// Takes it away.
    pub forget: fn(&mut Vm),
}

/// Property `hvm`, from before there were three modes.
pub(super) const HVM: LegacyForm = LegacyForm {
    read: |vm| {
        let hvm = vm
            .properties
            .get("hvm")
            .filter(|_| !vm.properties.contains("virt_mode"))?;
        parse_bool(hvm).map(|on| if on { "hvm" } else { "pv" })
    },
    forget: |vm| {
        vm.properties.remove("hvm");
    },
};

/// Property `dispvm_allowed`.
pub(super) const DISPVM_ALLOWED: LegacyForm = LegacyForm {
    read: |vm| {
        let allowed = vm
            .properties
            .get("dispvm_allowed")
            .filter(|_| !vm.properties.contains("template_for_dispvms"))?;
        parse_bool(allowed).map(|on| if on { "True" } else { "False" })
    },
    forget: |vm| {
        vm.properties.remove("dispvm_allowed");
    },
};

/// Feature `service.meminfo-writer`, which turned memory balancing off before maxmem could be 0. It
/// wins over maxmem.
pub(super) const MEMINFO_WRITER: LegacyForm = LegacyForm {
    read: |vm| (vm.features.get("service.meminfo-writer") == Some("")).then_some("0"),
    forget: |vm| {
        vm.features.remove("service.meminfo-writer");
    },
};
