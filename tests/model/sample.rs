//! The small sample, a store with a qube of every class.

use qubes::model::{Draft, Qubes, Vm};
use qubes_test_support::paths::small_sample;
use qubes_test_support::system::parse;

/// Returns a draft of the sample.
pub fn small() -> Draft {
    Draft::new(parse(&small_sample()))
}

/// Returns a qube that exists.
pub fn vm<'a>(qubes: &'a Qubes, name: &str) -> &'a Vm {
    qubes.get(name).unwrap()
}
