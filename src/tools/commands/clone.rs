//! qvm-clone: clones a qube.

use clap::Args;
use uuid::Uuid;

use crate::exec::{self, Program};
use crate::lifecycle::qube::InitialSettings;
use crate::lifecycle::{Context, qube};
use crate::model::{Class, NewClone, PoolChoice, VmName};
use crate::tools::completion;
use crate::tools::manual::section::Section;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::images::DiscardOption;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::pairs::parse_pool_choices;
use crate::tools::ui::progress::QubeProgress;
use crate::tools::{Command, Run};

/// The program that creates the menu entries of a qube, if it is installed.
const MENU_PROGRAM: &str = "qvm-appmenus";

/// `qvm-clone`
pub const QVM_CLONE: Command = Command::of::<CloneArguments>("qvm-clone", "Clone a qube");

/// The arguments of qvm-clone.
#[derive(Args)]
struct CloneArguments {
    /// Class of the clone (default: the class of the source)
    #[arg(long, short = 'C', value_name = "CLS", add = completion::CLASSES)]
    class: Option<String>,
    /// Leave out settings that the clone cannot have instead of failing
    #[arg(long)]
    ignore_errors: bool,
    #[command(flatten)]
    pools: PoolOptions,
    #[command(flatten)]
    existing: DiscardOption,
    /// Name of the qube to clone
    #[arg(value_name = "VMNAME", add = completion::BUT_DOM0)]
    source: String,
    /// Name of the clone
    #[arg(value_name = "NEWVM")]
    name: String,
}

/// The pools of the clone's volumes.
#[derive(Args)]
#[group(multiple = false)]
struct PoolOptions {
    /// Create every volume in this pool
    #[arg(short = 'P', value_name = "POOL", add = completion::POOLS)]
    all_pools: Option<String>,
    // The long form is an alias, because usage lines show the short one.
    /// Create this volume in this pool (can be repeated)
    #[arg(
        short = 'p',
        visible_alias = "pool",
        value_name = "VOLUME=POOL",
        add = completion::VOLUME_POOL
    )]
    pool: Vec<String>,
}

impl Run for CloneArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        let name = self.name.as_str();
        let pools = parse_pool_choices(&self.pools.pool)?;
        let class = self.class.as_deref().map(Class::from_store);
        let context = Context::new(call.system_with_progress()?);
        let source = {
            let qubes = context.read()?;
            call.named_qube(&qubes, &self.source)?.name.clone()
        };
        let request = NewClone {
            source: source.as_str(),
            name,
            class: class.as_ref(),
            label: None,
            pools: PoolChoice {
                all: self.pools.all_pools.as_deref(),
                by_volume: &pools,
            },
            empty: &[],
            uuid: Uuid::new_v4(),
            created_by: VmName::DOM0,
            ignore_errors: self.ignore_errors,
        };
        let on_volume = |volume: &str| call.inform(name, &format!("Cloning {volume} volume"));
        let settings = InitialSettings {
            existing: self.existing.choice(),
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
