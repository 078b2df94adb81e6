//! qvm-clone: clones a qube.

use clap::{Arg, ArgAction};
use uuid::Uuid;

use super::create::parse_pairs;
use crate::exec::{self, Program};
use crate::lifecycle::qube::InitialSettings;
use crate::lifecycle::{Context, qube};
use crate::model::{Class, NewClone, PoolChoice, VmName};
use crate::tools::completion;
use crate::tools::manual::Section;
use crate::tools::ui::arguments::{
    CLONE_NAME_ID, QUBE_ID, flag, mutually_exclusive, qube_argument, value,
};
use crate::tools::ui::failure::Failure;
use crate::tools::ui::images;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::progress::QubeProgress;

/// The program that creates the menu entries of a qube, if it is installed.
const MENU_PROGRAM: &str = "qvm-appmenus";

pub fn define(line: clap::Command) -> clap::Command {
    let line = line
        .arg(
            value(
                "class",
                Some('C'),
                "CLS",
                "Class of the clone (default: the class of the source)",
            )
            .add(completion::CLASSES),
        )
        .arg(flag(
            "ignore-errors",
            None,
            "Leave out settings that the clone cannot have instead of failing",
        ))
        .arg(
            Arg::new("all-pools")
                .short('P')
                .value_name("POOL")
                .help("Create every volume in this pool")
                .add(completion::POOLS),
        )
        .arg(pool())
        .arg(images::discard_existing())
        .arg(qube_argument("Name of the qube to clone").add(completion::BUT_DOM0))
        .arg(
            Arg::new(CLONE_NAME_ID)
                .value_name("NEWVM")
                .help("Name of the clone"),
        );
    mutually_exclusive(line, "pools", &["all-pools", "pool"])
}

/// The option `-p`, `--pool`. The long form is an alias, because usage lines show the short one.
fn pool() -> Arg {
    Arg::new("pool")
        .short('p')
        .visible_alias("pool")
        .value_name("VOLUME=POOL")
        .action(ArgAction::Append)
        .help("Create this volume in this pool (can be repeated)")
        .add(completion::VOLUME_POOL)
}

pub fn run(call: &mut Invocation) -> Result<u8, Failure> {
    let name = new_name(call)?;
    let form = |_: &str| "Pool argument must be of form: -p volume_name=pool_name".to_string();
    let pools = parse_pairs(call.values("pool"), form)?;
    let class = call.value("class").map(Class::from_store);
    let context = call.context_with_progress()?;
    let source = {
        let qubes = context.read()?;
        call.named_qube(&qubes)?.name.clone()
    };
    let request = NewClone {
        source: source.as_str(),
        name,
        class: class.as_ref(),
        label: None,
        pools: PoolChoice {
            all: call.value("all-pools"),
            by_volume: &pools,
        },
        empty: &[],
        uuid: Uuid::new_v4(),
        created_by: VmName::DOM0,
        ignore_errors: call.has("ignore-errors"),
    };
    let on_volume = |volume: &str| call.inform(name, &format!("Cloning {volume} volume"));
    let settings = InitialSettings {
        existing: images::existing_images(call),
        ..InitialSettings::default()
    };
    let clone = qube::clone(
        &context,
        &request,
        settings,
        &QubeProgress::with_callback(&context, name, &on_volume),
    )?;
    clone.left_out.iter().for_each(|what| call.warn(name, what));
    clone.notes.iter().for_each(|note| call.inform(name, note));
    if let Some(failed) = clone_menu_entries(&context, &source, &clone.name) {
        call.warn(name, &format!("Failed to clone appmenus: {failed}"));
    }
    Ok(0)
}

/// Returns the name of the clone; a usage error if a name is missing.
fn new_name(call: &Invocation) -> Result<&str, Failure> {
    match (call.value(QUBE_ID), call.value(CLONE_NAME_ID)) {
        (Some(_), Some(name)) => Ok(name),
        (Some(_), None) => Err(Failure::usage(
            "the following arguments are required: NEWVM",
        )),
        (None, _) => Err(Failure::usage(
            "the following arguments are required: VMNAME, NEWVM",
        )),
    }
}

/// Creates the menu entries of the clone from those of the source, if the system has menus. Returns
/// the error; the clone stays.
fn clone_menu_entries(
    context: &Context,
    source: &VmName,
    clone: &VmName,
) -> Option<exec::ExecError> {
    let system = &context.system;
    let program = exec::find_program(MENU_PROGRAM, system.program_path())
        .filter(|_| system.root().is_none())?;
    Program::new(program)
        .args([
            "--init",
            "--update",
            "--source",
            source.as_str(),
            clone.as_str(),
        ])
        .output()
        .err()
}

/// Returns the section of the manual page about what is cloned.
pub fn manual() -> Vec<Section> {
    let cloned = [
        (
            "volumes",
            "Those that are kept from start to start, as they were last committed. They are \
             created in the system's default pools unless -P or -p says otherwise. A root volume \
             that the source has from its template is copied from there if the class of the clone \
             has one of its own.",
        ),
        (
            "properties",
            "Those with an explicit value except name, qid, uuid and installed_by_rpm; template \
             and label are those of the source.",
        ),
        ("tags", "All except created-by-*."),
        (
            "features",
            "All except those in which the system keeps the state of the source.",
        ),
        ("devices", "All assignments."),
        ("files", "The firewall rules and the notes."),
    ];
    vec![Section::definitions("what is cloned", cloned.into_iter())]
}
