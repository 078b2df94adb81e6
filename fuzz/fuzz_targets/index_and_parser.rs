//! Checks for any bytes that the index finds the same domains as full parsers.
#![no_main]

use qubes_test_support::fuzz_bodies;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_bodies::index_and_parser(bytes));
