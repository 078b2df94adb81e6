//! Runs the bodies of the fuzz targets for a few seconds, on damaged and mixed samples from fixed
//! seeds.

use fastrand::Rng;
use qubes_test_support::mutations::mutate;
use qubes_test_support::{fuzz_bodies, xml_generator};

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Calls a body on every sample and on `rounds` mutations of them.
fn try_all(samples: &[Vec<u8>], rounds: u64, body: impl Fn(&[u8])) {
    samples.iter().for_each(|sample| body(sample));
    for seed in 0..rounds {
        let mut rng = Rng::with_seed(seed);
        let sample = &samples[rng.usize(..samples.len())];
        let other = &samples[rng.usize(..samples.len())];
        body(&mutate(&mut rng, sample, other));
    }
}

/// Returns samples, and small generated stores full of misleading content.
fn r4_samples(generated: u64) -> Vec<Vec<u8>> {
    let stores =
        (0..generated).map(|seed| xml_generator::store(&mut Rng::with_seed(seed)).into_bytes());
    ["r4/r40-small.xml", "r4/small.xml"]
        .map(sample)
        .into_iter()
        .chain(stores)
        .collect()
}

#[test]
fn r4_reader() {
    try_all(&r4_samples(40), 1500, fuzz_bodies::r4_reader);
}

#[test]
fn old_importer() {
    let samples = ["r3/hostile.xml", "r3/r1.xml", "r3/r2.xml", "r3/saved.xml"].map(sample);
    try_all(&samples, 1500, fuzz_bodies::old_importer);
}

#[test]
fn index_and_parser() {
    for seed in 0..2000 {
        let mut rng = Rng::with_seed(seed);
        let store = xml_generator::store(&mut rng);
        fuzz_bodies::index_and_parser(&xml_generator::damage(&mut rng, &store));
    }
    try_all(&r4_samples(200), 5000, fuzz_bodies::index_and_parser);
}

#[test]
fn firewall_of_r3() {
    let files = [
        r#"<QubesFirewallRules dns="allow" icmp="allow" policy="deny" yumProxy="deny">
  <rule address="10.0.0.0" proto="tcp" netmask="8" port="22"/>
  <rule address="Example.org" proto="udp" port="1000" toport="2000"/>
  <rule address="1.2.3.4" port="80" toport="80" expire="4102444800"/>
  <rule address="5.6.7.8/24" proto="any" expire="1000"/>
</QubesFirewallRules>"#,
        r#"<QubesFirewallRules policy="allow" dns="deny" icmp="deny"><rule address="10.139.1.1" proto="icmp"/></QubesFirewallRules>"#,
        r#"<firewall version="2"><rules><rule><properties><property name="action">accept</property></properties></rule></rules></firewall>"#,
    ];
    try_all(
        &files.map(|file| file.as_bytes().to_vec()),
        20_000,
        fuzz_bodies::firewall_of_r3,
    );
}

#[test]
fn salvage() {
    try_all(&r4_samples(40), 1500, fuzz_bodies::salvage);
}

/// Earlier findings of the fuzzers, each with the body that failed.
#[test]
fn earlier_findings_stay_fixed() {
    fuzz_bodies::index_and_parser(&sample("found/end-tag-cut-by-the-window.xml"));
}
