//! Reads any bytes as a store of R4, inspects, changes and writes them back.
#![no_main]

use qubes_test_support::fuzz_bodies;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_bodies::r4_reader(bytes));
