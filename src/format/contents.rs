//! Where the domains of a store lie, written down, so that the next one need not look for them.
//!
//! One line that says how long the store is, whether every byte was checked and what stands before each domain, one line for
//! each domain (where it begins, how long it is, its class, its name), one line with their number and a checksum. What
//! stands before and behind the domains is read from the store itself: a
//! table that does not fit what is there is as good as none. Whether it is of this very state of the store is for the
//! one to say who keeps it ([`super::Stored::contents`]).

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hasher as _};
use std::io;

use super::frame::{Frame, around};
use super::index::{Entry, parsed_entry};
use super::scan::Span;
use super::stored::{Stored, piece};
use super::tree::{Parts, Tree};
use super::{Changed, DEPTH_OF_DOMAINS};
use crate::model::{Class, VmName};

/// How well a store was looked at by whoever made its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// As is done for reading: the domains were found.
    Found,
    /// As is done before writing: every byte was checked.
    Checked,
}

/// The blanks that stand before a domain, and how the table writes them.
const BLANKS: [(u8, char); 4] = [(b' ', 's'), (b'\n', 'n'), (b'\t', 't'), (b'\r', 'r')];

/// The table for a store; none where a domain has no name of its own, or nobody would be helped.
pub(super) fn table(frame: &Frame, entries: &[Entry], length: usize, look: Look) -> Option<String> {
    if entries.is_empty() || entries.len() != frame.domains.len() {
        return None;
    }
    let mut table = String::with_capacity(48 * entries.len());
    head(&mut table, length, look, &gap_in_words(frame)?);
    for Entry { span, class, name } in entries {
        line(&mut table, *span, class, name.as_ref().ok()?)?;
    }
    Some(closed(table, entries.len()))
}

fn head(table: &mut String, length: usize, look: Look, gap: &str) {
    let look = match look {
        Look::Found => "found",
        Look::Checked => "checked",
    };
    let _written = writeln!(table, "{length} {look} {gap}");
}

fn line(table: &mut String, span: Span, class: &Class, name: &VmName) -> Option<()> {
    let is_plain = !matches!(class, Class::Unknown(_)) && !name.as_str().contains(char::is_control);
    is_plain.then_some(())?;
    writeln!(table, "{} {} {class} {name}", span.start, span.end - span.start).ok()
}

fn closed(mut table: String, count: usize) -> String {
    let sum = checksum(&table);
    let _written = writeln!(table, "end {count} {sum:x}");
    table
}

/// What stands before each domain, where it is always the same; else `-`. None where the blanks are not all known.
fn gap_in_words(frame: &Frame) -> Option<String> {
    let count = frame.domains.len();
    let long = frame.gaps.len() / count;
    let gap = frame.gaps.get(..long)?;
    let is_same = frame.gaps.len() == long * count && long > 0 && frame.gaps.chunks(long).all(|other| other == gap);
    if !is_same {
        return Some("-".to_string());
    }
    gap.iter().map(|byte| BLANKS.iter().find(|(blank, _)| blank == byte).map(|(_, word)| *word)).collect()
}

/// Another compiler may compute another one: then the table is as good as none.
fn checksum(table: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(table.as_bytes());
    hasher.finish()
}

/// What the table says, with what stands around the domains; none where it does not fit, or where the store was not
/// looked at as well as is asked for.
pub(super) fn framed(table: &str, stored: &dyn Stored, look: Look) -> io::Result<Option<(Frame, Vec<Entry>)>> {
    let Some(Contents { length, checked, gap, entries }) = parsed(table) else { return Ok(None) };
    let gap = match look {
        Look::Found => None,
        Look::Checked if checked && gap.is_some() => gap,
        Look::Checked => return Ok(None),
    };
    Ok(around(stored, length, &entries, gap)?.map(|frame| (frame, entries)))
}

struct Contents {
    length: usize,
    checked: bool,
    gap: Option<Vec<u8>>,
    entries: Vec<Entry>,
}

fn parsed(table: &str) -> Option<Contents> {
    let (first, mut lines, count) = opened(table)?;
    let mut words = first.split(' ');
    let length: usize = words.next()?.parse().ok()?;
    let checked = words.next()? == "checked";
    let gap = match words.next()? {
        "-" => None,
        gap => Some(gap.chars().map(|c| BLANKS.iter().find(|(_, w)| *w == c).map(|(b, _)| *b)).collect::<Option<_>>()?),
    };
    let mut entries = Vec::with_capacity(count.min(length));
    let mut behind = 0;
    while !lines.is_empty() {
        let line = Line::first_of(&mut lines)?;
        let Span { start, end } = line.span;
        (start >= behind && end as usize <= length && end > start).then_some(())?;
        behind = end;
        let class = Class::from_store(line.class);
        (!matches!(class, Class::Unknown(_))).then_some(())?;
        entries.push(Entry { span: line.span, class, name: Ok(VmName::from_store(line.name).ok()?) });
    }
    (entries.len() == count).then_some(Contents { length, checked, gap, entries })
}

/// The first line, those of the domains, and how many these are; none where the checksum says that something is missing.
fn opened(table: &str) -> Option<(&str, &str, usize)> {
    let (summed, last) = table.strip_suffix('\n')?.rsplit_once('\n')?;
    let (count, sum) = last.strip_prefix("end ")?.split_once(' ')?;
    let summed = &table[..summed.len() + 1];
    let is_whole = u64::from_str_radix(sum, 16).ok()? == checksum(summed);
    let (first, lines) = summed.split_once('\n').filter(|_| is_whole)?;
    Some((first, lines, count.parse().ok()?))
}

/// A domain as the table has it.
struct Line<'t> {
    span: Span,
    class: &'t str,
    name: &'t str,
}

impl<'t> Line<'t> {
    /// Takes the first line away. A table of thousands of lines is read at each start of a tool, so this is done by hand.
    fn first_of(lines: &mut &'t str) -> Option<Line<'t>> {
        let (line, rest) = lines.split_at(memchr::memchr(b'\n', lines.as_bytes())?);
        *lines = rest.get(1..)?;
        let (start, line) = number(line)?;
        let (long, line) = number(line)?;
        let (class, name) = line.split_at(memchr::memchr(b' ', line.as_bytes())?);
        Some(Line { span: Span { start, end: start.checked_add(long)? }, class, name: name.get(1..)? })
    }
}

/// The number before the first blank, and what stands behind that.
fn number(text: &str) -> Option<(u32, &str)> {
    let mut number: u64 = 0;
    // More digits than these are too many, and these are not too many to add up.
    for (at, byte) in text.bytes().enumerate().take(12) {
        match byte {
            b'0'..=b'9' => number = 10 * number + u64::from(byte - b'0'),
            b' ' if at > 0 => return Some((number.try_into().ok()?, text.get(at + 1..)?)),
            _ => return None,
        }
    }
    None
}

/// The table of what a store with this table became by a change; `new` is the store now. Only domains that were
/// changed are looked at, as strictly as before any write. None where domains came or went, or moved apart.
pub(super) fn carried_over(table: &str, changed: &Changed, new: &dyn Stored) -> io::Result<Option<String>> {
    let Some((first, mut lines, count)) = opened(table) else { return Ok(None) };
    let mut words = first.split(' ');
    let (length, gap) = match (words.next().and_then(|l| l.parse::<i64>().ok()), words.next(), words.next()) {
        (Some(length), Some("checked"), Some(gap)) if gap != "-" => (length, gap),
        _ => return Ok(None),
    };
    let mut moves = Moves { edits: changed.edits(), by: 0 };
    let (mut domains, mut front) = (String::with_capacity(lines.len() + 16), gap.len() as u32);
    while !lines.is_empty() {
        let Some(line) = Line::first_of(&mut lines) else { return Ok(None) };
        let Some(moved) = moves.over(line.span, front) else { return Ok(None) };
        // Between two domains nothing can have changed; only before the first is there something else.
        front = u32::MAX;
        let written = match moved {
            Moved::Whole(span) => {
                writeln!(domains, "{} {} {} {}", span.start, span.end - span.start, line.class, line.name).ok()
            }
            Moved::Changed(span) => match looked_at(new, span)? {
                Some(Entry { class, name: Ok(name), .. }) => self::line(&mut domains, span, &class, &name),
                _ => None,
            },
        };
        if written.is_none() {
            return Ok(None);
        }
    }
    let Some(length) = moves.past_all().and_then(|by| usize::try_from(length + by).ok()) else { return Ok(None) };
    let mut table = String::with_capacity(domains.len() + 64);
    head(&mut table, length, Look::Checked, gap);
    table.push_str(&domains);
    Ok(Some(closed(table, count)))
}

/// A domain that was changed, read strictly from where it stands now.
fn looked_at(new: &dyn Stored, span: Span) -> io::Result<Option<Entry>> {
    let Some(bytes) = piece(new, span.start as usize, span.range().len())? else { return Ok(None) };
    let whole = 0..bytes.len();
    let is_sound = Tree::check_element(&bytes, whole.clone(), DEPTH_OF_DOMAINS, Parts::default()).is_ok();
    Ok(if is_sound { parsed_entry(&bytes, Span::new(0, whole.end)).ok() } else { None })
}

/// How what stands behind changes moves by them.
struct Moves<'c> {
    edits: &'c [(std::ops::Range<usize>, String)],
    /// Bytes, of everything behind the changes that were passed.
    by: i64,
}

enum Moved {
    Whole(Span),
    Changed(Span),
}

impl Moves<'_> {
    /// Where a domain is now. What was changed before it must end `front` bytes before it, what was changed in it must
    /// leave its tags alone; a domain must not have come.
    fn over(&mut self, domain: Span, front: u32) -> Option<Moved> {
        let Span { start, end } = domain;
        while let Some((range, text)) = self.edits.first().filter(|(range, _)| range.end <= start as usize) {
            let is_clear = range.end.checked_add(front as usize)? <= start as usize;
            (is_clear && !text.contains("<domain")).then_some(())?;
            self.pass();
        }
        let moved = |at: u32, by: i64| u32::try_from(i64::from(at) + by).ok();
        let (start_now, mut is_changed) = (moved(start, self.by)?, false);
        while let Some((range, _)) = self.edits.first().filter(|(range, _)| range.start < end as usize) {
            (range.start > start as usize && range.end < end as usize).then_some(())?;
            is_changed = true;
            self.pass();
        }
        let span = Span { start: start_now, end: moved(end, self.by)? };
        Some(if is_changed { Moved::Changed(span) } else { Moved::Whole(span) })
    }

    /// How much longer all of it is now.
    fn past_all(&mut self) -> Option<i64> {
        while let Some((_, text)) = self.edits.first() {
            (!text.contains("<domain")).then_some(())?;
            self.pass();
        }
        Some(self.by)
    }

    fn pass(&mut self) {
        if let Some(((range, text), others)) = self.edits.split_first() {
            self.by += text.len() as i64 - range.len() as i64;
            self.edits = others;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::frame;
    use super::super::stored::Window;
    use super::*;
    use crate::format::{Bytes, Original};
    use crate::model::{Qubes, Vm};
    use std::sync::Arc;

    const SAMPLE: &str = include_str!("../../tests/data/r4/small.xml");

    fn table_of(store: &str) -> String {
        let (found, entries) = frame(&store.as_bytes(), Window::ROOM, None).unwrap().unwrap();
        table(&found, &entries, store.len(), Look::Found).unwrap()
    }

    #[test]
    fn a_store_read_by_its_table_is_the_same() {
        let (found, entries) = frame(&SAMPLE.as_bytes(), Window::ROOM, None).unwrap().unwrap();
        let (by_table, same) = framed(&table_of(SAMPLE), &SAMPLE.as_bytes(), Look::Found).unwrap().unwrap();
        assert_eq!(same, entries);
        assert_eq!(by_table.domains, found.domains);
        assert_eq!(by_table.sections, found.sections);
        assert!(by_table.head == found.head && by_table.tail == found.tail);
    }

    #[test]
    fn a_table_that_does_not_fit_is_none() {
        let whole = table_of(SAMPLE);
        for cut in 0..whole.len() {
            assert!(framed(&whole[..cut], &SAMPLE.as_bytes(), Look::Found).unwrap().is_none(), "cut at {cut}");
        }
        let zeros = format!("{}{}", &whole[..whole.len() / 2], "\0".repeat(whole.len() / 2));
        let longer = SAMPLE.replace("</qubes>", "<!-- longer --></qubes>");
        let moved = SAMPLE.replacen("<labels>", "<labels> ", 1);
        for (table, store) in [(zeros.as_str(), SAMPLE), (&whole, &longer), (&whole, &moved), ("", SAMPLE)] {
            assert!(framed(table, &store.as_bytes(), Look::Found).unwrap().is_none());
        }
    }

    /// What a writer gives on after `change`, and what one finds who checks every byte of the result.
    fn after(store: &str, change: impl FnOnce(&mut Qubes)) -> (Option<String>, Option<String>) {
        let (mut qubes, original) = Original::open(Arc::new(Bytes::from(store.as_bytes().to_vec()))).unwrap();
        change(&mut qubes);
        let changed = original.changed(&qubes).unwrap();
        let new = crate::format::write(store.as_bytes(), &qubes).unwrap();
        let checked = Original::open(Arc::new(Bytes::from(new.clone()))).unwrap().1;
        (original.contents_of(&new.as_slice(), &changed), checked.table().map(str::to_string))
    }

    #[test]
    fn what_a_writer_gives_on_is_what_looking_finds() {
        for store in [SAMPLE, include_str!("../../tests/data/r4/random-1.xml")] {
            let names: Vec<String> =
                crate::format::read(store.as_bytes().to_vec()).unwrap().names().map(|n| n.to_string()).collect();
            for name in names.iter().step_by(names.len() / 12 + 1) {
                let (given, found) = after(store, |qubes| {
                    let vm = qubes.edit(name).unwrap();
                    vm.properties.set("memory", "123456");
                    vm.features.set("a-feature", "of some <length> & kind");
                    qubes.globals.set("clockvm", "");
                });
                assert!(given.is_some(), "{name}");
                assert_eq!(given, found, "{name}");
                let (given, found) = after(store, |qubes| {
                    for other in names.iter().filter(|other| *other != name) {
                        qubes.edit(other).unwrap().properties.remove("memory");
                    }
                });
                assert_eq!(given, found, "all but {name}");
            }
        }
    }

    #[test]
    fn where_a_qube_came_or_went_somebody_has_to_look() {
        let (given, _) = after(SAMPLE, |qubes| {
            qubes.remove("work").unwrap();
        });
        assert_eq!(given, None);
        let (given, _) = after(SAMPLE, |qubes| {
            qubes.add(Vm::new(VmName::from_store("zz-last").unwrap(), Class::AppVM)).unwrap();
        });
        assert_eq!(given, None);
    }
}
