//! Any bytes: the index finds the domains that full parsers find.
#![no_main]

use qubes_fuzz::fuzz_bodies;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_bodies::index_and_parser(bytes));
