//! Any bytes, read as a firewall of R1 to R3 and written as R4's.
#![no_main]

use qubes_fuzz::fuzz_bodies;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_bodies::firewall_of_r3(bytes));
