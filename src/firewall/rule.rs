//! Firewall rules and their parts (`docs/spec/r4-firewall.md` §2).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// The rules of a qube, in order. Traffic that no rule matches is dropped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules(pub Vec<Rule>);

/// A firewall rule. A field that is `None` matches everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What happens to a packet that the rule matches.
    pub action: Action,
    /// Destination of the packet; `None` matches every host.
    pub host: Option<Host>,
    /// The rule matches the qube's name servers only.
    pub is_dns: bool,
    /// Protocol of the packet; `None` matches every protocol.
    pub protocol: Option<Protocol>,
    /// The ports; only with TCP or UDP.
    pub ports: Option<Ports>,
    /// The expiry, in seconds since 1970.
    pub expire: Option<u64>,
}

/// What a rule does with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Lets the packet through.
    Accept,
    /// Drops the packet.
    Drop,
}

/// A protocol that a rule can match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP.
    Icmp,
}

/// A range of ports, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    first: u16,
    last: u16,
}

/// An address with a prefix length, or a host name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host(String);

/// Why a value cannot be part of a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The text is neither an IP address nor a DNS name; holds its first 60 characters.
    #[error("'{0}' is neither an address nor a name")]
    Host(String),
    /// The prefix length is too large for the address.
    #[error("{length} is not a valid prefix length for '{address}'")]
    Network {
        /// The IP address, as it was given.
        address: String,
        /// The prefix length in bits.
        length: u32,
    },
    /// The range is empty, or a port is above 65535.
    #[error("{first}-{last} is not a valid range of ports")]
    Ports {
        /// First port of the range.
        first: u32,
        /// Last port of the range, inclusive.
        last: u32,
    },
}

/// The maximum length of a DNS name, bytes.
const MAX_NAME_LENGTH: usize = 253;

impl Rule {
    /// Returns a rule that matches all traffic.
    pub fn all(action: Action) -> Rule {
        Rule {
            action,
            host: None,
            is_dns: false,
            protocol: None,
            ports: None,
            expire: None,
        }
    }

    /// Returns a rule for the qube's name servers.
    pub fn dns(action: Action) -> Rule {
        Rule {
            is_dns: true,
            ..Rule::all(action)
        }
    }

    /// Returns a rule for ICMP.
    pub fn icmp(action: Action) -> Rule {
        Rule {
            protocol: Some(Protocol::Icmp),
            ..Rule::all(action)
        }
    }
}

impl Ports {
    /// Creates a range of ports.
    ///
    /// # Errors
    /// `last` is lower than `first`, or a port is above 65535.
    pub fn new(first: u32, last: u32) -> Result<Ports, RuleError> {
        match (u16::try_from(first), u16::try_from(last)) {
            (Ok(first), Ok(last)) if first <= last => Ok(Ports { first, last }),
            _ => Err(RuleError::Ports { first, last }),
        }
    }
}

impl Host {
    /// Parses an address or a name. `length` is the prefix length of an address; it is ignored for
    /// a name.
    ///
    /// # Errors
    /// The text is neither, or the prefix length is too large for the address.
    pub fn new(text: &str, length: Option<u32>) -> Result<Host, RuleError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            let longest = if address.is_ipv4() { 32 } else { 128 };
            let length = length.unwrap_or(longest);
            return match length <= longest {
                true => Ok(Host(format!("{address}/{length}"))),
                false => Err(RuleError::Network {
                    address: text.to_owned(),
                    length,
                }),
            };
        }
        let name = text.to_ascii_lowercase();
        let is_allowed =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b'_');
        // Digits and dots that are not an address are a mistake, not a name to resolve.
        let is_number = name.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        match !name.is_empty()
            && name.len() <= MAX_NAME_LENGTH
            && name.bytes().all(is_allowed)
            && !is_number
        {
            true => Ok(Host(name)),
            false => Err(RuleError::Host(
                text.chars().take(60).filter(|c| !c.is_control()).collect(),
            )),
        }
    }

    /// Returns whether an address with this prefix length matches every IPv4 host.
    pub fn is_everything(text: &str, length: Option<u32>) -> bool {
        length == Some(0) && text.parse::<Ipv4Addr>().is_ok()
    }

    /// Returns the host as rules write it: `ADDRESS/LENGTH`, or the name in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Action::Accept => "accept",
            Action::Drop => "drop",
        })
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Icmp => "icmp",
        })
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_addresses_or_names() {
        let host = |text, length| Host::new(text, length).map(|h| h.0).ok();
        assert_eq!(host("10.0.0.0", Some(8)).as_deref(), Some("10.0.0.0/8"));
        assert_eq!(host("10.0.0.1", None).as_deref(), Some("10.0.0.1/32"));
        assert_eq!(
            host("2001:DB8::1", None).as_deref(),
            Some("2001:db8::1/128")
        );
        assert_eq!(
            host("WWW.Example.org", Some(24)).as_deref(),
            Some("www.example.org")
        );
        for bad in [
            "",
            "1.2.3",
            "1.2.3.4.5",
            "a b",
            "a/24",
            "ex\u{e4}mple.org",
            "<x>",
            "a\nb",
            &"a".repeat(254),
        ] {
            assert_eq!(host(bad, None), None, "{bad}");
        }
        assert!(Host::new("10.0.0.0", Some(33)).is_err());
        assert!(Host::is_everything("0.0.0.0", Some(0)) && !Host::is_everything("a", Some(0)));
    }

    #[test]
    fn ports_are_one_port_or_a_range() {
        let ports = |first, last| Ports::new(first, last).map(|p| p.to_string()).ok();
        assert_eq!(ports(80, 80).as_deref(), Some("80"));
        assert_eq!(ports(1, 65535).as_deref(), Some("1-65535"));
        assert_eq!(ports(2, 1), None);
        assert_eq!(ports(1, 65536), None);
    }
}
