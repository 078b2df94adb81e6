//! qubes-db convert: converts a store of R1 to R3.

use clap::Args;
use serde_json::{Value, json};

use super::one_line;
use crate::format;
use crate::lifecycle::conversion::Conversion;
use crate::lifecycle::{Context, conversion};
use crate::store::{StoreError, read_bytes};
use crate::tools::ui::arguments::JsonOption;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;

/// The arguments of `convert`.
#[derive(Args)]
pub struct ConvertArguments {
    /// Print what would be done and write nothing
    #[arg(long, short = 'n')]
    dry_run: bool,
    #[command(flatten)]
    output: JsonOption,
}

pub fn run(
    call: &mut Invocation,
    context: &Context,
    arguments: &ConvertArguments,
) -> Result<u8, Failure> {
    let file = context.system.store_file().display().to_string();
    if arguments.dry_run {
        let bytes = read_bytes(context.system.store_file())?;
        let wrong = StoreError::format(context.system.store_file());
        if !format::read(bytes.clone()).map_err(wrong)?.needs_conversion {
            return print_nothing_to_do(call, arguments, &file, context);
        }
        let (_, conversion) = conversion::plan(context, &bytes)?;
        if arguments.output.json {
            return call
                .print_json(&conversion_json(context, Some(&conversion)))
                .map(|()| 0);
        }
        call.out.line(&format!(
            "{file} would be converted to R4 ({}), after it was kept in backup/",
            release(context)
        ))?;
        return print_conversion(call, &conversion).map(|()| 0);
    }
    match conversion::convert(context) {
        Ok(None) => print_nothing_to_do(call, arguments, &file, context),
        Ok(Some(conversion)) if arguments.output.json => call
            .print_json(&conversion_json(context, Some(&conversion)))
            .map(|()| 0),
        // The conversion itself has reported what it did.
        Ok(Some(_)) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

fn release(context: &Context) -> String {
    format!("release {}", context.system.release())
}

fn print_nothing_to_do(
    call: &mut Invocation,
    arguments: &ConvertArguments,
    file: &str,
    context: &Context,
) -> Result<u8, Failure> {
    if arguments.output.json {
        return call.print_json(&conversion_json(context, None)).map(|()| 0);
    }
    call.out
        .line(&format!("{file} is R4's already; there is nothing to do"))?;
    Ok(0)
}

/// Prints what the store becomes, then what is lost.
fn print_conversion(call: &mut Invocation, conversion: &Conversion) -> Result<(), Failure> {
    let mut section = |heading: &str, lines: Vec<String>| {
        if lines.is_empty() {
            return Ok(());
        }
        call.out.line(heading)?;
        lines
            .iter()
            .try_for_each(|line| call.out.line(&format!("    {}", one_line(line))))
    };
    section(
        "qubes:",
        conversion
            .qubes
            .iter()
            .map(|(name, class)| format!("{name}: {class}"))
            .collect(),
    )?;
    section(
        "pools:",
        conversion
            .pools
            .iter()
            .map(|(name, directory)| format!("{name}: {directory}"))
            .collect(),
    )?;
    section("new directories:", conversion.directories())?;
    let firewall = |f: &crate::lifecycle::conversion::ConvertedFirewall| match &f.from {
        Some(from) if *from == f.to => f.to.display().to_string(),
        Some(from) => format!("{} from {}", f.to.display(), from.display()),
        None => format!("{} (there is none; R3 let nothing through)", f.to.display()),
    };
    section(
        "firewall files:",
        conversion.firewalls.iter().map(firewall).collect(),
    )?;
    let loss = |l: &format::ConversionLoss| match &l.qube {
        Some(name) => format!("{name}: {}", l.text),
        None => l.text.clone(),
    };
    section(
        "not taken over, or not understood:",
        conversion.losses.iter().map(loss).collect(),
    )
}

/// Returns the JSON that `docs/migration.md` describes.
fn conversion_json(context: &Context, conversion: Option<&Conversion>) -> Value {
    let copy = conversion.and_then(|c| c.copy.borrow().clone());
    let list = |of: fn(&Conversion) -> Vec<Value>| conversion.map(of).unwrap_or_default();
    json!({
        "store": context.system.store_file(),
        "needs_conversion": conversion.is_some(),
        "converted": copy.is_some(),
        "release": context.system.release().to_string(),
        "copy": copy,
        "qubes": list(|c| {
            let qubes = c.qubes.iter();
            qubes
                .map(|(name, class)| json!({"name": name.as_str(), "class": class.as_str()}))
                .collect()
        }),
        "pools": list(|c| {
            let pools = c.pools.iter();
            pools.map(|(name, path)| json!({"name": name, "dir_path": path})).collect()
        }),
        "directories": list(|c| c.directories().into_iter().map(Value::from).collect()),
        "firewalls": list(|c| {
            let files = c.firewalls.iter();
            files
                .map(|f| json!({"qube": f.qube.as_str(), "from": f.from, "to": f.to}))
                .collect()
        }),
        "losses": list(|c| {
            let losses = c.losses.iter();
            losses
                .map(|l| json!({"qube": l.qube.as_ref().map(|n| n.as_str()), "text": l.text}))
                .collect()
        }),
    })
}
