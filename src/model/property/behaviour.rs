//! Properties of behaviour: start at boot, timeouts, user, backup, disposables, keyboard.

use super::value_type::{INT, POSITIVE, ValueType};
use super::{
    AppliesTo, Consequences, DefaultValue, EmptyText, GUESTS, Property, PropertyContext,
    PropertyError, Value,
};
use crate::model::class::Class;
use crate::model::effect::Effect;
use crate::model::name::VmName;
use crate::model::property;
use crate::model::release::Release;

const DISPVM: AppliesTo = AppliesTo::Classes(&[Class::DispVM]);
const USER_TYPE: ValueType = ValueType::Text {
    normalize: check_user,
    empty: EmptyText::WordNone,
};
const LAYOUT_TYPE: ValueType = ValueType::Text {
    normalize: check_layout,
    empty: EmptyText::Refused,
};
const CODES_TYPE: ValueType = ValueType::Text {
    normalize: sort_device_codes,
    empty: EmptyText::Empty,
};

/// The keyboard layout if none is set.
const DEFAULT_LAYOUT: &str = "us++";

pub(super) const ROWS: &[Property] = &[
    Property::new(
        "autostart",
        GUESTS,
        ValueType::Bool,
        DefaultValue::Bool(false),
        "Whether the qube is started when dom0 boots.",
    )
    .consequences(Consequences::Qube(|_, vm, _| {
        Effect::Autostart { vm: vm.clone() }.into()
    })),
    Property::new(
        "debug",
        GUESTS,
        ValueType::Bool,
        DefaultValue::Bool(false),
        "Whether the qube starts with debugging aids.",
    )
    .consequences(Consequences::Qube(|_, vm, _| {
        Effect::DebugNote { vm: vm.clone() }.into()
    })),
    Property::new(
        "default_user",
        GUESTS,
        USER_TYPE,
        DefaultValue::Inherited(&DefaultValue::Text("user")),
        "As which user programs run. Without one of its own, a qube takes its template's.",
    ),
    Property::new(
        "include_in_backups",
        AppliesTo::AllClasses,
        ValueType::Bool,
        DefaultValue::Computed(include_in_backups),
        "Whether a backup without a list of qubes contains this one.",
    ),
    Property::new(
        "backup_timestamp",
        GUESTS,
        INT,
        DefaultValue::Nothing,
        "When the qube was last backed up, in seconds since 1970.",
    ),
    Property::new(
        "installed_by_rpm",
        GUESTS,
        ValueType::Bool,
        DefaultValue::Bool(false),
        "Whether the package manager installed the qube's image; it has to remove it, too.",
    ),
    Property::new(
        "qrexec_timeout",
        GUESTS,
        POSITIVE,
        DefaultValue::Inherited(&DefaultValue::Global("default_qrexec_timeout")),
        "For how many seconds the qube's agent is waited for at start. Without one of its own, a \
         qube takes its template's.",
    )
    .sorts_as_number(),
    Property::new(
        "shutdown_timeout",
        GUESTS,
        POSITIVE,
        DefaultValue::Inherited(&DefaultValue::Global("default_shutdown_timeout")),
        "For how many seconds the qube is waited for at shutdown. Without one of its own, a qube \
         takes its template's.",
    )
    .sorts_as_number(),
    Property::new(
        "auto_cleanup",
        DISPVM,
        ValueType::Bool,
        DefaultValue::Bool(false),
        "Whether the disposable is removed when it stops.",
    ),
    Property::new(
        "dispid",
        DISPVM,
        ValueType::Int { min: 0, max: 9999 },
        DefaultValue::Required,
        "The disposable's number, from which its addresses are made; drawn at creation.",
    )
    .identity(),
    Property::new(
        "is_preload",
        DISPVM,
        ValueType::Bool,
        DefaultValue::Computed(compute_is_preload),
        "Whether the disposable was started in advance and waits to be used.",
    )
    .computed()
    .since(Release::R4_3),
    Property::new(
        "devices_denied",
        AppliesTo::LocalGuestsAndAdmin,
        CODES_TYPE,
        DefaultValue::Text(""),
        "Interface codes of devices that must not be attached to the qube.",
    )
    .since(Release::R4_3),
    Property::new(
        "keyboard_layout",
        AppliesTo::LocalGuestsAndAdmin,
        LAYOUT_TYPE,
        DefaultValue::Computed(keyboard_layout),
        "Keyboard: layout+variant+options. Unset, it is that of the qube's guivm.",
    )
    .since(Release::R4_1),
];

fn check_user(text: &str) -> Result<String, PropertyError> {
    match text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"_-+,.".contains(&b))
    {
        true => Ok(text.to_owned()),
        false => Err(PropertyError::refused(
            "Username can contain only those characters: \
             abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+,.",
        )),
    }
}

/// Checks the form `layout+variant+options` (`docs/spec/r4-properties.md` §4).
fn check_layout(text: &str) -> Result<String, PropertyError> {
    let fields: Vec<&str> = text.split('+').collect();
    let [layout, variant, options] = fields[..] else {
        return Err(PropertyError::refused(
            "invalid number of keyboard layout parameters",
        ));
    };
    let is_made_of = |field: &str, also: &[u8]| {
        field
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || also.contains(&b))
    };
    let wrong = if layout.is_empty() || !layout.bytes().all(|b| b.is_ascii_alphabetic()) {
        Some(("layout", layout, "letters only, at least one"))
    } else if !is_made_of(variant, b"-_") {
        Some(("variant", variant, "letters, digits, - and _ only"))
    } else if !is_made_of(options, b"-_:,") {
        Some(("options", options, "letters, digits, - _ : and , only"))
    } else {
        None
    };
    match wrong {
        None => Ok(text.to_owned()),
        Some((field, value, rule)) => Err(PropertyError::refused(format!(
            "keyboard {field} '{value}' of '{text}' is not valid: {rule}"
        ))),
    }
}

/// Checks codes of seven characters, sorts them and removes duplicates (`docs/spec/r4-devices.md`
/// §2).
fn sort_device_codes(text: &str) -> Result<String, PropertyError> {
    let refused = |why: &str| {
        Err(PropertyError::refused(format!(
            "devices_denied '{text}' is not valid: {why}"
        )))
    };
    if !text.is_ascii() || !text.len().is_multiple_of(7) {
        return refused("it must consist of codes of seven characters");
    }
    let mut codes: Vec<&str> = (0..text.len())
        .step_by(7)
        .map(|at| &text[at..at + 7])
        .collect();
    for code in &codes {
        let (class, rest) = code.split_at(1);
        if !"bump*".contains(class)
            || !rest
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'*'))
        {
            return refused("a code is one of b u m p *, then six of 0-9 a-f *");
        }
    }
    codes.sort_unstable();
    codes.dedup();
    Ok(codes.concat())
}

fn include_in_backups(context: &PropertyContext<'_>) -> Result<Value, PropertyError> {
    Ok(Value::Bool(match context.vm.class {
        Class::RemoteVM => false,
        Class::DispVM => {
            property::value_by_name(context.qubes, context.vm, "auto_cleanup", context.facts)?
                .as_bool()
                != Some(true)
        }
        _ => true,
    }))
}

fn compute_is_preload(context: &PropertyContext<'_>) -> Result<Value, PropertyError> {
    Ok(Value::Bool(property::is_preloaded(
        context.qubes,
        context.vm,
    )))
}

/// Returns the layout of the nearest guivm in the chain that has an explicit one, else `us++`.
fn keyboard_layout(context: &PropertyContext<'_>) -> Result<Value, PropertyError> {
    let PropertyContext { qubes, vm, facts } = *context;
    let mut seen: Vec<&VmName> = Vec::new();
    let mut current = vm;
    while current.class != Class::AdminVM && !seen.contains(&&current.name) {
        seen.push(&current.name);
        let Some(guivm) = property::guivm(qubes, current, facts)? else {
            break;
        };
        if guivm.properties.contains("keyboard_layout") {
            return property::value_by_name(qubes, guivm, "keyboard_layout", facts);
        }
        current = guivm;
    }
    Ok(Value::text(DEFAULT_LAYOUT))
}
