//! A reader fetches qubes when they are looked at: what happens to the file meanwhile must not show.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use qubes::model::Vm;
use qubes::store::{Read, StorePlace, Write};

#[path = "support/store_place.rs"]
mod store_place;

use store_place::store_place;

const SMALL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/r4/small.xml");

struct Scratch {
    place: StorePlace,
    _dir: tempfile::TempDir,
}

impl Scratch {
    fn new() -> Scratch {
        let dir = tempfile::tempdir().unwrap();
        let place = store_place(dir.path());
        fs::copy(SMALL, &place.file).unwrap();
        Scratch { place, _dir: dir }
    }

    fn file(&self) -> &PathBuf {
        &self.place.file
    }
}

fn property<'a>(read: &'a Read, qube: &str, name: &str) -> Option<&'a str> {
    read.get(qube)?.properties.get(name)
}

#[test]
fn what_a_writer_of_ours_puts_in_place_meanwhile_is_not_seen() {
    let scratch = Scratch::new();
    let read = Read::open(&scratch.place).unwrap();
    let mut write = Write::open(&scratch.place).unwrap();
    write.edit("work").unwrap().properties.set("memory", "4321");
    write.remove("vault").unwrap();
    write.save().unwrap();
    assert_ne!(property(&read, "work", "memory"), Some("4321"));
    assert_eq!(property(&read, "vault", "name"), Some("vault"));
}

#[test]
fn what_a_foreign_program_writes_in_place_is_read_again_and_whole() {
    let scratch = Scratch::new();
    let read = Read::open(&scratch.place).unwrap();
    // Everything moves, so that what was found where is wrong now.
    let before = fs::read_to_string(scratch.file()).unwrap();
    let moved = before.replacen("<domains>", &format!("<domains>{}", " ".repeat(777)), 1);
    let work = moved.find("<property name=\"name\">work<").unwrap();
    let changed = format!("{}<property name=\"default_user\">moved</property>{}", &moved[..work], &moved[work..]);
    fs::write(scratch.file(), changed).unwrap();
    assert_eq!(property(&read, "work", "default_user"), Some("moved"));
    for vm in read.iter() {
        assert!(vm.diagnoses.is_empty(), "{}: {:?}", vm.name, vm.diagnoses);
    }
}

#[test]
fn a_qube_that_a_foreign_program_took_out_is_said_to_be_gone() {
    let scratch = Scratch::new();
    let read = Read::open(&scratch.place).unwrap();
    let mut other = qubes::format::read(fs::read(scratch.file()).unwrap()).unwrap();
    other.remove("vault").unwrap();
    let without = qubes::format::write(&fs::read(scratch.file()).unwrap(), &other).unwrap();
    fs::write(scratch.file(), without).unwrap();
    let vault = read.get("vault").unwrap();
    assert!(vault.diagnoses[0].text.contains("took it out of the file"), "{:?}", vault.diagnoses);
    assert_eq!(property(&read, "work", "name"), Some("work"));
}

#[test]
fn a_glance_gives_what_a_look_gives_and_keeps_nothing() {
    let scratch = Scratch::new();
    let read = Read::open(&scratch.place).unwrap();
    let looked_at = Read::open(&scratch.place).unwrap();
    let mut names: Vec<&str> = read.names().map(|name| name.as_str()).collect();
    // In turn, backwards, and one after the other with a look aside.
    let backwards: Vec<&str> = names.iter().rev().copied().collect();
    let aside: Vec<&str> = names.iter().flat_map(|name| [*name, "dom0"]).collect();
    names.extend(backwards);
    names.extend(aside);
    for name in names {
        assert_eq!(read.glance(name, Vm::clone).as_ref(), looked_at.get(name), "{name}");
    }
    assert!(read.glance("nobody", |_| ()).is_none());
}

#[test]
fn whoever_looks_at_many_sees_what_a_foreign_program_writes_meanwhile_or_what_was_there() {
    const N1000: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/r4/n1000.xml");
    let scratch = Scratch::new();
    let before = fs::read_to_string(N1000).unwrap();
    fs::write(scratch.file(), &before).unwrap();
    // Where one qube was another one is now, of the same length.
    let mut domains: Vec<&str> = before.split_inclusive("</domain>").collect();
    let mut by_length: Vec<usize> = (1..domains.len() - 1).collect();
    by_length.sort_by_key(|at| domains[*at].len());
    for pair in by_length.chunks_exact(2) {
        if domains[pair[0]].len() == domains[pair[1]].len() {
            domains.swap(pair[0], pair[1]);
        }
    }
    // And every one has another number for libvirt, which shows which it is.
    let mut after = domains.concat().into_bytes();
    let uuid = b"name=\"uuid\">";
    for at in 0..after.len() - uuid.len() {
        if after[at..].starts_with(uuid) {
            let digit = &mut after[at + uuid.len()];
            *digit = if *digit == b'0' { b'1' } else { b'0' };
        }
    }
    assert_eq!(after.len(), before.len());
    let old = qubes::format::read(before.clone().into_bytes()).unwrap();
    let new = qubes::format::read(after.clone()).unwrap();
    let read = Read::open(&scratch.place).unwrap();
    let names: Vec<&str> = read.names().map(|name| name.as_str()).collect();
    let (mut seen, mut renewed) = (0, 0);
    let mut look = |vm: &Vm| {
        if seen == 0 {
            // Nothing is cut off before: a reader finds text wherever it looks.
            let mut file = fs::OpenOptions::new().write(true).open(scratch.file()).unwrap();
            file.write_all(&after).unwrap();
        }
        seen += 1;
        let name = vm.name.as_str();
        renewed += usize::from(Some(vm) == new.get(name) && Some(vm) != old.get(name));
        assert!([old.get(name), new.get(name)].contains(&Some(vm)), "{vm:?}");
    };
    for name in &names {
        read.glance(name, &mut look);
    }
    assert_eq!(seen, names.len());
    assert!(renewed > 500, "{renewed} of {seen}");
}
