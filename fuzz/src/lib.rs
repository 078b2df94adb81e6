//! What must hold for any bytes, as the test suite has it.

#[path = "../../tests/support/fuzz_bodies.rs"]
pub mod fuzz_bodies;
