//! The property table, which listing, help, completion, saving and validation read
//! (`docs/spec/r4-properties.md` §2–§4). A new property is one row in one of the files below.

mod behaviour;
mod by_class;
mod change;
mod consequences;
mod conversion;
mod error;
mod globals;
mod identity;
mod kernels;
mod kernels_dir;
mod legacy;
mod memory;
mod network;
mod read;
mod references;
mod row;
mod rules;
mod table;
mod typed;
mod value;
mod value_type;

pub use by_class::PropertyByClass;
pub use change::{reset, reset_global, set, set_global};
pub use error::PropertyError;
pub use kernels_dir::kernels_dir;
pub use legacy::LegacyForm;
pub use memory::{can_balance_memory, has_pci};
pub use read::{
    default_value, global_default, global_value, global_value_by_name, is_global_default,
    is_inherited, is_true, value, value_by_name,
};
pub use row::{
    AppliedChange, AppliesTo, Completion, Consequences, DefaultValue, Property, PropertyContext,
    ProposedChange, Rule, Scope,
};
pub use rules::{disposables_of, has_memory_hotplug};
pub use table::{
    AUTOSTART, DEBUG, DEFAULT_KERNEL, DEFAULT_NETVM, INSTALLED_BY_RPM, KERNEL, NETVM, PROPERTIES,
    PROVIDES_NETWORK, VIRT_MODE, class_properties, global_properties,
};
pub use typed::{
    VirtMode, audiovm, guivm, is_on, is_preloaded, is_template_for_dispvms, kernel, kernelopts,
    label, maxmem, memory, memory_for_start, netvm, netvm_chain, provides_network, reference,
    template, template_chain, text, vcpus, virt_mode,
};
pub use value::Value;
pub use value_type::{EmptyText, ValueType};

pub(super) use change::validate;
pub(super) use rules::has_default_netvm;
pub(super) use value::read_int;

pub(super) use rules::dispvm_template_error;

use row::{ADMIN, GUESTS};
