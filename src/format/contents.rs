//! Where the domains of a store lie, written down, so that the next reader need not look for them.
//!
//! One line that says how long the store is, one line for each domain (where it begins, how long it is, its class, its
//! name), one line with their number and a checksum. What stands before, between and behind the domains is read from the store itself: a
//! table that does not fit what is there is as good as none. Whether it is of this very state of the store is for the
//! one to say who keeps it ([`super::Stored::contents`]).

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hasher as _};
use std::io;

use super::frame::{Frame, around};
use super::index::Entry;
use super::scan::Span;
use super::stored::Stored;
use crate::model::{Class, VmName};

/// The table for a store; none where a domain has no name of its own, or nobody would be helped.
pub(super) fn table(frame: &Frame, entries: &[Entry], length: usize) -> Option<String> {
    if entries.is_empty() || entries.len() != frame.domains.len() {
        return None;
    }
    let mut table = String::with_capacity(48 * entries.len());
    writeln!(table, "{length}").ok()?;
    for Entry { span, class, name } in entries {
        let name = name.as_ref().ok()?;
        let is_plain = !matches!(class, Class::Unknown(_)) && !name.as_str().contains(char::is_control);
        is_plain.then_some(())?;
        writeln!(table, "{} {} {class} {name}", span.start, span.end - span.start).ok()?;
    }
    let sum = checksum(&table);
    writeln!(table, "end {} {sum:x}", entries.len()).ok()?;
    Some(table)
}

/// Another compiler may compute another one: then the table is as good as none.
fn checksum(table: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(table.as_bytes());
    hasher.finish()
}

/// What the table says, with what stands around the domains; none where it does not fit.
pub(super) fn framed(table: &str, stored: &dyn Stored) -> io::Result<Option<(Frame, Vec<Entry>)>> {
    let Some((length, entries)) = parsed(table) else { return Ok(None) };
    Ok(around(stored, length, &entries)?.map(|frame| (frame, entries)))
}

fn parsed(table: &str) -> Option<(usize, Vec<Entry>)> {
    let (summed, last) = table.strip_suffix('\n')?.rsplit_once('\n')?;
    let (count, sum) = last.strip_prefix("end ")?.split_once(' ')?;
    let is_whole = u64::from_str_radix(sum, 16).ok()? == checksum(&table[..summed.len() + 1]);
    let (length, lines) = summed.split_once('\n').filter(|_| is_whole)?;
    let (count, length): (usize, usize) = (count.parse().ok()?, length.parse().ok()?);
    let mut entries = Vec::with_capacity(count.min(length));
    let mut behind = 0;
    for line in lines.split('\n') {
        let mut words = line.splitn(4, ' ');
        let (start, long): (u32, u32) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let (class, name) = (Class::from_store(words.next()?), VmName::from_store(words.next()?).ok()?);
        let end = start.checked_add(long).filter(|end| start >= behind && *end as usize <= length && long > 0)?;
        behind = end;
        let is_known = !matches!(class, Class::Unknown(_));
        is_known.then(|| entries.push(Entry { span: Span { start, end }, class, name: Ok(name) }))?;
    }
    (entries.len() == count).then_some((length, entries))
}

#[cfg(test)]
mod tests {
    use super::super::frame::frame;
    use super::super::stored::Window;
    use super::*;

    const SAMPLE: &str = include_str!("../../tests/data/r4/small.xml");

    fn table_of(store: &str) -> String {
        let (found, entries) = frame(&store.as_bytes(), Window::ROOM, None).unwrap().unwrap();
        table(&found, &entries, store.len()).unwrap()
    }

    #[test]
    fn a_store_read_by_its_table_is_the_same() {
        let (found, entries) = frame(&SAMPLE.as_bytes(), Window::ROOM, None).unwrap().unwrap();
        let (by_table, same) = framed(&table_of(SAMPLE), &SAMPLE.as_bytes()).unwrap().unwrap();
        assert_eq!(same, entries);
        assert_eq!(by_table.domains, found.domains);
        assert_eq!(by_table.sections, found.sections);
        assert!(by_table.head == found.head && by_table.tail == found.tail);
    }

    #[test]
    fn a_table_that_does_not_fit_is_none() {
        let whole = table_of(SAMPLE);
        for cut in 0..whole.len() {
            assert!(framed(&whole[..cut], &SAMPLE.as_bytes()).unwrap().is_none(), "cut at {cut}");
        }
        let zeros = format!("{}{}", &whole[..whole.len() / 2], "\0".repeat(whole.len() / 2));
        let longer = SAMPLE.replace("</qubes>", "<!-- longer --></qubes>");
        let moved = SAMPLE.replacen("<labels>", "<labels> ", 1);
        for (table, store) in [(zeros.as_str(), SAMPLE), (&whole, &longer), (&whole, &moved), ("", SAMPLE)] {
            assert!(framed(table, &store.as_bytes()).unwrap().is_none());
        }
    }
}
