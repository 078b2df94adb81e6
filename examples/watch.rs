//! Waits until a running qube stops: `cargo run --example watch -- work`.

use std::env;
use std::error::Error;

use qubes::lifecycle::Context;
use qubes::system::{System, SystemOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let name = env::args().nth(1).ok_or("usage: watch QUBE")?;
    let context = Context::new(System::new(SystemOptions::default())?);
    let qubes = context.read()?;
    let vm = qubes.get(&name).ok_or(format!("no such qube: {name}"))?;
    let uuid = vm.uuid().ok_or(format!("{name} has no uuid"))?;
    println!("{name} is {}", context.facts().displayed_state(vm));
    // No lock is held meanwhile: `read` released it, and a watcher needs none.
    drop(qubes);
    context.hypervisor().wait_until_inactive(uuid, None)?;
    println!("{name} is off");
    Ok(())
}
