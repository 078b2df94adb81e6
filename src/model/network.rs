//! Network addresses of qubes, computed from their numbers (`docs/spec/r4-properties.md` §5.4).

use core::net::{Ipv4Addr, Ipv6Addr};

use super::class::Class;
use super::facts::Facts;
use super::property::{PropertyError, Value};
use super::qubes::Qubes;
use super::vm::Vm;
use crate::model::features;
use crate::model::property;

/// The name servers of every qube with a network.
const DNS: [&str; 2] = ["10.139.1.1", "10.139.1.2"];
const NETMASK: &str = "255.255.255.255";

/// The second octet of IPv4 addresses and the seventh group of IPv6 addresses, for ordinary qubes
/// and for disposables.
const ORDINARY: (u8, u16) = (137, 0xa89);
const DISPOSABLE: (u8, u16) = (138, 0xa8a);

type PropertyResult = Result<Value, PropertyError>;

/// Returns whether the qube has a network: whether it provides one or has a netvm.
///
/// # Errors
/// The netvm cannot be read.
pub fn is_networked(qubes: &Qubes, vm: &Vm, facts: &dyn Facts) -> Result<bool, PropertyError> {
    Ok(
        property::provides_network(qubes, vm, facts)
            || property::netvm(qubes, vm, facts)?.is_some(),
    )
}

/// Returns whether IPv6 is enabled: the feature `ipv6` of the qube or along its netvms.
pub fn has_ipv6(qubes: &Qubes, vm: &Vm, facts: &dyn Facts) -> bool {
    features::is_on(features::get_with_netvm(qubes, vm, "ipv6", facts))
}

/// Returns the qube's IPv4 address.
///
/// # Errors
/// The property `ip` or one that it depends on cannot be read.
pub fn ip(qubes: &Qubes, vm: &Vm, facts: &dyn Facts) -> Result<Option<Ipv4Addr>, PropertyError> {
    match property::value_by_name(qubes, vm, "ip", facts)? {
        Value::Ip4(ip) => Ok(Some(ip)),
        _ => Ok(None),
    }
}

pub(super) fn default_ip(
    qubes: &Qubes,
    vm: &Vm,
    facts: &dyn Facts,
) -> Result<Option<Ipv4Addr>, PropertyError> {
    if !is_networked(qubes, vm, facts)? {
        return Ok(None);
    }
    let (id, (second, _)) = address_number(qubes, vm, facts)?;
    Ok(Some(ip4(second, id)))
}

pub(super) fn default_ip6(
    qubes: &Qubes,
    vm: &Vm,
    facts: &dyn Facts,
) -> Result<Option<Ipv6Addr>, PropertyError> {
    if !is_networked(qubes, vm, facts)? || !has_ipv6(qubes, vm, facts) {
        return Ok(None);
    }
    let (id, (_, group)) = address_number(qubes, vm, facts)?;
    Ok(Some(Ipv6Addr::new(
        0xfd09, 0x24ef, 0x4179, 0, 0, 0, group, id,
    )))
}

/// Returns the number that the addresses are computed from, and the networks for it.
fn address_number(
    qubes: &Qubes,
    vm: &Vm,
    facts: &dyn Facts,
) -> Result<(u16, (u8, u16)), PropertyError> {
    let (property, nets) = match vm.class {
        Class::DispVM => ("dispid", DISPOSABLE),
        _ => ("qid", ORDINARY),
    };
    // A fast path: the property is nearly always an explicit plain number.
    if let Some(id) = vm
        .properties
        .get(property)
        .and_then(|text| text.parse().ok())
    {
        return Ok((id, nets));
    }
    let number = property::value_by_name(qubes, vm, property, facts)?;
    let id = number
        .as_int()
        .and_then(|n| u16::try_from(n).ok())
        .ok_or_else(|| {
            PropertyError::refused(format!(
                "{property} {number} of qube '{}' gives no address",
                vm.name
            ))
        })?;
    Ok((id, nets))
}

pub(super) fn visible_ip(qubes: &Qubes, vm: &Vm, facts: &dyn Facts) -> PropertyResult {
    fake_address(qubes, vm, "net.fake-ip")
        .map_or_else(|| property::value_by_name(qubes, vm, "ip", facts), Ok)
}

pub(super) fn gateway(qubes: &Qubes, vm: &Vm, facts: &dyn Facts) -> PropertyResult {
    match property::provides_network(qubes, vm, facts) {
        true => visible_ip(qubes, vm, facts),
        false => Ok(Value::None),
    }
}

pub(super) fn gateway6(qubes: &Qubes, vm: &Vm, facts: &dyn Facts) -> PropertyResult {
    match property::provides_network(qubes, vm, facts) && has_ipv6(qubes, vm, facts) {
        true => property::value_by_name(qubes, vm, "ip6", facts),
        false => Ok(Value::None),
    }
}

pub(super) fn visible_gateway(qubes: &Qubes, vm: &Vm, facts: &dyn Facts) -> PropertyResult {
    match (
        fake_address(qubes, vm, "net.fake-gateway"),
        property::netvm(qubes, vm, facts)?,
    ) {
        (Some(fake), _) => Ok(fake),
        (None, Some(netvm)) => gateway(qubes, netvm, facts),
        (None, None) => Ok(Value::None),
    }
}

pub(super) fn visible_gateway6(qubes: &Qubes, vm: &Vm, facts: &dyn Facts) -> PropertyResult {
    match property::netvm(qubes, vm, facts)? {
        Some(netvm) if has_ipv6(qubes, vm, facts) => gateway6(qubes, netvm, facts),
        _ => Ok(Value::None),
    }
}

pub(super) fn visible_netmask(qubes: &Qubes, vm: &Vm, facts: &dyn Facts) -> PropertyResult {
    match (
        fake_address(qubes, vm, "net.fake-netmask"),
        property::netvm(qubes, vm, facts)?,
    ) {
        (Some(fake), _) => Ok(fake),
        (None, Some(netvm)) if is_networked(qubes, netvm, facts)? => Ok(Value::text(NETMASK)),
        _ => Ok(Value::None),
    }
}

pub(super) fn dns(qubes: &Qubes, vm: &Vm, facts: &dyn Facts) -> PropertyResult {
    match is_networked(qubes, vm, facts)? {
        true => Ok(Value::Words(DNS.map(Into::into).to_vec())),
        false => Ok(Value::None),
    }
}

/// Returns the value of a `net.fake-*` feature. Upstream accepts any text, so the form is not
/// checked.
fn fake_address(qubes: &Qubes, vm: &Vm, feature: &str) -> Option<Value> {
    features::get_with_template(qubes, vm, feature)
        .filter(|f| !f.is_empty())
        .map(Value::text)
}

/// Returns the address of a number in 10.SECOND.0.0/16. Of numbers from 1 the last octet is never 0
/// or 255, so there are 254 addresses for each third octet.
fn ip4(second: u8, id: u16) -> Ipv4Addr {
    let (third, fourth) = match id {
        0..255 => (0, id),
        _ => ((id - 1) / 254, (id - 1) % 254 + 1),
    };
    let [_, third] = third.to_be_bytes();
    let [_, fourth] = fourth.to_be_bytes();
    Ipv4Addr::new(10, second, third, fourth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_map_to_addresses_without_0_and_255_in_the_last_octet() {
        for (id, address) in [
            (1, "10.137.0.1"),
            (254, "10.137.0.254"),
            (255, "10.137.1.1"),
            (508, "10.137.1.254"),
        ] {
            assert_eq!(ip4(137, id).to_string(), address);
        }
        assert_eq!(ip4(138, 9999).to_string(), "10.138.39.93");
        let all: std::collections::HashSet<_> = (1..=10_000).map(|id| ip4(137, id)).collect();
        assert_eq!(all.len(), 10_000);
    }
}
