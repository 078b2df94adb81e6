//! Imports any bytes as a store of R1 to R3.
#![no_main]

use qubes_test_support::fuzz_bodies;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_bodies::old_importer(bytes));
