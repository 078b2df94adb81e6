//! Checks the properties of the fuzz targets for a few seconds from fixed seeds, and compares the
//! strict check with libxml2, upstream's parser.

use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use fastrand::Rng;
use qubes_test_support::format_properties::{
    changes_are_read_back, quick_index_agrees_with_strict, unchanged_is_written_back,
};
use qubes_test_support::{skip, xml_generator};

const SAMPLES: [&str; 4] = ["r40-small", "random-1", "random-2", "small"];

fn sample(name: &str) -> String {
    std::fs::read_to_string(format!(
        "{}/tests/data/r4/{name}.xml",
        env!("CARGO_MANIFEST_DIR")
    ))
    .unwrap()
}

#[test]
fn the_quick_index_is_never_misled() {
    let (mut seed, mut well_formed, mut quick) = (0, 0, 0);
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end || seed < 2000 {
        let mut rng = Rng::with_seed(seed);
        seed += 1;
        let store = xml_generator::store(&mut rng);
        let (intact, answered) = quick_index_agrees_with_strict(store.as_bytes());
        assert!(
            intact,
            "the generator makes well-formed stores: {:?}\n{store}",
            qubes::format::check(store.as_bytes())
        );
        well_formed += 1;
        quick += u32::from(answered);
        quick_index_agrees_with_strict(&xml_generator::damage(&mut rng, &store));
    }
    // Otherwise the test would prove nothing.
    assert!(
        quick * 10 > well_formed,
        "the quick index answered {quick} of {well_formed}"
    );
}

#[test]
fn the_quick_index_answers_for_every_sample_of_upstream() {
    for name in SAMPLES.into_iter().chain(["n1000"]) {
        assert_eq!(
            quick_index_agrees_with_strict(sample(name).as_bytes()),
            (true, true),
            "{name}"
        );
    }
}

#[test]
fn changes_are_read_back_and_the_rest_is_kept() {
    let end = Instant::now() + Duration::from_secs(4);
    let mut seed = 0;
    while Instant::now() < end || seed < 500 {
        let mut rng = Rng::with_seed(seed);
        seed += 1;
        let store = xml_generator::store(&mut rng);
        unchanged_is_written_back(store.as_bytes());
        changes_are_read_back(store.as_bytes(), seed);
        unchanged_is_written_back(&xml_generator::damage(&mut rng, &store));
    }
    for name in SAMPLES {
        changes_are_read_back(sample(name).as_bytes(), 1);
    }
}

#[test]
fn the_strict_check_agrees_with_libxml2() {
    if Command::new("xmllint").arg("--version").output().is_err() {
        skip("xmllint is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let documents: Vec<(String, Vec<u8>)> = (0..1500)
        .map(|seed| {
            let mut rng = Rng::with_seed(seed);
            let store = xml_generator::store(&mut rng);
            let bytes = if seed % 5 == 0 {
                store.into_bytes()
            } else {
                xml_generator::damage(&mut rng, &store)
            };
            (format!("{seed}.xml"), bytes)
        })
        .collect();
    for (name, bytes) in &documents {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    let names = documents.iter().map(|(name, _)| name);
    let output = Command::new("xmllint")
        .args(["--noout", "--nonet"])
        .args(names)
        .current_dir(&dir)
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut differences = String::new();
    let mut refused = 0;
    for (name, bytes) in &documents {
        let refuses = complaints
            .lines()
            .any(|l| l.starts_with(&format!("{name}:")) && l.contains("parser error"));
        refused += u32::from(refuses);
        let ours = qubes::format::check(bytes);
        // A document with another root is well-formed, but not a store.
        let well_formed = matches!(
            ours,
            Ok(()) | Err(qubes::format::FormatError::NotQubes { .. })
        );
        if well_formed == refuses {
            let text = String::from_utf8_lossy(bytes);
            writeln!(
                differences,
                "{name}: libxml2 refuses: {refuses}, we say {ours:?}\n{text}\n"
            )
            .unwrap();
        }
    }
    assert!(differences.is_empty(), "{differences}");
    assert!(
        refused > 300 && refused < 1400,
        "{refused} of 1500 were refused: that proves little"
    );
}
