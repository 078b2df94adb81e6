//! Converts the rules of R1 to R3 (`docs/spec/r3-model.md` §9) to R4's (`docs/spec/r3-migration.md`
//! §4). Only traffic that was accepted before is accepted afterwards; an invalid file accepts none.

use super::{
    Action, FirewallVersion, Host, MAX_RULES, Ports, Protocol, Rule, Rules, detect_version,
};
use crate::format::xml::{self, ElementId, Tree};

/// The result of converting a file of R3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct R3Conversion {
    /// The rules as R4 has them, in order.
    pub rules: Rules,
    /// The invalid parts, and what was done about them: one line each.
    pub left_out: Vec<String>,
}

/// Levels of elements that are read: the root, and the rules.
const LEVELS: usize = 2;

/// Returns rules that drop all traffic.
pub fn deny_all() -> Rules {
    Rules(vec![Rule::all(Action::Drop)])
}

/// Converts the rules of a file of R3. Rules that have expired at `now`, in seconds since 1970, are
/// left out, as in R3.
///
/// Under the policy "deny", an invalid rule is left out, which accepts less traffic than before.
/// Under "allow" it would have dropped traffic, so that without it all traffic is dropped.
pub fn convert_r3(bytes: &[u8], now: u64) -> R3Conversion {
    let deny = |reason: String| R3Conversion {
        rules: deny_all(),
        left_out: vec![format!("{reason}; nothing is let through")],
    };
    match detect_version(bytes) {
        FirewallVersion::R3 => {}
        FirewallVersion::R4 => return deny("it is already in R4's format".into()),
        FirewallVersion::Unknown(reason) => return deny(reason),
    }
    let tree = match xml::parse_document(bytes, LEVELS) {
        Ok(tree) => tree,
        Err(error) => return deny(error.to_string()),
    };
    let allows = |name: &str| tree.attribute(Tree::ROOT, name).map(|text| text == "allow");
    let allows_by_default = allows("policy") == Some(true);
    let (policy, exception) = if allows_by_default {
        (Action::Accept, Action::Drop)
    } else {
        (Action::Drop, Action::Accept)
    };
    let mut rules = Vec::new();
    let mut left_out = Vec::new();
    for (n, id) in tree.children_named(Tree::ROOT, "rule").enumerate() {
        if n >= MAX_RULES {
            return deny(format!("it has more than {MAX_RULES} rules"));
        }
        match convert_rule(&tree, id, exception, now) {
            Ok(rule) => rules.extend(rule),
            Err(reason) if allows_by_default => return deny(format!("rule {}: {reason}", n + 1)),
            Err(reason) => left_out.push(format!("rule {}: {reason}; it is left out", n + 1)),
        }
    }
    // The rules for DNS and ICMP precede the others if they are exceptions to the policy, as in
    // R4's importer. If they agree with the policy they follow, as in R3, where a rule about a name
    // server takes precedence.
    let flag_action = |name: &str| {
        if allows(name).unwrap_or(allows_by_default) {
            Action::Accept
        } else {
            Action::Drop
        }
    };
    let flags = [
        Rule::dns(flag_action("dns")),
        Rule::icmp(flag_action("icmp")),
    ];
    let (before, after): (Vec<Rule>, Vec<Rule>) =
        flags.into_iter().partition(|flag| flag.action == exception);
    R3Conversion {
        rules: Rules([before, rules, after, vec![Rule::all(policy)]].concat()),
        left_out,
    }
}

/// Converts one rule; returns `None` if it has expired.
fn convert_rule(
    tree: &Tree,
    id: ElementId,
    action: Action,
    now: u64,
) -> Result<Option<Rule>, String> {
    let number = |name: &str| {
        let text = tree.attribute(id, name).filter(|t| !t.is_empty());
        text.map(|t| {
            t.trim()
                .parse::<u32>()
                .map_err(|_| format!("{name} is not a number"))
        })
        .transpose()
    };
    let expire = tree.attribute(id, "expire").filter(|t| !t.is_empty());
    let expire = expire
        .map(|t| {
            t.trim()
                .parse::<u64>()
                .map_err(|_| "expire is not a time".to_string())
        })
        .transpose()?;
    if expire.is_some_and(|at| at <= now) {
        return Ok(None);
    }
    let address = tree.attribute(id, "address").ok_or("it has no address")?;
    let (address, length) = match (address.split_once('/'), number("netmask")?) {
        (Some((address, length)), None) => (
            address.to_owned(),
            Some(
                length
                    .parse()
                    .map_err(|_| "its network length is not a number".to_string())?,
            ),
        ),
        (_, length) => (address.to_string(), length),
    };
    let host = match Host::is_everything(&address, length) {
        true => None,
        false => Some(Host::new(&address, length).map_err(|e| e.to_string())?),
    };
    let port = number("port")?.filter(|p| *p > 0);
    let last = number("toport")?.filter(|p| *p > 0);
    let protocol = match tree.attribute(id, "proto").as_deref() {
        Some("tcp") => Some(Protocol::Tcp),
        Some("udp") => Some(Protocol::Udp),
        Some("icmp") => Some(Protocol::Icmp),
        Some("any") => None,
        None | Some("") => port.map(|_| Protocol::Tcp),
        Some(_) => return Err("its protocol is not tcp, udp, icmp or any".into()),
    };
    // R3 ignores ports unless the protocol has ports, and uses only the first port if the last one
    // is lower.
    let has_ports = matches!(protocol, Some(Protocol::Tcp | Protocol::Udp));
    let ports = match port.filter(|_| has_ports) {
        Some(first) => {
            Some(Ports::new(first, last.unwrap_or(first).max(first)).map_err(|e| e.to_string())?)
        }
        None => None,
    };
    Ok(Some(Rule {
        action,
        host,
        is_dns: false,
        protocol,
        ports,
        expire,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the rules in a short form: `accept 10.0.0.0/8 tcp 22`.
    fn short(rules: &Rules) -> Vec<String> {
        let one = |r: &Rule| {
            let parts = [
                Some(r.action.to_string()),
                r.is_dns.then(|| "dns".to_string()),
                r.host.as_ref().map(|h| h.as_str().to_string()),
                r.protocol.map(|p| p.to_string()),
                r.ports.map(|p| p.to_string()),
                r.expire.map(|e| format!("until {e}")),
            ];
            parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
        };
        rules.0.iter().map(one).collect()
    }

    fn read(text: &str) -> R3Conversion {
        convert_r3(text.as_bytes(), 1000)
    }

    #[test]
    fn a_deny_policy_accepts_its_exceptions() {
        let read = read(
            r#"<QubesFirewallRules dns="allow" icmp="allow" policy="deny" yumProxy="deny">
  <rule address="10.0.0.0" proto="tcp" netmask="8" port="22"/>
  <rule address="Example.org" proto="udp" port="1000" toport="2000"/>
  <rule address="192.168.1.1" proto="any" port="7"/>
  <rule address="1.2.3.4" port="80" toport="80" expire="4102444800"/>
  <rule address="5.6.7.8" proto="tcp" port="80" expire="1000"/>
  <rule address="0.0.0.0" proto="tcp" netmask="0" port="443" toport="1"/>
  <rule address="9.9.9.9"/>
</QubesFirewallRules>"#,
        );
        assert_eq!(
            short(&read.rules),
            [
                "accept dns",
                "accept icmp",
                "accept 10.0.0.0/8 tcp 22",
                "accept example.org udp 1000-2000",
                "accept 192.168.1.1/32",
                "accept 1.2.3.4/32 tcp 80 until 4102444800",
                "accept tcp 443",
                "accept 9.9.9.9/32",
                "drop",
            ]
        );
        assert!(read.left_out.is_empty());
    }

    #[test]
    fn an_allow_policy_drops_its_exceptions_before_dns_is_accepted() {
        let open = read(
            r#"<QubesFirewallRules policy="allow" dns="allow" icmp="deny">
  <rule address="10.139.1.1" proto="any"/></QubesFirewallRules>"#,
        );
        assert_eq!(
            short(&open.rules),
            ["drop icmp", "drop 10.139.1.1/32", "accept dns", "accept"]
        );
        let bare = read("<QubesFirewallRules policy='allow'/>");
        assert_eq!(short(&bare.rules), ["accept dns", "accept icmp", "accept"]);
        let closed = read(
            r#"<QubesFirewallRules dns="deny"><rule address="10.139.1.1"/></QubesFirewallRules>"#,
        );
        assert_eq!(
            short(&closed.rules),
            ["accept 10.139.1.1/32", "drop dns", "drop icmp", "drop"]
        );
    }

    #[test]
    fn an_invalid_rule_or_file_accepts_no_more_traffic_than_before() {
        for bad in [
            r#"proto="tcp" port="1""#,
            r#"address="" proto="tcp""#,
            r#"address="1.2.3.4" netmask="33""#,
            r#"address="1.2.3.4" netmask="24.0""#,
            r#"address="1.2.3.4" proto="sctp""#,
            r#"address="1.2.3.4" proto="tcp" port="70000""#,
            r#"address="1.2.3.4" proto="tcp" port="http""#,
            r#"address="1.2.3.4" expire="tomorrow""#,
            r#"address="a;b" proto="tcp""#,
        ] {
            let deny = format!(
                r#"<QubesFirewallRules policy="deny">
  <rule {bad}/><rule address="8.8.8.8"/></QubesFirewallRules>"#
            );
            let read_deny = read(&deny);
            assert_eq!(
                short(&read_deny.rules),
                ["accept 8.8.8.8/32", "drop dns", "drop icmp", "drop"],
                "{bad}"
            );
            assert_eq!(read_deny.left_out.len(), 1, "{bad}");
            let read_allow = read(&deny.replace("deny", "allow"));
            assert_eq!(short(&read_allow.rules), ["drop"], "{bad}");
            assert!(
                read_allow.left_out[0].ends_with("nothing is let through"),
                "{bad}"
            );
        }
        for text in [
            "",
            "<QubesFirewallRules policy='allow'>",
            "<firewall version='3'/>",
            "<!DOCTYPE x><QubesFirewallRules/>",
        ] {
            assert_eq!(short(&read(text).rules), ["drop"], "{text}");
        }
        let rules = "<rule address='1.2.3.4'/>".repeat(10_000);
        assert_eq!(
            short(
                &read(&format!(
                    "<QubesFirewallRules policy='deny'>{rules}</QubesFirewallRules>"
                ))
                .rules
            ),
            ["drop"]
        );
    }

    #[test]
    fn a_file_has_upstreams_form() {
        let text = r#"<QubesFirewallRules policy="deny" dns="allow">
  <rule address="192.0.2.7" proto="tcp" port="1" toport="9" expire="2000"/>
</QubesFirewallRules>"#;
        let file = String::from_utf8(read(text).rules.to_file()).unwrap();
        let second = file.split("<rule>").nth(2).unwrap();
        let order = [
            "action\">accept<",
            "expire\">2000<",
            "dsthost\">192.0.2.7/32<",
            "proto\">tcp<",
            "dstports\">1-9<",
        ];
        let places: Vec<usize> = order
            .iter()
            .map(|part| second.find(part).unwrap())
            .collect();
        assert!(places.is_sorted(), "{file}");
        assert_eq!(detect_version(file.as_bytes()), FirewallVersion::R4);
        assert_eq!(
            detect_version(b"<QubesFirewallRules/>"),
            FirewallVersion::R3
        );
    }
}
