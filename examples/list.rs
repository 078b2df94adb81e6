//! Lists the qubes of the store with class, label and power state.
//!
//! `cargo run --example list`; `QUBES_ROOT`, `QUBES_XML_PATH` and `QUBES_OFFLINE` work as for every
//! command.

use std::error::Error;

use qubes::lifecycle::Context;
use qubes::model::property;
use qubes::system::{System, SystemOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let context = Context::new(System::new(SystemOptions::default())?);
    // Never waits for a writer; the lock is released at once.
    let qubes = context.read()?;
    for vm in qubes.iter() {
        // A value that cannot be read concerns this qube only.
        let label = property::label(&qubes, vm).map_or("?", |label| &label.name);
        // Connects to libvirt at the first qube that needs it; offline, qubes are Halted.
        let state = context.facts().displayed_state(vm);
        println!("{}\t{}\t{label}\t{state}", vm.name, vm.class);
    }
    Ok(())
}
