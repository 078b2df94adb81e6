//! Salvages as much of a store as possible from any bytes.
#![no_main]

use qubes_test_support::fuzz_bodies;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_bodies::salvage(bytes));
