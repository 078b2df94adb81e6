//! What must hold for any bytes that stand where a store should be: one function for each fuzz
//! target in `fuzz/`, which the test suite also calls. For each to include by itself: `#[path =
//! "support/fuzz_bodies.rs"] mod fuzz_bodies;`.

use std::collections::HashSet;

use qubes::firewall::{self, Action, FromR3, Version};
use qubes::format::{self, index};
use qubes::model::{Class, Qubes, VmName};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

#[path = "format_properties.rs"]
pub mod format_properties;
#[path = "sample_host.rs"]
pub mod sample_host;

use format_properties::{
    changes_are_read_back, meaning, quick_agrees_with_careful, unchanged_is_written_back,
};
use sample_host::SampleHost;

/// The reader and the writer of R4: whatever is read can be looked at from every side, what is not
/// changed is written back as it was, and what is changed is read back as it was made.
pub fn r4_reader(bytes: &[u8]) {
    if let Ok(qubes) = format::read(bytes.to_vec()) {
        look_at(&qubes);
    }
    let found = format::find_damage(&bytes.to_vec().into(), &SampleHost::default());
    assert_eq!(
        found.is_empty(),
        found.iter().all(|d| d.text.is_empty()),
        "damage without words"
    );
    unchanged_is_written_back(bytes);
    changes_are_read_back(bytes, seed_of(bytes));
}

/// The importer of R1 to R3: what it makes of an old store is a store of R4 that means the same.
pub fn old_importer(bytes: &[u8]) {
    let Ok(qubes) = format::read(bytes.to_vec()) else {
        return;
    };
    if !qubes.needs_conversion {
        return;
    }
    look_at(&qubes);
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

/// The rules of R1 to R3: whatever stands in their file, what comes of it is a file of R4 that lets
/// nothing through which the old one, as far as it can be understood, kept away.
pub fn firewall_of_r3(bytes: &[u8]) {
    const NOW: u64 = 1_500_000_000;
    let FromR3 { rules, left_out } = firewall::from_r3(bytes, NOW);
    let told = || {
        format!(
            "{rules:?}, {left_out:?} from {}",
            String::from_utf8_lossy(bytes)
        )
    };
    let (last, others) = rules
        .0
        .split_last()
        .unwrap_or_else(|| panic!("no rule at all: {}", told()));
    assert_eq!(
        *last,
        firewall::Rule::all(last.action),
        "the last is about everything: {}",
        told()
    );
    if firewall::version(bytes) != Version::R3 {
        assert_eq!(rules, firewall::closed(), "{}", told());
    }
    assert!(
        last.action == Action::Drop || left_out.is_empty(),
        "open, and not understood: {}",
        told()
    );
    let is_own =
        |rule: &&firewall::Rule| !rule.is_dns && **rule != firewall::Rule::icmp(rule.action);
    for rule in others.iter().filter(is_own) {
        assert!(
            rule.action != last.action,
            "a rule that is no exception: {}",
            told()
        );
        assert!(rule.expire.is_none_or(|end| end > NOW), "{}", told());
    }
    assert!(
        left_out
            .iter()
            .all(|line| !line.is_empty() && !line.contains(char::is_control)),
        "{}",
        told()
    );
    let file = rules.to_file();
    assert_eq!(firewall::version(&file), Version::R4, "{}", told());
    assert!(is_well_formed(&file), "{}", told());
    // With time rules end, and nothing else changes.
    let later = firewall::from_r3(bytes, u64::MAX).rules;
    let kept = rules.0.iter().filter(|rule| rule.expire.is_none());
    assert!(later.0.iter().eq(kept), "{later:?} is left of {}", told());
}

/// What is saved of a damaged store: a well-formed one, from which there is nothing more to save,
/// and of which each line has one of the damaged store's.
pub fn salvage(bytes: &[u8]) {
    let Some(saved) = format::salvage(bytes) else {
        return;
    };
    let text = String::from_utf8_lossy(&saved.bytes);
    let shown = || {
        format!(
            "{text}\n{:?}, {:?} from {:?}",
            saved.steps,
            saved.lost,
            String::from_utf8_lossy(bytes)
        )
    };
    assert!(is_well_formed(&saved.bytes), "{}", shown());
    quick_agrees_with_careful(&saved.bytes);
    let last_line = lines_of(bytes);
    let is_inside = |line: usize| (1..=last_line).contains(&line);
    assert!(
        saved
            .lost
            .iter()
            .all(|lost| is_inside(lost.line) && !lost.text.is_empty()),
        "{}",
        shown()
    );
    assert!(
        saved
            .steps
            .iter()
            .all(|step| step.line.is_none_or(is_inside)),
        "{}",
        shown()
    );
    let lines: Vec<usize> = (1..=lines_of(&saved.bytes))
        .map(|line| saved.original_line(line))
        .collect();
    assert!(
        lines.iter().all(|line| *line >= 1),
        "{lines:?}: {}",
        shown()
    );
    if index::build_strict(bytes).is_ok() && saved.steps.is_empty() {
        assert_eq!(saved.bytes, bytes, "{}", shown());
    }
    let again = format::salvage(&saved.bytes)
        .unwrap_or_else(|| panic!("nothing the second time: {}", shown()));
    assert_eq!(again.bytes, saved.bytes, "{}", shown());
    assert!(
        again.steps.is_empty() && again.lost.is_empty(),
        "{again:?} after {}",
        shown()
    );
    // A copy that has nothing more adds nothing.
    if let Some((completed, taken)) = format::complete_from_copy(&saved.bytes, &saved.bytes) {
        assert!(
            taken.is_empty() && completed == saved.bytes,
            "{taken:?}: {}",
            shown()
        );
    }
}

/// As quick-xml has it: one root, and every end fits its beginning.
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

/// The index beside two full parsers: our own and quick-xml's. In every well-formed file it finds
/// exactly the domains that they find, with class and name.
pub fn index_and_parser(bytes: &[u8]) {
    let (well_formed, _) = quick_agrees_with_careful(bytes);
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

/// Asks for all that a listing, a dump or a check would ask for.
fn look_at(qubes: &Qubes) {
    let dump = qubes.dump(&SampleHost::default());
    assert!(dump["domains"].as_object().unwrap().len() >= qubes.len().min(1));
}

/// A seed that is the same for the same bytes.
fn seed_of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// A domain as an index has to find it.
#[derive(Debug, PartialEq, Default)]
struct Domain {
    start: usize,
    end: usize,
    class: String,
    /// None where it has none that can be used, or is dom0.
    name: Option<String>,
}

/// The elements `qubes/domains/domain`, each with its class and the last `property` called name
/// below its `properties`.
fn domains_by_quick_xml(bytes: &[u8]) -> Vec<Domain> {
    let text = std::str::from_utf8(bytes).unwrap();
    // quick-xml counts from behind a byte order mark.
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
            // What stands behind a comment or an instruction is not the text either, as lxml has
            // it.
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

/// The value of an attribute as XML normalizes it.
fn attribute(tag: &BytesStart, wanted: &str) -> Option<String> {
    let attribute = tag.try_get_attribute(wanted).unwrap()?;
    let raw = attribute
        .value
        .replace("\r\n", " ")
        .replace(['\t', '\n', '\r'], " ");
    Some(quick_xml::escape::unescape(&raw).unwrap().into_owned())
}

/// The property that is being read, and the last name that was.
#[derive(Default)]
struct Property {
    name: Option<String>,
    is_name: bool,
    reference: Option<String>,
    text: String,
    /// What stands behind an element inside is not the text of the property.
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

    /// Text in which a line ends as the file says: in XML always with one character.
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
