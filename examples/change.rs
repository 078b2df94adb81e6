//! Changes a property of a qube: `cargo run --example change -- work memory 500`.
//!
//! The store is locked, read, changed and saved as one step; what has to follow outside of it is
//! applied afterwards.

use std::env;
use std::error::Error;
use std::process::ExitCode;

use qubes::lifecycle::{Context, qube};
use qubes::model::VmName;
use qubes::model::property;
use qubes::system::{System, SystemOptions};

fn main() -> ExitCode {
    match change() {
        Ok(()) => ExitCode::SUCCESS,
        // An error names the qube, the property, the value and the rule.
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn change() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [qube, property, value] = arguments.as_slice() else {
        return Err("usage: change QUBE PROPERTY VALUE".into());
    };
    let context = Context::new(System::new(SystemOptions::default())?);
    let name = VmName::from_store(qube)?;
    for notice in qube::set_property(&context, &name, property, value)? {
        eprintln!("{notice}");
    }
    let qubes = context.read()?;
    let vm = qubes.get(qube).ok_or("the qube was removed meanwhile")?;
    println!(
        "{}",
        property::value_by_name(&qubes, vm, property, context.facts())?
    );
    Ok(())
}
