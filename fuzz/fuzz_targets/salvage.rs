//! Any bytes, from which as much of a store is saved as can be.
#![no_main]

use qubes_fuzz::fuzz_bodies;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_bodies::salvage(bytes));
