//! Properties of the network, some as the qube itself sees it.

use super::rules::{require_no_network_users, require_valid_netvm};
use super::value_type::{QUBE, TEXT, ValueType};
use super::{
    Completion, Consequences, DEFAULT_NETVM, DefaultValue, EmptyText, GUESTS, Property,
    PropertyContext, PropertyError, Rule, Value,
};
use crate::model::network;
use crate::model::property;
use crate::model::vm::Vm;

const MAC_TYPE: ValueType = ValueType::Text {
    normalize: check_mac,
    empty: EmptyText::Refused,
};

pub(super) const ROWS: &[Property] = &[
    Property::new(
        "netvm",
        GUESTS,
        QUBE,
        DefaultValue::Computed(|context| match default_netvm(context.vm) {
            Some(property) => property::global_value(context.qubes, property, context.facts),
            None => Ok(Value::Qube(None)),
        }),
        "The qube that connects this one to the network; none: not connected. Unset, it is the \
         system's default_netvm, and none for a TemplateVM.",
    )
    .depends_on_power()
    .accepts_none()
    .completion(Completion::Netvms)
    .late()
    .rule(Rule::Qube(require_valid_netvm))
    .consequences(Consequences::Qube(super::consequences::reattach_network)),
    Property::new(
        "provides_network",
        GUESTS,
        ValueType::Bool,
        DefaultValue::Bool(false),
        "Whether other qubes may have this one as their netvm.",
    )
    .rule(Rule::Qube(require_no_network_users))
    .consequences(Consequences::Qube(
        super::consequences::update_servicevm_feature,
    )),
    Property::new(
        "mac",
        GUESTS,
        MAC_TYPE,
        DefaultValue::Text("00:16:3e:5e:6c:00"),
        "Hardware address of the qube's network interface.",
    ),
    Property::new(
        "ip",
        GUESTS,
        ValueType::Ip4,
        DefaultValue::Computed(|context| {
            Ok(
                network::default_ip(context.qubes, context.vm, context.facts)?
                    .map_or(Value::None, Value::Ip4),
            )
        }),
        "The qube's IPv4 address.",
    ),
    Property::new(
        "ip6",
        GUESTS,
        ValueType::Ip6,
        DefaultValue::Computed(|context| {
            Ok(
                network::default_ip6(context.qubes, context.vm, context.facts)?
                    .map_or(Value::None, Value::Ip6),
            )
        }),
        "The qube's IPv6 address.",
    ),
    Property::new(
        "gateway",
        GUESTS,
        TEXT,
        DefaultValue::Computed(|context| {
            network::gateway(context.qubes, context.vm, context.facts)
        }),
        "The IPv4 address at which qubes that have this one as their netvm reach it.",
    )
    .computed(),
    Property::new(
        "gateway6",
        GUESTS,
        TEXT,
        DefaultValue::Computed(|context| {
            network::gateway6(context.qubes, context.vm, context.facts)
        }),
        "The IPv6 address at which qubes that have this one as their netvm reach it.",
    )
    .computed(),
    Property::new(
        "visible_ip",
        GUESTS,
        TEXT,
        DefaultValue::Computed(|context| {
            network::visible_ip(context.qubes, context.vm, context.facts)
        }),
        "The qube's IPv4 address as the qube itself sees it.",
    )
    .computed(),
    Property::new(
        "visible_ip6",
        GUESTS,
        TEXT,
        DefaultValue::Computed(visible_ip6),
        "The qube's IPv6 address as the qube itself sees it.",
    )
    .computed(),
    Property::new(
        "visible_gateway",
        GUESTS,
        TEXT,
        DefaultValue::Computed(|context| {
            network::visible_gateway(context.qubes, context.vm, context.facts)
        }),
        "The qube's IPv4 gateway as the qube itself sees it.",
    )
    .computed(),
    Property::new(
        "visible_gateway6",
        GUESTS,
        TEXT,
        DefaultValue::Computed(|context| {
            network::visible_gateway6(context.qubes, context.vm, context.facts)
        }),
        "The qube's IPv6 gateway as the qube itself sees it.",
    )
    .computed(),
    Property::new(
        "visible_netmask",
        GUESTS,
        TEXT,
        DefaultValue::Computed(|context| {
            network::visible_netmask(context.qubes, context.vm, context.facts)
        }),
        "The IPv4 netmask as the qube itself sees it.",
    )
    .computed(),
    Property::new(
        "dns",
        GUESTS,
        TEXT,
        DefaultValue::Computed(|context| network::dns(context.qubes, context.vm, context.facts)),
        "The qube's name servers.",
    )
    .with_json_type("array")
    .computed(),
];

/// Returns the global property that is the default of the qube's netvm; `None` for a TemplateVM.
pub(super) fn default_netvm(vm: &Vm) -> Option<&'static Property> {
    vm.class.has_default_netvm().then_some(DEFAULT_NETVM)
}

fn check_mac(text: &str) -> Result<String, PropertyError> {
    let mac = text.to_ascii_lowercase();
    let is_pair = |pair: &str| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
    match mac.split(':').count() == 6 && mac.split(':').all(is_pair) {
        true => Ok(mac),
        false => Err(PropertyError::Inaccessible("mac")),
    }
}

fn visible_ip6(context: &PropertyContext<'_>) -> Result<Value, PropertyError> {
    property::value_by_name(context.qubes, context.vm, "ip6", context.facts)
}
