//! The properties that hold for any bytes, shared with the test suite.

#[path = "../../tests/support/fuzz_bodies.rs"]
pub mod fuzz_bodies;
