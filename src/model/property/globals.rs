//! The global properties.

use super::consequences::{
    move_clocksync, reattach_default_netvm_users, replace_tags_of_followers,
};
use super::error::Owner;
use super::rules::{
    require_global_dispvm_template, require_taggable_default, require_valid_default_kernel,
    require_valid_default_netvm,
};
use super::value_type::{INT, QUBE, ValueType, keep_text};
use super::{
    AppliesTo, Completion, Consequences, DefaultValue, EmptyText, Property, PropertyError, Rule,
    Value,
};
use crate::model::class::Class;
use crate::model::facts::Facts;
use crate::model::pool::Pool;
use crate::model::pool_driver::VolumeIds;
use crate::model::qubes::Qubes;
use crate::model::release::Release;

const TEMPLATE: &Class = &Class::TemplateVM;
const KERNEL_TYPE: ValueType = ValueType::Text {
    normalize: keep_text,
    empty: EmptyText::WordNone,
};
const POOL_DEFAULT: DefaultValue = DefaultValue::Global("default_pool");

/// Returns the row of a global property.
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
    global(
        "clockvm",
        QUBE,
        DefaultValue::NoQube,
        "The qube from which dom0 takes the time.",
    )
    .consequences(Consequences::Global(move_clocksync)),
    global(
        "default_audiovm",
        QUBE,
        DefaultValue::Dom0,
        "The audiovm of qubes that do not choose one.",
    )
    .since(Release::R4_1)
    .rule(Rule::Global(require_taggable_default))
    .consequences(Consequences::Global(|qubes, change| {
        replace_tags_of_followers(qubes, "audiovm", change)
    })),
    global(
        "default_guivm",
        QUBE,
        DefaultValue::Dom0,
        "The guivm of qubes that do not choose one.",
    )
    .since(Release::R4_1)
    .rule(Rule::Global(require_taggable_default))
    .consequences(Consequences::Global(|qubes, change| {
        replace_tags_of_followers(qubes, "guivm", change)
    })),
    global(
        "default_dispvm",
        QUBE,
        DefaultValue::NoQube,
        "The template of disposables where a qube does not choose one.",
    )
    .accepts_none()
    .completion(Completion::DisposableTemplates)
    .rule(Rule::Global(require_global_dispvm_template)),
    global(
        "default_kernel",
        KERNEL_TYPE,
        DefaultValue::Required,
        "The kernel of qubes that do not choose one. Where none was ever chosen, creating a qube \
         chooses the newest one that is installed.",
    )
    .completion(Completion::Kernels)
    .rule(Rule::Global(require_valid_default_kernel)),
    global(
        "default_netvm",
        QUBE,
        DefaultValue::NoQube,
        "The netvm of qubes that do not choose one.",
    )
    .completion(Completion::Netvms)
    .rule(Rule::Global(require_valid_default_netvm))
    .consequences(Consequences::Global(reattach_default_netvm_users)),
    global(
        "default_pool",
        ValueType::Pool,
        DefaultValue::ComputedGlobal(default_pool),
        "The pool of new volumes. Unset, it is the one called default, else the LVM thin pool \
         that DEFAULT_LVM_POOL names or that holds dom0's root file system, else the pool of \
         files in /var/lib/qubes.",
    ),
    global(
        "default_pool_kernel",
        ValueType::Pool,
        POOL_DEFAULT,
        "The pool of kernels.",
    ),
    global(
        "default_pool_private",
        ValueType::Pool,
        POOL_DEFAULT,
        "The pool of new private volumes.",
    ),
    global(
        "default_pool_root",
        ValueType::Pool,
        POOL_DEFAULT,
        "The pool of new root volumes.",
    ),
    global(
        "default_pool_volatile",
        ValueType::Pool,
        POOL_DEFAULT,
        "The pool of new volatile volumes.",
    ),
    global(
        "default_qrexec_timeout",
        INT,
        DefaultValue::Int(60),
        "For how many seconds a qube's agent is waited for at start unless the qube or its \
         template says otherwise.",
    ),
    global(
        "default_shutdown_timeout",
        INT,
        DefaultValue::Int(60),
        "For how many seconds a qube is waited for at shutdown unless the qube or its template \
         says otherwise.",
    ),
    global(
        "default_template",
        ValueType::Qube {
            class: Some(TEMPLATE),
            required: false,
        },
        DefaultValue::Required,
        "The template of new qubes that do not choose one.",
    ),
    global(
        "management_dispvm",
        QUBE,
        DefaultValue::NoQube,
        "The template of the disposables from which qubes are administered that do not choose \
         one.",
    )
    .completion(Completion::DisposableTemplates)
    .rule(Rule::Global(require_global_dispvm_template)),
    global(
        "stats_interval",
        INT,
        DefaultValue::Int(3),
        "Seconds between two measurements of memory and processor use.",
    ),
    global(
        "updatevm",
        QUBE,
        DefaultValue::NoQube,
        "The qube through which dom0 and templates fetch updates.",
    ),
];

/// Computes the default pool (`docs/spec/r4-properties.md` §2.1): the pool named `default`; the
/// thin pool that was configured or holds `/`; the pool of files in the base directory.
fn default_pool(qubes: &Qubes, facts: &dyn Facts) -> Result<Value, PropertyError> {
    let pools = &qubes.pools;
    let found = pools
        .get("default")
        .or_else(|| {
            // LVM is not asked if there is no thin pool that it could be.
            let is_thin = |pool: &&Pool| pool.volume_ids() == Some(VolumeIds::Logical);
            pools.iter().find(is_thin)?;
            let (group, thin) = facts.host().root_thin_pool()?;
            pools.iter().filter(is_thin).find(|p| {
                p.option("thin_pool") == Some(&thin)
                    && group
                        .as_deref()
                        .is_none_or(|g| p.option("volume_group") == Some(g))
            })
        })
        .or_else(|| {
            let base = facts.host().base_dir().trim_end_matches('/');
            pools.iter().find(|p| {
                p.has_files()
                    && p.option("dir_path")
                        .is_some_and(|d| d.trim_end_matches('/') == base)
            })
        });
    match found {
        Some(pool) => Ok(Value::Pool(pool.name().into())),
        None => Err(Owner::System.unset_error("default_pool")),
    }
}
