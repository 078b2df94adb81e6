//! Driver `lvm_thin` on real logical volumes, in a machine with the thin pool `vm-pool` in the
//! volume group `qubes_dom0`.

mod crashes;
mod driver;
mod full;
mod pulled;
mod steps;
mod tools;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use qubes::exec::Program;
use qubes::storage::driver::*;
use qubes::storage::{Attachment, LvmThin, StorageError, Volume, VolumeKind, VolumeLocks};

use crate::place::{MIB, is_the_machine};

const GROUP: &str = "qubes_dom0";
/// The LVM program itself, whatever precedes it in the PATH.
const LVM: &str = "/usr/sbin/lvm";

/// Returns the thin pool, without leftovers of a failed test; `None` outside the machine.
fn pool() -> Option<LvmThin> {
    if !is_the_machine() {
        return None;
    }
    for left in all_names() {
        lvm(&["lvremove", "-qq", "-f", &format!("{GROUP}/{left}")]);
    }
    Some(existing_pool())
}

/// Returns the thin pool with its content, as another process finds it.
fn existing_pool() -> LvmThin {
    LvmThin::new("thin", GROUP, "vm-pool", locks())
}

fn locks() -> VolumeLocks {
    VolumeLocks::new(Path::new("/run/qubes-test"), None, Duration::from_secs(60))
}

fn volume(qube: &str, name: &str, kind: VolumeKind) -> Volume {
    Volume {
        owner: qube.into(),
        name: name.into(),
        pool: "thin".into(),
        vid: format!("{GROUP}/vm-{qube}-{name}"),
        snap_on_start: kind == VolumeKind::Snapshot,
        save_on_stop: kind == VolumeKind::Origin,
        rw: true,
        size: 64 * MIB,
        revisions_to_keep: 1,
        ..Volume::default()
    }
}

fn origin(qube: &str, name: &str) -> Volume {
    volume(qube, name, VolumeKind::Origin)
}

fn volatile(qube: &str) -> Volume {
    volume(qube, "volatile", VolumeKind::Volatile)
}

/// Returns the root volume of a qube based on a template.
fn snapshot(qube: &str, template: &str) -> Volume {
    Volume {
        source: Some(format!("{GROUP}/vm-{template}-root")),
        ..volume(qube, "root", VolumeKind::Snapshot)
    }
}

fn device(pool: &LvmThin, volume: &Volume) -> PathBuf {
    match pool.attachment(volume).unwrap() {
        Attachment::Device(path) => path,
        other => panic!("{other:?} for {}", volume.label()),
    }
}

/// Starts a volume, writes to it and stops it.
fn run_once(pool: &LvmThin, volume: &Volume, words: &str) {
    pool.start(volume).unwrap();
    write(&device(pool, volume), words);
    pool.stop(volume).unwrap();
}

/// Replaces the text at the start of a device and syncs it.
fn write(device: &Path, words: &str) {
    let mut block = words.as_bytes().to_vec();
    block.resize(4096, 0);
    let mut device = File::options().write(true).open(device).unwrap();
    device.write_all(&block).unwrap();
    device.sync_all().unwrap();
}

/// Returns the text at the start of a device.
fn text(device: &Path) -> String {
    let mut block = [0; 4096];
    File::open(device).unwrap().read_exact(&mut block).unwrap();
    String::from_utf8(block.into_iter().take_while(|b| *b != 0).collect()).unwrap()
}

/// Returns the committed text.
fn committed(pool: &LvmThin, volume: &Volume) -> String {
    text(&pool.export(volume).unwrap())
}

/// Returns the text at the start of a logical volume.
fn words(name: &str) -> String {
    text(Path::new(&format!("/dev/{GROUP}/{name}")))
}

fn length(device: &Path) -> u64 {
    File::open(device).unwrap().seek(SeekFrom::End(0)).unwrap()
}

fn refusal<T>(result: Result<T, StorageError>) -> String {
    let text = result.err().expect("it was not refused").to_string();
    assert!(!text.contains('\n'), "{text}");
    text
}

/// Returns the names of all logical volumes of qubes, from their device nodes. All are active, and
/// running LVM takes ten times as long in an emulator.
fn all_names() -> Vec<String> {
    let entries = std::fs::read_dir(format!("/dev/{GROUP}"))
        .into_iter()
        .flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| name.starts_with("vm-") && name != "vm-pool")
        .collect()
}

/// Returns the suffixes of a qube's logical volumes, with the times of revisions as `T`.
fn names(qube: &str) -> Vec<String> {
    let prefix = format!("vm-{qube}-");
    let mut names: Vec<String> = all_names()
        .iter()
        .filter_map(|name| name.strip_prefix(&prefix))
        .map(|name| {
            match name
                .strip_suffix("-back")
                .and_then(|rest| rest.rsplit_once('-'))
            {
                Some((volume, _)) => format!("{volume}-T-back"),
                None => name.to_string(),
            }
        })
        .collect();
    names.sort();
    names
}

/// Returns a field of a logical volume.
fn lvs(field: &str, name: &str) -> String {
    lvm(&[
        "lvs",
        "--noheadings",
        "-o",
        field,
        &format!("{GROUP}/{name}"),
    ])
    .trim()
    .to_string()
}

fn lvm(arguments: &[&str]) -> String {
    String::from_utf8(Program::new(LVM).args(arguments).output().unwrap()).unwrap()
}
