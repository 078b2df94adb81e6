//! The firewall file: detects its version and writes R4's (`docs/spec/r4-firewall.md` §1).

use super::{MAX_BYTES, Rule, Rules};
use crate::format::xml;

/// The version of a firewall file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FirewallVersion {
    /// R1 to R3: `<QubesFirewallRules>`.
    R3,
    /// R4: `<firewall version="2">`.
    R4,
    /// Not a firewall file, or a later version; holds the reason.
    Unknown(String),
}

/// Levels of elements that show the version.
const ROOT_ONLY: usize = 1;

/// Detects the version of a file.
pub fn detect_version(bytes: &[u8]) -> FirewallVersion {
    if bytes.len() as u64 > MAX_BYTES {
        return FirewallVersion::Unknown(format!("it is larger than {MAX_BYTES} bytes"));
    }
    let tree = match xml::parse_document(bytes, ROOT_ONLY) {
        Ok(tree) => tree,
        Err(error) => return FirewallVersion::Unknown(error.to_string()),
    };
    let version = tree.attribute(xml::Tree::ROOT, "version");
    match (tree.name(xml::Tree::ROOT), version.as_deref()) {
        (b"QubesFirewallRules", None | Some("1")) => FirewallVersion::R3,
        (b"firewall", Some("2")) => FirewallVersion::R4,
        _ => FirewallVersion::Unknown(
            "it is neither R3's <QubesFirewallRules> nor R4's <firewall version=\"2\">".into(),
        ),
    }
}

impl Rules {
    /// Returns the content of the file in upstream's form.
    pub fn to_file(&self) -> Vec<u8> {
        let mut text = String::from("<firewall version=\"2\">\n");
        if self.0.is_empty() {
            text.push_str("  <rules/>\n");
        } else {
            text.push_str("  <rules>\n");
            self.0.iter().for_each(|rule| rule.write(&mut text));
            text.push_str("  </rules>\n");
        }
        text.push_str("</firewall>\n");
        text.into_bytes()
    }
}

impl Rule {
    /// Appends the rule as XML. No part of a rule contains a character that needs escaping.
    fn write(&self, text: &mut String) {
        text.push_str("    <rule>\n      <properties>\n");
        let parts = [
            ("action", Some(self.action.to_string())),
            ("expire", self.expire.map(|e| e.to_string())),
            ("dsthost", self.host.as_ref().map(|h| h.as_str().to_owned())),
            ("proto", self.protocol.map(|p| p.to_string())),
            ("specialtarget", self.is_dns.then(|| "dns".to_owned())),
            ("dstports", self.ports.map(|p| p.to_string())),
        ];
        for (name, value) in parts
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
        {
            text.push_str(&format!(
                "        <property name=\"{name}\">{value}</property>\n"
            ));
        }
        text.push_str("      </properties>\n    </rule>\n");
    }
}
