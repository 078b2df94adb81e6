//! Reads any bytes as the firewall rules of R1 to R3, and writes them as those of R4.
#![no_main]

use qubes_test_support::fuzz_bodies;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_bodies::firewall_of_r3(bytes));
