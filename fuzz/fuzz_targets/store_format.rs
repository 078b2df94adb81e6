//! Any bytes: on what is well-formed the quick index answers as the careful one, or not at all; what is not changed
//! is written back as it was, and what is changed is read back as it was made.
#![no_main]

#[path = "../../tests/support/format_properties.rs"]
mod format_properties;

libfuzzer_sys::fuzz_target!(|input: (u64, &[u8])| {
    let (seed, bytes) = input;
    format_properties::quick_agrees_with_careful(bytes);
    format_properties::unchanged_is_written_back(bytes);
    format_properties::changes_are_read_back(bytes, seed);
});
