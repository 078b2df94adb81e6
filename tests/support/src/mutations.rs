//! Mutates samples: removes, duplicates or swaps parts, and inserts values at the limits of
//! numbers, names and encodings.

use fastrand::Rng;

/// Fragments to insert anywhere.
const SHARDS: [&[u8]; 44] = [
    b"<",
    b">",
    b"/>",
    b"</",
    b"\"",
    b"'",
    b"&",
    b"&amp;",
    b"&lt;",
    b"&#0;",
    b"&#10;",
    b"&#x41;",
    b"&#x110000;",
    b"&#xD800;",
    b"&nbsp;",
    b"<!--",
    b"-->",
    b"--",
    b"<![CDATA[",
    b"]]>",
    b"<?x",
    b"?>",
    b"<!DOCTYPE a>",
    b"\0",
    b"\xFF",
    b"\xC0\x80",
    b"\xED\xA0\x80",
    b"\xEF\xBB\xBF",
    b"\xEF\xBF\xBF",
    b"\xC2\x85",
    b"\r\n",
    b"\r",
    b"\t",
    b"=",
    b" ",
    b"</domain>",
    b"<domain>",
    b"<properties>",
    b"</properties>",
    b"<property name=\"name\">",
    b"</property>",
    b"ref=\"x\"",
    b"<domain/>",
    b"</domains><domains>",
];

/// Replacements for a value.
const VALUES: [&str; 24] = [
    "",
    "0",
    "-1",
    "1",
    "253",
    "254",
    "65535",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "99999999999999999999999999999999999999",
    "1e400",
    "nan",
    "None",
    "True",
    "False",
    "dom0",
    "../../etc",
    "work",
    "{'a': 1}",
    "[(]",
    "\u{202e}x\u{17c}",
];

/// Returns `sample` with some mutations, sometimes with a part of `other`.
pub fn mutate(rng: &mut Rng, sample: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = sample.to_vec();
    for _ in 0..1 + rng.usize(..4) {
        match rng.u8(..8) {
            0 => {
                let shard = SHARDS[rng.usize(..SHARDS.len())];
                insert(rng, &mut bytes, shard);
            }
            1 => drop(bytes.drain(piece(rng, bytes.len()))),
            2 => {
                let doubled = bytes[piece(rng, bytes.len())].to_vec();
                insert(rng, &mut bytes, &doubled);
            }
            3 => {
                let piece = piece(rng, other.len());
                insert(rng, &mut bytes, &other[piece]);
            }
            4 => element(rng, &mut bytes),
            5 if !bytes.is_empty() => {
                let at = rng.usize(..bytes.len());
                bytes[at] = rng.u8(..);
            }
            _ => value(rng, &mut bytes),
        }
    }
    bytes
}

fn insert(rng: &mut Rng, bytes: &mut Vec<u8>, what: &[u8]) {
    let at = rng.usize(..=bytes.len());
    bytes.splice(at..at, what.iter().copied());
}

fn piece(rng: &mut Rng, length: usize) -> std::ops::Range<usize> {
    let start = rng.usize(..=length);
    start..start + rng.usize(..=(length - start).min(200))
}

/// Replaces the content between two quotes, or between two tags.
fn value(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let (begin, end) = if rng.bool() {
        (b'"', b'"')
    } else {
        (b'>', b'<')
    };
    let Some((from, to)) = between(rng, bytes, begin, end) else {
        return;
    };
    let new = VALUES[rng.usize(..VALUES.len())];
    bytes.splice(from..to, new.bytes());
}

/// Removes a whole tag, or moves it.
fn element(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let Some((from, to)) = between(rng, bytes, b'<', b'>') else {
        return;
    };
    let tag: Vec<u8> = bytes.drain(from - 1..(to + 1).min(bytes.len())).collect();
    if rng.bool() {
        insert(rng, bytes, &tag);
    }
}

/// Returns the range between the first two such bytes after a random position.
fn between(rng: &mut Rng, bytes: &[u8], begin: u8, end: u8) -> Option<(usize, usize)> {
    let at = rng.usize(..=bytes.len());
    let from = at + bytes[at..].iter().position(|b| *b == begin)? + 1;
    let to = from + bytes[from..].iter().position(|b| *b == end)?;
    Some((from, to))
}
