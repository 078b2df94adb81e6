//! The properties of the system.

use super::consequences::{
    clockvm_changed, default_audiovm_changed, default_guivm_changed, default_netvm_changed,
};
use super::rules::{
    default_kernel_serves, default_netvm_serves, default_reference_has_tag,
    global_is_disposable_template,
};
use super::value_type::{INT, Owner, QUBE, ValueType, keep_text};
use super::{
    AppliesTo, Consequences, DefaultValue, EmptyText, Property, PropertyError, Rule, Value,
};
use crate::model::class::Class;
use crate::model::facts::Facts;
use crate::model::qubes::Qubes;
use crate::model::release::Release;

const TEMPLATE: &Class = &Class::TemplateVM;
const KERNEL_TYPE: ValueType = ValueType::Text {
    normalize: keep_text,
    empty: EmptyText::WordNone,
};
const POOL_DEFAULT: DefaultValue = DefaultValue::Global("default_pool");

const fn global(
    name: &'static str,
    value_type: ValueType,
    default: DefaultValue,
    doc: &'static str,
) -> Property {
    Property::new(name, AppliesTo::System, value_type, default, doc)
}

pub(super) const ROWS: &[Property] = &[
    global(
        "check_updates_vm",
        ValueType::Bool,
        DefaultValue::Bool(true),
        "Whether qubes made from now on look for updates.",
    ),
    global("clockvm", QUBE, DefaultValue::NoQube, "The qube from which dom0 takes the time.")
        .consequences(Consequences::Global(clockvm_changed)),
    global("default_audiovm", QUBE, DefaultValue::Dom0, "The audiovm of qubes that do not choose one.")
        .since(Release::R4_1)
        .rule(Rule::Global(default_reference_has_tag))
        .consequences(Consequences::Global(default_audiovm_changed)),
    global("default_guivm", QUBE, DefaultValue::Dom0, "The guivm of qubes that do not choose one.")
        .since(Release::R4_1)
        .rule(Rule::Global(default_reference_has_tag))
        .consequences(Consequences::Global(default_guivm_changed)),
    global(
        "default_dispvm",
        QUBE,
        DefaultValue::NoQube,
        "The template of disposables where a qube does not choose one.",
    )
    .rule(Rule::Global(global_is_disposable_template)),
    global("default_kernel", KERNEL_TYPE, DefaultValue::Required, "The kernel of qubes that do not choose one. Where none was ever chosen, creating a qube chooses the newest one \
         that is installed.")
        .rule(Rule::Global(default_kernel_serves)),
    global("default_netvm", QUBE, DefaultValue::NoQube, "The netvm of qubes that do not choose one.")
        .rule(Rule::Global(default_netvm_serves))
        .consequences(Consequences::Global(default_netvm_changed)),
    global(
        "default_pool",
        ValueType::Pool,
        DefaultValue::ComputedGlobal(default_pool),
        "The pool of new volumes. Unset, it is the one called default, else the LVM thin pool that DEFAULT_LVM_POOL names or \
         that holds dom0's root file system, else the pool of files in /var/lib/qubes.",
    ),
    global("default_pool_kernel", ValueType::Pool, POOL_DEFAULT, "The pool of kernels."),
    global("default_pool_private", ValueType::Pool, POOL_DEFAULT, "The pool of new private volumes."),
    global("default_pool_root", ValueType::Pool, POOL_DEFAULT, "The pool of new root volumes."),
    global("default_pool_volatile", ValueType::Pool, POOL_DEFAULT, "The pool of new volatile volumes."),
    global(
        "default_qrexec_timeout",
        INT,
        DefaultValue::Int(60),
        "For how many seconds a qube's agent is waited for at start unless the qube or its template says otherwise.",
    ),
    global(
        "default_shutdown_timeout",
        INT,
        DefaultValue::Int(60),
        "For how many seconds a qube is waited for at shutdown unless the qube or its template says otherwise.",
    ),
    global(
        "default_template",
        ValueType::Qube { class: Some(TEMPLATE), required: false },
        DefaultValue::Required,
        "The template of new qubes that do not choose one.",
    ),
    global(
        "management_dispvm",
        QUBE,
        DefaultValue::NoQube,
        "The template of the disposables from which qubes are administered that do not choose one.",
    )
    .rule(Rule::Global(global_is_disposable_template)),
    global(
        "stats_interval",
        INT,
        DefaultValue::Int(3),
        "Seconds between two measurements of memory and processor use.",
    ),
    global("updatevm", QUBE, DefaultValue::NoQube, "The qube through which dom0 and templates fetch updates."),
];

/// `docs/spec/r4-properties.md` §2.1: the pool called `default`; the thin pool that was asked for
/// or holds `/`; the pool of files in the base directory.
fn default_pool(qubes: &Qubes, facts: &dyn Facts) -> Result<Value, PropertyError> {
    let pools = &qubes.pools;
    let is_file = |driver: &str| matches!(driver, "file" | "file-reflink");
    let found = pools
        .get("default")
        .or_else(|| {
            // Nobody is asked where no pool could be it.
            pools.iter().find(|p| p.driver() == "lvm_thin")?;
            let (group, thin) = facts.root_thin_pool()?;
            pools.iter().find(|p| {
                p.driver() == "lvm_thin"
                    && p.option("thin_pool") == Some(&thin)
                    && group
                        .as_deref()
                        .is_none_or(|g| p.option("volume_group") == Some(g))
            })
        })
        .or_else(|| {
            let base = facts.base_dir().trim_end_matches('/');
            pools.iter().find(|p| {
                is_file(p.driver())
                    && p.option("dir_path")
                        .is_some_and(|d| d.trim_end_matches('/') == base)
            })
        });
    match found {
        Some(pool) => Ok(Value::Pool(pool.name().into())),
        None => Err(Owner::System.unset_error("default_pool")),
    }
}
