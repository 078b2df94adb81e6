//! The rules of R1 to R3 (`docs/spec/r3-model.md` §9) as R4 has them (`docs/spec/r3-migration.md`
//! §4): what was let through is let through, and nothing else. Where a file cannot be understood,
//! nothing is.

use super::{
    Action, FirewallVersion, Host, MAX_RULES, Ports, Protocol, Rule, Rules, detect_version,
};
use crate::format::xml::{self, ElementId, Tree};

/// What became of a file of R3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct R3Conversion {
    /// The rules as R4 has them, in order.
    pub rules: Rules,
    /// What could not be understood, and what was done about it: one line each.
    pub left_out: Vec<String>,
}

/// Rules that let nothing through.
pub fn deny_all() -> Rules {
    Rules(vec![Rule::all(Action::Drop)])
}

/// The rules of a file of R3. `now`: seconds since 1970; what has ended is left out, as R3 does
/// when it reads.
///
/// Under the policy "deny" a rule that cannot be understood is left out: less is let through than
/// was. Under "allow" it would have kept something away, so that without it nothing is let through.
pub fn convert_r3(bytes: &[u8], now: u64) -> R3Conversion {
    let shut = |reason: String| R3Conversion {
        rules: deny_all(),
        left_out: vec![format!("{reason}; nothing is let through")],
    };
    match detect_version(bytes) {
        FirewallVersion::R3 => {}
        FirewallVersion::R4 => return shut("it is R4's already".into()),
        FirewallVersion::Unknown(reason) => return shut(reason),
    }
    let tree = match xml::parse_document(bytes) {
        Ok(tree) => tree,
        Err(error) => return shut(error.to_string()),
    };
    let says = |name: &str| tree.attribute(Tree::ROOT, name).map(|text| text == "allow");
    let is_open = says("policy") == Some(true);
    let (policy, exception) = if is_open {
        (Action::Accept, Action::Drop)
    } else {
        (Action::Drop, Action::Accept)
    };
    let mut rules = Vec::new();
    let mut left_out = Vec::new();
    for (n, id) in tree.children_named(Tree::ROOT, b"rule").enumerate() {
        if n >= MAX_RULES {
            return shut(format!("it has more than {MAX_RULES} rules"));
        }
        match rule(&tree, id, exception, now) {
            Ok(rule) => rules.extend(rule),
            Err(reason) if is_open => return shut(format!("rule {}: {reason}", n + 1)),
            Err(reason) => left_out.push(format!("rule {}: {reason}; it is left out", n + 1)),
        }
    }
    // What is let through or kept away like the rules' own stands before them, as the importer of
    // R4 has it; what is as the policy is comes behind them, as in R3, where a rule about a name
    // server counts.
    let of_flag = |name: &str| {
        if says(name).unwrap_or(is_open) {
            Action::Accept
        } else {
            Action::Drop
        }
    };
    let flags = [Rule::dns(of_flag("dns")), Rule::icmp(of_flag("icmp"))];
    let (before, after): (Vec<Rule>, Vec<Rule>) =
        flags.into_iter().partition(|flag| flag.action == exception);
    R3Conversion {
        rules: Rules([before, rules, after, vec![Rule::all(policy)]].concat()),
        left_out,
    }
}

/// One rule; none where it has ended.
fn rule(tree: &Tree, id: ElementId, action: Action, now: u64) -> Result<Option<Rule>, String> {
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
        Some(_) => return Err("its protocol is none of tcp, udp, icmp, any".into()),
    };
    // R3 looks at ports only where the protocol has some, and takes a span that ends before it
    // begins for its first.
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

    /// The rules in short: `accept 10.0.0.0/8 tcp 22`.
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
    fn a_closed_firewall_lets_its_exceptions_through() {
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
    fn an_open_firewall_keeps_its_exceptions_away_whatever_dns_says() {
        let open = read(
            r#"<QubesFirewallRules policy="allow" dns="allow" icmp="deny"><rule address="10.139.1.1" proto="any"/></QubesFirewallRules>"#,
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
    fn what_cannot_be_understood_lets_nothing_more_through_than_before() {
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
                r#"<QubesFirewallRules policy="deny"><rule {bad}/><rule address="8.8.8.8"/></QubesFirewallRules>"#
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
    fn a_file_has_the_form_that_upstream_writes() {
        let text = r#"<QubesFirewallRules policy="deny" dns="allow"><rule address="192.0.2.7" proto="tcp" port="1" toport="9" expire="2000"/></QubesFirewallRules>"#;
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
