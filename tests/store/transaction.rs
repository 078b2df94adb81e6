//! What a transaction writes, and what it refuses.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

use qubes::model::{Labels, Pools, Qubes, TextMap};
use qubes::store::{Read, RestoreOutcome, SaveOutcome, StoreError, StoreLocation, Write};
use qubes_test_support::scratch_store::{Scratch, edit, memory_in, set_memory};

#[test]
fn a_change_is_saved_with_mode_0660_and_the_old_bytes_are_copied() {
    let scratch = Scratch::new();
    let before = scratch.bytes();
    let mut write = Write::open(&scratch.place).unwrap();
    set_memory(&mut write, "801");
    assert_eq!(write.save().unwrap(), SaveOutcome::Written);
    drop(write);
    assert_eq!(memory_in(&scratch.place.file), "801");
    assert_eq!(
        fs::metadata(&scratch.place.file)
            .unwrap()
            .permissions()
            .mode()
            & 0o7777,
        0o660
    );
    assert_eq!(fs::read(&scratch.copies()[0]).unwrap(), before);
    assert_eq!(
        scratch.files(),
        ["backup", "qubes.xml", "run"],
        "a temporary file is left"
    );

    let mut write = Write::open(&scratch.place).unwrap();
    set_memory(&mut write, "802");
    write.save().unwrap();
    assert_eq!(scratch.copies().len(), 1, "one copy a day");
    write.back_up().unwrap();
    assert_eq!(
        scratch.copies().len(),
        2,
        "and one for each explicit backup"
    );
}

#[test]
fn nothing_is_written_without_a_change() {
    let scratch = Scratch::new();
    let inode = fs::metadata(&scratch.place.file).unwrap().ino();
    let mut write = Write::open(&scratch.place).unwrap();
    set_memory(&mut write, "801");
    set_memory(&mut write, "800");
    assert_eq!(write.save().unwrap(), SaveOutcome::Unchanged);
    assert_eq!(fs::metadata(&scratch.place.file).unwrap().ino(), inode);
    assert!(scratch.copies().is_empty());
}

#[test]
fn a_transaction_can_save_again_and_undo_a_saved_change() {
    let scratch = Scratch::new();
    let before = scratch.bytes();
    let mut write = Write::open(&scratch.place).unwrap();
    for (text, expected) in [
        ("801", SaveOutcome::Written),
        ("801", SaveOutcome::Unchanged),
        ("800", SaveOutcome::Written),
    ] {
        set_memory(&mut write, text);
        assert_eq!(write.save().unwrap(), expected);
        assert_eq!(memory_in(&scratch.place.file), text);
    }
    assert_eq!(scratch.bytes(), before);
}

#[test]
fn a_link_to_the_store_stays_a_link() {
    let scratch = Scratch::new();
    let link = scratch.dir.path().join("link.xml");
    std::os::unix::fs::symlink("qubes.xml", &link).unwrap();
    let mut write = Write::open(&StoreLocation {
        file: link.clone(),
        ..scratch.place.clone()
    })
    .unwrap();
    set_memory(&mut write, "801");
    write.save().unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(memory_in(&scratch.place.file), "801");
}

#[test]
fn a_store_is_created_only_where_none_exists() {
    let scratch = Scratch::new();
    let empty = Qubes::new(Labels::built_in(), Pools::default(), TextMap::new());
    match Write::create(&scratch.place, &empty).map(drop) {
        Err(StoreError::Exists { .. }) => {}
        other => panic!("{other:?}"),
    }
    let place = StoreLocation {
        file: scratch.dir.path().join("new.xml"),
        ..scratch.place.clone()
    };
    assert_eq!(
        Read::open(&place).err().unwrap().to_string(),
        format!("there is no store at {}", place.file.display())
    );
    let write = Write::create(&place, &empty).unwrap();
    assert!(
        matches!(Write::open(&place), Err(StoreError::Busy { .. })),
        "the new store is locked from the start"
    );
    drop(write);
    assert_eq!(
        Read::open(&place)
            .unwrap()
            .names()
            .map(|n| n.as_str())
            .collect::<Vec<_>>(),
        ["dom0"]
    );
}

#[test]
fn nothing_is_written_while_qubesd_listens() {
    let mut scratch = Scratch::new();
    let socket = scratch.dir.path().join("qubesd.sock");
    scratch.place.qubesd_socket = Some(socket.clone());
    let listener = UnixListener::bind(&socket).unwrap();
    let message = Write::open(&scratch.place).err().unwrap().to_string();
    assert!(
        message.starts_with("qubesd is running") && message.contains("stop it"),
        "{message}"
    );
    Read::open(&scratch.place).unwrap();

    let forced = StoreLocation {
        force: true,
        ..scratch.place.clone()
    };
    let mut write = Write::open(&forced).unwrap();
    set_memory(&mut write, "801");
    write.save().unwrap();
    drop(write);

    // An ended qubesd leaves its socket without a listener.
    drop(listener);
    let mut write = Write::open(&scratch.place).unwrap();
    set_memory(&mut write, "802");
    // A qubesd that was started after the lock was taken.
    fs::remove_file(&socket).unwrap();
    let _listener = UnixListener::bind(&socket).unwrap();
    assert!(matches!(
        write.save(),
        Err(StoreError::QubesdRunning { .. })
    ));
    assert_eq!(memory_in(&scratch.place.file), "801");
}

#[test]
fn an_edit_by_a_program_that_does_not_lock_is_not_overwritten() {
    // In place, as an append does, and by renaming, as `sed -i` does.
    let in_place = |file: &Path| {
        let mut text = fs::read_to_string(file).unwrap();
        text.push_str("<!-- edited -->\n");
        fs::write(file, text).unwrap();
    };
    let renaming = |file: &Path| {
        let other = file.with_extension("new");
        fs::write(
            &other,
            fs::read_to_string(file).unwrap() + "<!-- edited -->\n",
        )
        .unwrap();
        fs::rename(other, file).unwrap();
    };
    for edit in [in_place as fn(&Path), renaming] {
        let scratch = Scratch::new();
        let mut write = Write::open(&scratch.place).unwrap();
        edit(&scratch.place.file);
        let edited = scratch.bytes();
        set_memory(&mut write, "801");
        let message = write.save().unwrap_err().to_string();
        assert!(
            message.contains("was changed by a program that does not lock it"),
            "{message}"
        );
        assert_eq!(scratch.bytes(), edited);
    }
}

#[test]
fn an_invalid_store_is_reported_in_one_line_and_left_unchanged() {
    let scratch = Scratch::new();
    let file = &scratch.place.file;
    for (bytes, expected) in [
        (&b""[..], "the file is empty"),
        (
            b"hello",
            "not well-formed XML: line 1, column 1: text outside the root element",
        ),
        (
            b"<qubes>\n  <labels>\n",
            "not well-formed XML: line 3, column 1: the file ends before every element is closed",
        ),
    ] {
        fs::write(file, bytes).unwrap();
        for message in [
            Read::open(&scratch.place).err().unwrap().to_string(),
            Write::open(&scratch.place).err().unwrap().to_string(),
        ] {
            assert!(
                message.starts_with(&format!("{}: {expected}", file.display())),
                "{message}"
            );
            assert!(!message.contains('\n'), "{message}");
        }
        assert_eq!(fs::read(file).unwrap(), bytes);
    }
    fs::remove_file(file).unwrap();
    fs::create_dir(file).unwrap();
    for error in [
        Read::open(&scratch.place).err().unwrap(),
        Write::open(&scratch.place).err().unwrap(),
    ] {
        assert!(
            error.to_string().ends_with("is not a regular file"),
            "{error}"
        );
    }
    fs::remove_dir(file).unwrap();
    nix::unistd::mkfifo(file, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(
        matches!(Read::open(&scratch.place), Err(StoreError::NotAFile { .. })),
        "opening a FIFO does not wait"
    );
}

#[test]
fn a_store_of_a_hundred_megabytes_is_refused() {
    let scratch = Scratch::new();
    fs::File::create(&scratch.place.file)
        .unwrap()
        .set_len(100 << 20)
        .unwrap();
    let message = Read::open(&scratch.place).err().unwrap().to_string();
    assert!(
        message.ends_with("104857600 bytes are more than a store can have (67108864)"),
        "{message}"
    );
}

#[test]
fn a_restored_store_is_locked_and_can_be_changed() {
    let scratch = Scratch::new();
    let sound = scratch.bytes();
    fs::write(&scratch.place.file, "<qubes>").unwrap();
    let refused = Write::restore(&scratch.place, b"<qubes>".to_vec())
        .err()
        .unwrap();
    assert!(matches!(refused, StoreError::Format { .. }), "{refused}");
    assert_eq!(scratch.bytes(), b"<qubes>");

    let RestoreOutcome::Written { mut store, kept } =
        Write::restore(&scratch.place, sound.clone()).unwrap()
    else {
        panic!("nothing was written");
    };
    assert_eq!(fs::read(kept.unwrap()).unwrap(), b"<qubes>");
    assert_eq!(scratch.bytes(), sound);
    let busy = Write::open(&scratch.place).err().unwrap();
    assert!(
        matches!(busy, StoreError::Busy { .. }),
        "the new file is the lock: {busy}"
    );
    store.draft().unchecked().globals.set("updatevm", "sys-net");
    assert_eq!(store.save().unwrap(), SaveOutcome::Written);
    drop(store);
    assert_eq!(
        Read::open(&scratch.place).unwrap().globals.get("updatevm"),
        Some("sys-net")
    );
}

/// Pads a store with a comment to the largest size that can be read.
fn pad_to_limit(text: &str) -> String {
    let padding = qubes::format::MAX_BYTES - text.len() - "<!---->".len();
    text.replacen(
        "<labels>",
        &format!("<!--{}--><labels>", " ".repeat(padding)),
        1,
    )
}

#[test]
fn a_change_that_makes_the_store_too_large_is_refused() {
    let scratch = Scratch::new();
    let text = pad_to_limit(&fs::read_to_string(&scratch.place.file).unwrap());
    fs::write(&scratch.place.file, &text).unwrap();
    let mut write = Write::open(&scratch.place).unwrap();
    edit(&mut write, "work")
        .features
        .set("x", &"y".repeat(3000));
    let refused = write.save().unwrap_err().to_string();
    assert!(
        refused.contains("bytes are more than a store can have"),
        "{refused}"
    );
    drop(write);
    assert!(fs::read_to_string(&scratch.place.file).unwrap() == text);
    assert!(Read::open(&scratch.place).unwrap().contains("work"));
    // A change that does not make the store larger can be saved.
    let mut write = Write::open(&scratch.place).unwrap();
    edit(&mut write, "work").features.remove("x");
    edit(&mut write, "work").properties.set("memory", "801");
    write.save().unwrap();
}

#[test]
fn a_change_beyond_the_limit_of_items_is_refused() {
    let scratch = Scratch::new();
    let mut write = Write::open(&scratch.place).unwrap();
    for number in 0..4096 {
        edit(&mut write, "vault")
            .features
            .set(&format!("f{number:04}"), "1");
    }
    // The sample's qube may have had features already.
    while write.get("vault").unwrap().features.len() > 4096 {
        let last = write
            .get("vault")
            .unwrap()
            .features
            .iter()
            .last()
            .unwrap()
            .0
            .to_owned();
        edit(&mut write, "vault").features.remove(&last);
    }
    write.save().unwrap();
    let before = fs::read(&scratch.place.file).unwrap();
    edit(&mut write, "vault").features.set("one-more", "1");
    let refused = write.save().unwrap_err().to_string();
    assert!(
        refused.contains("vault: 4096 features of 4097"),
        "{refused}"
    );
    edit(&mut write, "vault").features.remove("one-more");
    for number in 0..4097 {
        edit(&mut write, "work")
            .tags
            .push(format!("t{number}").into());
    }
    assert!(
        write
            .save()
            .unwrap_err()
            .to_string()
            .contains("work: 4096 tags of")
    );
    drop(write);
    assert!(fs::read(&scratch.place.file).unwrap() == before);
}
