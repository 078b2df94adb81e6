//! Properties of the format module that hold for any bytes, shared by the test suite and the fuzz
//! targets.

use std::collections::BTreeMap;

use qubes::format::{self, index};
use qubes::model::{Qubes, TextMap, Vm};

/// Asserts that on well-formed bytes the quick index is the strict one, or gives no answer. Returns
/// whether the bytes are well-formed, and whether the quick index answered.
pub fn quick_index_agrees_with_strict(bytes: &[u8]) -> (bool, bool) {
    let quick = index::build_quick(bytes);
    match (index::build_strict(bytes), &quick) {
        (Ok(careful), Some(quick)) => {
            assert_eq!(*quick, careful, "in {}", String::from_utf8_lossy(bytes));
            (true, true)
        }
        (careful, quick) => (careful.is_ok(), quick.is_some()),
    }
}

/// Unchanged content is written back byte for byte, whether or not it was read or touched.
pub fn unchanged_is_written_back(bytes: &[u8]) {
    let Ok(mut qubes) = format::read(bytes.to_vec()) else {
        return;
    };
    if format::check(bytes).is_err() {
        assert!(
            format::write(bytes, &qubes).is_err(),
            "written over a file that is not well-formed"
        );
        return;
    }
    assert_eq!(text(&format::write(bytes, &qubes).unwrap()), text(bytes));
    for name in names(&qubes) {
        qubes.edit(&name);
    }
    assert_eq!(text(&format::write(bytes, &qubes).unwrap()), text(bytes));
}

/// Random changes are read back as they were made, and undoing them in the written file restores
/// the meaning.
pub fn changes_are_read_back(bytes: &[u8], seed: u64) {
    if format::check(bytes).is_err() {
        return;
    }
    let before = format::read(bytes.to_vec()).unwrap();
    let mut after = format::read(bytes.to_vec()).unwrap();
    let mut rng = fastrand::Rng::with_seed(seed);
    for name in names(&after) {
        if rng.u8(..3) == 0 {
            change(after.edit(&name).unwrap(), &mut rng);
        } else if rng.u8(..8) == 0 && name != "dom0" && !has_duplicate_name(&after, &name) {
            after.remove(&name);
        }
    }
    change_texts(&mut after.globals, &mut rng);
    let written = format::write(bytes, &after).unwrap();
    let context = || format!("\n--- from\n{}\n--- to\n{}", text(bytes), text(&written));
    let read = format::read(written.clone()).unwrap_or_else(|e| panic!("{e}{}", context()));
    assert_eq!(meaning(&read), meaning(&after), "{}", context());

    let mut back = read;
    for vm in before.iter() {
        match back.edit(vm.name.as_str()) {
            Some(changed) => *changed = vm.clone(),
            None => drop(back.add(vm.clone())),
        }
    }
    back.globals = before.globals.clone();
    let again = format::write(&written, &back).unwrap();
    assert_eq!(
        meaning(&format::read(again).unwrap()),
        meaning(&before),
        "{}",
        context()
    );
}

/// Whether the file has a second qube of the name, which would take its place.
fn has_duplicate_name(qubes: &Qubes, name: &str) -> bool {
    qubes
        .diagnoses
        .iter()
        .any(|d| d.text.contains(&format!("'{name}'")))
}

fn change(vm: &mut Vm, rng: &mut fastrand::Rng) {
    change_texts(&mut vm.properties, rng);
    change_texts(&mut vm.features, rng);
    // A domain is identified by its name, which is kept.
    if vm.name != "dom0" {
        vm.properties.set("name", vm.name.as_str());
    }
    vm.tags.retain(|_| rng.u8(..3) > 0);
    vm.tags.push(word(rng).into());
    vm.tags.sort();
    vm.tags.dedup();
    for devices in &mut vm.devices {
        devices.assignments.retain(|_| rng.u8(..3) > 0);
        for assignment in &mut devices.assignments {
            change_texts(&mut assignment.attributes, rng);
            change_texts(&mut assignment.options, rng);
        }
    }
    vm.devices.retain(|_| rng.u8(..4) > 0);
    for volume in &mut vm.volumes {
        let name = volume.name().to_string();
        change_texts(&mut volume.attributes, rng);
        volume.attributes.set("name", &name);
    }
    vm.volumes.retain(|_| rng.u8(..4) > 0);
}

fn change_texts(map: &mut TextMap, rng: &mut fastrand::Rng) {
    let names: Vec<String> = map.names().map(str::to_string).collect();
    for name in names {
        match rng.u8(..6) {
            0 => drop(map.remove(&name)),
            1 => map.set(&name, &value(rng)),
            _ => {}
        }
    }
    if rng.bool() {
        map.set(&word(rng), &value(rng));
    }
}

fn word(rng: &mut fastrand::Rng) -> String {
    [
        "netvm",
        "a",
        "zz",
        "memory",
        "b-c",
        "template",
        "kernelopts",
        "m",
    ][rng.usize(..8)]
    .to_string()
}

fn value(rng: &mut fastrand::Rng) -> String {
    [
        "",
        "True",
        "<x>&\"'",
        "a\nb\tc\r\nd",
        " \u{17C}\u{1F512} ",
        "]]>",
        "&amp;",
        "5",
    ][rng.usize(..8)]
    .to_string()
}

fn names(qubes: &Qubes) -> Vec<String> {
    qubes.names().map(|n| n.to_string()).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Describes a collection; the order is dropped where it has no meaning.
pub fn meaning(qubes: &Qubes) -> Vec<String> {
    let mut parts: Vec<String> = qubes
        .iter()
        .map(|vm| format!("{} {} {:?}", vm.name, vm.class, describe(vm)))
        .collect();
    parts.push(format!("{:?}", sort_items(&qubes.globals)));
    parts.extend(qubes.labels.iter().map(|l| format!("{l:?}")));
    parts.extend(
        qubes
            .pools
            .iter()
            .map(|p| format!("{:?}", sort_items(&p.attributes))),
    );
    parts
}

fn describe(vm: &Vm) -> Vec<String> {
    let mut tags: Vec<&str> = vm.tags.iter().map(|t| &**t).collect();
    tags.sort_unstable();
    tags.dedup();
    let mut parts = vec![
        format!("{:?}", sort_items(&vm.properties)),
        format!("{:?}", sort_items(&vm.features)),
        format!("{tags:?}"),
    ];
    let mut devices: Vec<String> = Vec::new();
    for class in &vm.devices {
        devices.push(format!("class {}", class.class));
        for a in &class.assignments {
            devices.push(format!(
                "{} {:?} {:?}",
                class.class,
                sort_items(&a.attributes),
                sort_items(&a.options)
            ));
        }
    }
    devices.sort();
    parts.extend(devices);
    let mut volumes: Vec<String> = vm
        .volumes
        .iter()
        .map(|v| format!("{:?}", sort_items(&v.attributes)))
        .collect();
    volumes.sort();
    parts.extend(volumes);
    parts
}

fn sort_items(map: &TextMap) -> BTreeMap<&str, &str> {
    map.iter().collect()
}
