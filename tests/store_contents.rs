//! `RUN/contents`, the table by which a reader finds the domains without looking for them: it is believed only for the
//! state of the file that it was made of, and nothing depends on it.

use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use qubes::store::{Read, StorePlace, Write};

#[path = "support/store_place.rs"]
mod store_place;

use store_place::store_place;

const SMALL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/r4/small.xml");

struct Scratch {
    place: StorePlace,
    dir: tempfile::TempDir,
}

impl Scratch {
    /// A store that has been at rest for long enough, and its table.
    fn with_table() -> Scratch {
        Scratch::of(&fs::read_to_string(SMALL).unwrap())
    }

    fn of(text: &str) -> Scratch {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("run")).unwrap();
        let place = store_place(dir.path());
        fs::write(&place.file, text).unwrap();
        let scratch = Scratch { place, dir };
        assert!(!scratch.names().is_empty());
        assert!(!scratch.table().exists(), "a file that changed a moment ago has no table");
        let deadline = Instant::now() + Duration::from_secs(30);
        while !scratch.table().exists() {
            assert!(Instant::now() < deadline, "no table was made");
            std::thread::yield_now();
            scratch.names();
        }
        scratch
    }

    fn table(&self) -> PathBuf {
        self.dir.path().join("run/contents")
    }

    fn names(&self) -> Vec<String> {
        let read = Read::open(&self.place).unwrap();
        read.iter().map(|vm| vm.name.to_string()).collect()
    }
}

#[test]
fn a_reader_goes_by_the_table() {
    let scratch = Scratch::with_table();
    // Shown by a table of another store under this one's stamp: a qube has another name there.
    let own = fs::read_to_string(scratch.table()).unwrap();
    let other = Scratch::of(&fs::read_to_string(SMALL).unwrap().replace(">vault<", ">thief<"));
    let (stamp, _) = own.split_once('\n').unwrap();
    let foreign = fs::read_to_string(other.table()).unwrap();
    let (_, table) = foreign.split_once('\n').unwrap();
    fs::write(scratch.table(), format!("{stamp}\n{table}")).unwrap();
    assert!(scratch.names().contains(&"thief".to_string()));
}

#[test]
fn a_change_in_place_that_keeps_length_and_time_is_seen() {
    let scratch = Scratch::with_table();
    let metadata = fs::metadata(&scratch.place.file).unwrap();
    let text = fs::read_to_string(&scratch.place.file).unwrap();
    let changed = text.replace(">vault<", ">thief<").replace(">work<", ">wolf<");
    assert_eq!(changed.len(), text.len());
    let mut file = OpenOptions::new().write(true).open(&scratch.place.file).unwrap();
    file.write_all(changed.as_bytes()).unwrap();
    file.set_times(FileTimes::new().set_modified(metadata.modified().unwrap())).unwrap();
    drop(file);
    assert_eq!(fs::metadata(&scratch.place.file).unwrap().modified().unwrap(), metadata.modified().unwrap());
    let names = scratch.names();
    assert!(names.contains(&"thief".to_string()) && !names.contains(&"vault".to_string()), "{names:?}");
}

#[test]
fn what_a_writer_saves_is_seen_at_once() {
    let scratch = Scratch::with_table();
    for round in 0..20 {
        let mut write = Write::open(&scratch.place).unwrap();
        write.edit("work").unwrap().properties.set("memory", &(500 + round).to_string());
        write.save().unwrap();
        drop(write);
        let read = Read::open(&scratch.place).unwrap();
        assert_eq!(read.get("work").unwrap().properties.get("memory"), Some((500 + round).to_string().as_str()));
    }
}

#[test]
fn a_table_that_is_damaged_is_as_good_as_none() {
    let scratch = Scratch::with_table();
    let (table, all) = (fs::read(scratch.table()).unwrap(), scratch.names());
    for damaged in [&b""[..], b"\n", b"0.1.0 1 2 3\n", &table[..table.len() / 2], &[0; 4096], b"\xff\xfe\n"] {
        fs::write(scratch.table(), damaged).unwrap();
        assert_eq!(scratch.names(), all, "{damaged:?}");
    }
    for at in (0..table.len()).step_by(97) {
        let mut damaged = table.clone();
        damaged[at] = if damaged[at] == b'7' { b'8' } else { b'7' };
        fs::write(scratch.table(), &damaged).unwrap();
        assert_eq!(scratch.names(), all, "changed at {at}");
    }
    fs::remove_file(scratch.table()).unwrap();
    File::create(scratch.table()).unwrap();
    assert_eq!(scratch.names(), all);
}
