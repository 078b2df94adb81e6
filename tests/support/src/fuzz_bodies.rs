//! Properties that hold for any bytes in place of a store: one function for each fuzz target in
//! `fuzz/`, also called by the test suite.

use std::collections::HashSet;

use qubes::firewall::{self, Action, FirewallVersion, R3Conversion};
use qubes::format::{self, index};
use qubes::model::{Class, Qubes, VmName, dump};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::format_properties::{
    changes_are_read_back, meaning, quick_index_agrees_with_strict, unchanged_is_written_back,
};
use crate::sample_host::SampleHost;

/// The reader and the writer of R4: whatever is read can be inspected, unchanged content is written
/// back, and changes are read back.
pub fn r4_reader(bytes: &[u8]) {
    if let Ok(qubes) = format::read(bytes.to_vec()) {
        inspect(&qubes);
    }
    let found = format::find_damage(&bytes.to_vec().into(), &SampleHost::default());
    assert_eq!(
        found.is_empty(),
        found.iter().all(|d| d.text.is_empty()),
        "damage without a description"
    );
    unchanged_is_written_back(bytes);
    changes_are_read_back(bytes, seed_of(bytes));
}

/// The importer of R1 to R3: an imported store is a store of R4 with the same meaning.
pub fn old_importer(bytes: &[u8]) {
    let Ok(qubes) = format::read(bytes.to_vec()) else {
        return;
    };
    if !qubes.needs_conversion {
        return;
    }
    inspect(&qubes);
    let names: Vec<&VmName> = qubes.names().collect();
    let different: HashSet<&str> = names.iter().map(|name| name.as_str()).collect();
    assert_eq!(different.len(), names.len(), "two qubes of one name");
    assert!(different.contains("dom0"));
    assert!(
        format::read_r4(bytes.to_vec()).is_err(),
        "an old store is not written over"
    );
    let written = format::write_new(&qubes).unwrap();
    format::check(&written).unwrap();
    let read = format::read(written).unwrap();
    assert_eq!(
        meaning(&read),
        meaning(&qubes),
        "from {}",
        String::from_utf8_lossy(bytes)
    );
}

/// The rules of R1 to R3: the result is a file of R4 that allows nothing that the old file, as far
/// as it is valid, blocked.
pub fn firewall_of_r3(bytes: &[u8]) {
    const NOW: u64 = 1_500_000_000;
    let R3Conversion { rules, left_out } = firewall::convert_r3(bytes, NOW);
    let context = || {
        format!(
            "{rules:?}, {left_out:?} from {}",
            String::from_utf8_lossy(bytes)
        )
    };
    let (last, others) = rules
        .0
        .split_last()
        .unwrap_or_else(|| panic!("no rule at all: {}", context()));
    assert_eq!(
        *last,
        firewall::Rule::all(last.action),
        "the last rule applies to everything: {}",
        context()
    );
    if firewall::detect_version(bytes) != FirewallVersion::R3 {
        assert_eq!(rules, firewall::deny_all(), "{}", context());
    }
    assert!(
        last.action == Action::Drop || left_out.is_empty(),
        "open although something was invalid: {}",
        context()
    );
    let is_own =
        |rule: &&firewall::Rule| !rule.is_dns && **rule != firewall::Rule::icmp(rule.action);
    for rule in others.iter().filter(is_own) {
        assert!(
            rule.action != last.action,
            "a rule that is not an exception: {}",
            context()
        );
        assert!(rule.expire.is_none_or(|end| end > NOW), "{}", context());
    }
    assert!(
        left_out
            .iter()
            .all(|line| !line.is_empty() && !line.contains(char::is_control)),
        "{}",
        context()
    );
    let file = rules.to_file();
    assert_eq!(
        firewall::detect_version(&file),
        FirewallVersion::R4,
        "{}",
        context()
    );
    assert!(is_well_formed(&file), "{}", context());
    // Over time rules expire, and nothing else changes.
    let later = firewall::convert_r3(bytes, u64::MAX).rules;
    let kept = rules.0.iter().filter(|rule| rule.expire.is_none());
    assert!(
        later.0.iter().eq(kept),
        "{later:?} is left of {}",
        context()
    );
}

/// A salvaged store is well-formed, salvaging it again changes nothing, and each of its lines maps
/// to a line of the damaged store.
pub fn salvage(bytes: &[u8]) {
    let Some(salvaged) = format::salvage(bytes) else {
        return;
    };
    let text = String::from_utf8_lossy(&salvaged.bytes);
    let context = || {
        format!(
            "{text}\n{:?}, {:?} from {:?}",
            salvaged.steps,
            salvaged.lost,
            String::from_utf8_lossy(bytes)
        )
    };
    assert!(is_well_formed(&salvaged.bytes), "{}", context());
    quick_index_agrees_with_strict(&salvaged.bytes);
    let last_line = lines_of(bytes);
    let is_inside = |line: usize| (1..=last_line).contains(&line);
    assert!(
        salvaged
            .lost
            .iter()
            .all(|lost| is_inside(lost.line) && !lost.text.is_empty()),
        "{}",
        context()
    );
    assert!(
        salvaged
            .steps
            .iter()
            .all(|step| step.line.is_none_or(is_inside)),
        "{}",
        context()
    );
    let lines: Vec<usize> = (1..=lines_of(&salvaged.bytes))
        .map(|line| salvaged.original_line(line))
        .collect();
    assert!(
        lines.iter().all(|line| *line >= 1),
        "{lines:?}: {}",
        context()
    );
    if index::build_strict(bytes).is_ok() && salvaged.steps.is_empty() {
        assert_eq!(salvaged.bytes, bytes, "{}", context());
    }
    let again = format::salvage(&salvaged.bytes)
        .unwrap_or_else(|| panic!("nothing the second time: {}", context()));
    assert_eq!(again.bytes, salvaged.bytes, "{}", context());
    assert!(
        again.steps.is_empty() && again.lost.is_empty(),
        "{again:?} after {}",
        context()
    );
    // A copy with the same qubes adds nothing.
    if let Some((completed, taken)) = format::complete_from_copy(&salvaged.bytes, &salvaged.bytes) {
        assert!(
            taken.is_empty() && completed == salvaged.bytes,
            "{taken:?}: {}",
            context()
        );
    }
}

/// Whether quick-xml finds one root and matching tags.
fn is_well_formed(bytes: &[u8]) -> bool {
    let mut reader = Reader::from_reader(bytes);
    let (mut depth, mut roots) = (0_usize, 0);
    loop {
        match reader.read_event() {
            Ok(Event::Start(_)) => {
                roots += usize::from(depth == 0);
                depth += 1;
            }
            Ok(Event::Empty(_)) => roots += usize::from(depth == 0),
            Ok(Event::End(_)) => depth -= 1,
            Ok(Event::Eof) => return depth == 0 && roots == 1,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

fn lines_of(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count() + 1
}

/// The index agrees with two full parsers, our own and quick-xml: in every well-formed file it
/// finds the same domains, with class and name.
pub fn index_and_parser(bytes: &[u8]) {
    let (well_formed, _) = quick_index_agrees_with_strict(bytes);
    if !well_formed {
        return;
    }
    let found = index::build(bytes).unwrap().domains;
    let found: Vec<Domain> = found
        .into_iter()
        .map(|entry| Domain {
            start: entry.span.start as usize,
            end: entry.span.end as usize,
            name: entry
                .name
                .ok()
                .map(|name| name.to_string())
                .filter(|_| entry.class != Class::AdminVM),
            class: entry.class.as_str().to_string(),
        })
        .collect();
    assert_eq!(
        found,
        domains_by_quick_xml(bytes),
        "in {}",
        String::from_utf8_lossy(bytes)
    );
}

/// Accesses everything that a listing, a dump or a check accesses.
fn inspect(qubes: &Qubes) {
    let dump = dump::dump_system(qubes, &SampleHost::default());
    assert!(dump["domains"].as_object().unwrap().len() >= qubes.len().min(1));
}

/// Returns a seed that depends only on the bytes.
fn seed_of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// A domain as an index must find it.
#[derive(Debug, PartialEq, Default)]
struct Domain {
    start: usize,
    end: usize,
    class: String,
    /// `None` for a domain without a usable name, and for dom0.
    name: Option<String>,
}

/// Returns the elements `qubes/domains/domain`, each with its class and the last `property` called
/// name in its `properties`.
fn domains_by_quick_xml(bytes: &[u8]) -> Vec<Domain> {
    let text = std::str::from_utf8(bytes).unwrap();
    // Positions of quick-xml do not count a byte order mark.
    let mark = text.len() - text.trim_start_matches('\u{FEFF}').len();
    let mut reader = Reader::from_str(&text[mark..]);
    let config = reader.config_mut();
    (config.expand_empty_elements, config.check_comments) = (true, true);
    let (mut domains, mut path, mut property) =
        (Vec::new(), Vec::<String>::new(), Property::default());
    loop {
        let before = mark + reader.buffer_position() as usize;
        match reader.read_event().unwrap() {
            Event::Start(tag) => {
                path.push(tag.name().as_ref().to_string());
                match steps(&path).as_slice() {
                    ["qubes", "domains", "domain"] => {
                        let class = attribute(&tag, "class").unwrap_or_default();
                        domains.push(Domain {
                            start: before,
                            class,
                            ..Domain::default()
                        });
                        property = Property::default();
                    }
                    ["qubes", "domains", "domain", "properties", "property"] => {
                        property.begin(&tag)
                    }
                    ["qubes", "domains", "domain", "properties", "property", _] => {
                        property.has_ended = true
                    }
                    _ => {}
                }
            }
            Event::End(_) => {
                match steps(&path).as_slice() {
                    ["qubes", "domains", "domain"] => {
                        let domain = domains.last_mut().unwrap();
                        domain.end = mark + reader.buffer_position() as usize;
                        let usable = property
                            .name
                            .take()
                            .and_then(|name| VmName::from_store(&name).ok());
                        domain.name = usable
                            .map(|name| name.to_string())
                            .filter(|_| domain.class != "AdminVM");
                    }
                    ["qubes", "domains", "domain", "properties", "property"] => property.end(),
                    _ => {}
                }
                path.pop();
            }
            // Content after a comment or an instruction is not part of the text either, as in lxml.
            Event::Comment(_) | Event::PI(_) if path.len() == 5 => property.has_ended = true,
            Event::Text(piece) if path.len() == 5 => property.add(&piece),
            Event::CData(piece) if path.len() == 5 => property.add(&piece),
            Event::GeneralRef(reference) if path.len() == 5 => {
                let known = |name: &str| {
                    quick_xml::escape::resolve_predefined_entity(name).map(str::to_string)
                };
                let character = reference.resolve_char_ref().unwrap();
                let resolved = character.map(String::from).or_else(|| known(&reference));
                property.add_reference(&resolved.unwrap());
            }
            Event::Eof => return domains,
            _ => {}
        }
    }
}

fn steps(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}

/// Returns the value of an attribute as XML normalises it.
fn attribute(tag: &BytesStart, name: &str) -> Option<String> {
    let attribute = tag.try_get_attribute(name).unwrap()?;
    let raw = attribute
        .value
        .replace("\r\n", " ")
        .replace(['\t', '\n', '\r'], " ");
    Some(quick_xml::escape::unescape(&raw).unwrap().into_owned())
}

/// The property being read, and the last name that was read.
#[derive(Default)]
struct Property {
    name: Option<String>,
    is_name: bool,
    reference: Option<String>,
    text: String,
    /// Content after a child element is not part of the text of the property.
    has_ended: bool,
}

impl Property {
    fn begin(&mut self, tag: &BytesStart) {
        let name = self.name.take();
        let reference = attribute(tag, "ref").filter(|r| !r.is_empty());
        *self = Property {
            name,
            is_name: attribute(tag, "name").as_deref() == Some("name"),
            reference,
            ..Property::default()
        };
    }

    /// Adds text; XML normalises each line end to one character.
    fn add(&mut self, piece: &str) {
        self.add_reference(&piece.replace("\r\n", "\n").replace('\r', "\n"));
    }

    fn add_reference(&mut self, piece: &str) {
        if !self.has_ended {
            self.text += piece;
        }
    }

    fn end(&mut self) {
        if self.is_name {
            self.name = Some(
                self.reference
                    .take()
                    .unwrap_or(std::mem::take(&mut self.text)),
            );
        }
        self.is_name = false;
    }
}
