//! Reads, checks and writes qubes.xml: samples, generated and damaged files.

mod agreement;
mod conformance;
mod dumps;
mod fuzz_targets;
mod hostile;
mod roundtrip;
