//! Collects the intact fragments of a damaged store and assembles a store from them.

use std::collections::HashSet;

use memchr::memmem;

use super::salvaged::{LostPiece, SalvageStep, SalvagedStore};
use crate::format::document::edit::LineShift;
use crate::format::document::parse_outline;
use crate::format::document::schema::{
    Container, DEVICE, DOMAIN, LABELS, POOLS, PROPERTIES, STORE,
};
use crate::format::error::FormatError;
use crate::format::xml::characters::is_space;
use crate::format::xml::lines::{LineStarts, count_line_ends};
use crate::format::xml::tree::Tree;
use crate::model::{Label, VmName};

/// The sections and domains that are intact by themselves.
pub(super) struct Fragments<'a> {
    text: &'a [u8],
    sections: Vec<(Container, (usize, usize))>,
    domains: Vec<(usize, usize)>,
    /// Unknown elements beside the sections, which are kept.
    others: Vec<(usize, usize)>,
    /// Damaged sections, rebuilt from their intact items.
    rebuilt: Vec<(Container, String)>,
    lost: Vec<LostPiece>,
    /// The domains and other elements taken so far, to recognise duplicates.
    seen: HashSet<&'a [u8]>,
    lines: LineStarts,
}

/// The sections before the domains.
pub(super) const HEAD_SECTIONS: [Container; 3] = [LABELS, POOLS, PROPERTIES];

/// Whether an element of a store has this name: as a part of a domain whose own tag is lost it
/// belongs to no qube.
fn is_known_element(name: &[u8]) -> bool {
    let containers = STORE.iter().chain(&DOMAIN).chain([&DEVICE]);
    let mut names = containers.flat_map(|c| [c.name, c.item]).chain(["qubes"]);
    names.any(|known| known.as_bytes() == name)
}

impl<'a> Fragments<'a> {
    /// Collects the fragments of `text`.
    pub fn collect(text: &'a [u8]) -> Fragments<'a> {
        let mut fragments = Fragments {
            text,
            sections: Vec::new(),
            domains: Vec::new(),
            others: Vec::new(),
            rebuilt: Vec::new(),
            lost: Vec::new(),
            seen: HashSet::new(),
            lines: LineStarts::new(text),
        };
        let mut at = 0;
        while let Some(next) = memchr::memchr(b'<', &text[at..]).map(|n| at + n) {
            at = fragments.take_element(next);
        }
        fragments
    }

    /// Examines the element at `at`; returns where to continue.
    fn take_element(&mut self, at: usize) -> usize {
        let rest = &self.text[at..];
        if rest.starts_with(b"<!--") {
            // An unterminated comment hides nothing.
            return memmem::find(rest, b"-->").map_or(at + 4, |n| at + n + 3);
        }
        if begins_tag(rest, b"<domain") {
            return self.take_domain(at);
        }
        match HEAD_SECTIONS
            .into_iter()
            .find(|section| begins_tag(rest, &open_tag(*section)))
        {
            Some(section) => self.take_section(section, at),
            None => self.take_other(at).unwrap_or(at + 1),
        }
    }

    /// Takes an unknown element if it is intact and not part of a known one.
    fn take_other(&mut self, at: usize) -> Option<usize> {
        let rest = &self.text[at..];
        let name = rest[1..]
            .split(|b| is_space(*b) || matches!(b, b'>' | b'/'))
            .next()?;
        if !name.first()?.is_ascii_alphabetic() || is_known_element(name) {
            return None;
        }
        let tag = memchr::memchr(b'>', rest)? + 1;
        let close = [b"</", name, b">"].concat();
        let end = match rest[..tag].ends_with(b"/>") {
            true => Some(at + tag),
            false => memmem::find(rest, &close).map(|n| at + n + close.len()),
        };
        let is_whole = |end: &usize| {
            // An element without its own end tag must not swallow qubes.
            memmem::find(&self.text[at + 1..*end], b"<domain").is_none()
                && Tree::parse_element(self.text, at..*end).is_ok()
        };
        match end.filter(is_whole) {
            Some(end) => {
                if self.seen.insert(&self.text[at..end]) {
                    self.others.push((at, end));
                }
                Some(end)
            }
            None => {
                let name = String::from_utf8_lossy(name);
                let text = format!("the unknown element <{name}> cannot be read");
                self.lost.push(LostPiece {
                    line: self.lines.line(at),
                    name: None,
                    text,
                });
                Some(self.next_known(at + tag).unwrap_or(self.text.len()))
            }
        }
    }

    /// Returns where the next known section, domain, or end of the store begins, from `at` on.
    fn next_known(&self, at: usize) -> Option<usize> {
        let starts = HEAD_SECTIONS.map(open_tag).into_iter();
        starts
            .chain([b"<domain".to_vec(), b"</qubes>".to_vec()])
            .filter_map(|start| memmem::find(&self.text[at..], &start))
            .min()
            .map(|n| at + n)
    }

    /// Takes the domain at `at`, or records it as lost; returns where to continue.
    fn take_domain(&mut self, at: usize) -> usize {
        let close = b"</domain>";
        let rest = &self.text[at + 1..];
        let next = memmem::find_iter(rest, b"<domain")
            .map(|n| at + 1 + n)
            .find(|n| begins_tag(&self.text[*n..], b"<domain"));
        let end = memmem::find(rest, close).map(|n| at + 1 + n + close.len());
        let end = match (end, next) {
            (Some(end), next) if next.is_none_or(|next| end <= next) => end,
            (_, next) => {
                let end = next.unwrap_or(self.text.len());
                self.record_lost(at, end, "it is cut off");
                return end;
            }
        };
        match Tree::parse_element(self.text, at..end) {
            Ok(_) => self.keep_domain(at, end),
            Err(fault) => {
                let reason = match fault.locate(self.text) {
                    FormatError::NotWellFormed {
                        line,
                        column,
                        reason,
                    } => {
                        format!("not well-formed XML at line {line}, column {column}: {reason}")
                    }
                    other => other.to_string(),
                };
                self.record_lost(at, end, &reason);
            }
        }
        end
    }

    /// Takes a domain unless an identical one was taken. A different domain of the same name is
    /// kept; renaming it is a later step.
    fn keep_domain(&mut self, at: usize, end: usize) {
        if self.seen.insert(&self.text[at..end]) {
            self.domains.push((at, end));
        }
    }

    /// Records a domain that cannot be read.
    fn record_lost(&mut self, at: usize, end: usize, why: &str) {
        let name = find_name(&self.text[at..end]);
        let owner = name
            .as_ref()
            .map(|name| format!(" of '{name}'"))
            .unwrap_or_default();
        let text = format!("the domain{owner} cannot be read: {why}");
        self.lost.push(LostPiece {
            line: self.lines.line(at),
            name,
            text,
        });
    }

    /// Takes the section at `at`, or its intact items; returns where to continue.
    fn take_section(&mut self, section: Container, at: usize) -> usize {
        let rest = &self.text[at..];
        let tag = memchr::memchr(b'>', rest).map_or(rest.len(), |n| n + 1);
        let end = match rest[..tag].ends_with(b"/>") {
            true => at + tag,
            false => {
                let close = format!("</{}>", section.name);
                memmem::find(rest, close.as_bytes())
                    .map_or(self.text.len(), |n| at + n + close.len())
            }
        };
        let known = self.sections.iter().any(|(known, _)| *known == section)
            || self.rebuilt.iter().any(|(known, _)| *known == section);
        // These can be the properties of a domain that is cut off: they have a qid, which global
        // properties never have.
        let is_of_qube =
            section == PROPERTIES && memmem::find(&self.text[at..end], b"name=\"qid\"").is_some();
        if known || is_of_qube {
            return at + tag;
        }
        match Tree::parse_element(self.text, at..end) {
            Ok(_) => {
                self.sections.push((section, (at, end)));
                end
            }
            Err(_) => {
                let name = section.name;
                // The rebuilt section ends where another element begins.
                let end = self.next_known(at + tag).unwrap_or(end);
                let items = self.intact_items((at + tag, end), section);
                let whole = items.len();
                let items: String = items.iter().map(|item| format!("    {item}\n")).collect();
                self.rebuilt
                    .push((section, format!("  <{name}>\n{items}  </{name}>\n")));
                let text =
                    format!("the section <{name}> is damaged; {whole} of its items can be read");
                self.lost.push(LostPiece {
                    line: self.lines.line(at),
                    name: None,
                    text,
                });
                end
            }
        }
    }

    /// Returns the intact items of a damaged section.
    fn intact_items(&self, (start, end): (usize, usize), section: Container) -> Vec<&'a str> {
        let open = format!("<{} ", section.item);
        let close = match section {
            POOLS => "/>".to_owned(),
            _ => format!("</{}>", section.item),
        };
        let text = &self.text[start..end];
        let whole = |from: usize| {
            let to = from + memmem::find(&text[from..], close.as_bytes())? + close.len();
            Tree::parse_element(self.text, start + from..start + to).ok()?;
            std::str::from_utf8(&text[from..to]).ok()
        };
        memmem::find_iter(text, open.as_bytes())
            .filter_map(whole)
            .collect()
    }

    /// Assembles a store; `None` if no domain is intact.
    pub fn assemble(self, steps: Vec<SalvageStep>) -> Option<SalvagedStore> {
        if self.domains.is_empty() {
            return None;
        }
        let mut out = Assembly {
            bytes: b"<qubes>\n".to_vec(),
            lines: Vec::new(),
            line: 2,
        };
        let mut steps = steps;
        for section in HEAD_SECTIONS {
            let whole = self.sections.iter().find(|(known, _)| *known == section);
            let rebuilt = self.rebuilt.iter().find(|(known, _)| *known == section);
            match (whole, rebuilt) {
                (Some((_, span)), _) => out.push_fragment("  ", self.text, *span, &self.lines),
                (None, Some((_, rebuilt))) => out.push_text(rebuilt),
                (None, None) if section == LABELS => {
                    out.push_default_labels();
                    steps.push(SalvageStep {
                        line: None,
                        problem: "no labels are left".into(),
                        action: "write the default labels".into(),
                    });
                }
                (None, None) => {}
            }
        }
        let first = self.domains[0].0;
        let (before, after): (Vec<_>, Vec<_>) =
            self.others.iter().partition(|(start, _)| *start < first);
        before
            .iter()
            .for_each(|span| out.push_fragment("  ", self.text, *span, &self.lines));
        out.push_text("  <domains>\n");
        self.domains
            .iter()
            .for_each(|span| out.push_fragment("    ", self.text, *span, &self.lines));
        out.push_text("  </domains>\n");
        after
            .iter()
            .for_each(|span| out.push_fragment("  ", self.text, *span, &self.lines));
        out.push_text("</qubes>\n");
        let mut lost = self.lost;
        lost.sort_by_key(|lost| lost.line);
        let store = SalvagedStore {
            bytes: out.bytes,
            steps,
            lost,
            domains: self.domains.len(),
            lines: LineShift(out.lines),
        };
        parse_outline(&store.bytes).is_ok().then_some(store)
    }
}

/// A text under construction, with the original line of each fragment.
struct Assembly {
    bytes: Vec<u8>,
    lines: Vec<(usize, usize)>,
    line: usize,
}

impl Assembly {
    fn push_text(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
        self.line += count_line_ends(text.as_bytes());
    }

    /// Writes the labels of a new system.
    fn push_default_labels(&mut self) {
        self.push_text("  <labels>\n");
        for (index, color, name) in Label::BUILT_IN {
            self.push_text(&format!(
                "    <label id=\"label-{index}\" color=\"{color}\">{name}</label>\n"
            ));
        }
        self.push_text("  </labels>\n");
    }

    fn push_fragment(
        &mut self,
        indent: &str,
        source: &[u8],
        (start, end): (usize, usize),
        lines: &LineStarts,
    ) {
        self.lines.push((self.line, lines.line(start)));
        self.push_text(indent);
        let piece = &source[start..end];
        self.bytes.extend_from_slice(piece);
        self.line += count_line_ends(piece);
        self.push_text("\n");
    }
}

/// Returns the beginning of the start tag of a section.
fn open_tag(section: Container) -> Vec<u8> {
    format!("<{}", section.name).into_bytes()
}

/// Whether a tag of exactly this name begins here.
fn begins_tag(text: &[u8], tag: &[u8]) -> bool {
    text.strip_prefix(tag).is_some_and(|rest| {
        rest.first()
            .is_some_and(|b| is_space(*b) || matches!(b, b'>' | b'/'))
    })
}

/// Finds the name of a qube in a fragment of its domain.
fn find_name(piece: &[u8]) -> Option<String> {
    let before = b"<property name=\"name\">";
    let at = memmem::find(piece, before)? + before.len();
    let length = memchr::memchr(b'<', &piece[at..])?;
    let name = std::str::from_utf8(&piece[at..at + length]).ok()?;
    VmName::from_store(name).ok().map(|name| name.to_string())
}
