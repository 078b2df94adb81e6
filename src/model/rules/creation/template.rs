//! The template of a new qube: which it is, and whether it can be.

use super::error::CreationError;
use crate::model::class::Class;
use crate::model::facts::Facts;
use crate::model::property;
use crate::model::property::{PropertyError, Value};
use crate::model::qubes::Qubes;
use crate::model::release::Release;
use crate::model::vm::Vm;

/// Finds the template of a new qube `vm`: the `requested` one, or the default of the class.
pub(super) fn find_template<'q>(
    qubes: &'q Qubes,
    vm: &str,
    class: &Class,
    requested: Option<&str>,
    facts: &dyn Facts,
) -> Result<Option<&'q Vm>, CreationError> {
    match class {
        Class::AdminVM | Class::Unknown(_) => {
            return Err(CreationError::UnsupportedClass(class.clone()));
        }
        Class::RemoteVM if facts.host().release() < Release::R4_3 => {
            return Err(CreationError::RemoteNotSupported(facts.host().release()));
        }
        _ => {}
    }
    // Upstream treats an empty name as no name.
    let requested = requested.filter(|template| !template.is_empty());
    let property = match (class.template(), requested) {
        (Some(spec), _) => spec.default,
        (None, None) => return Ok(None),
        (None, Some(_)) => {
            let class = class.clone();
            return Err(CreationError::UnexpectedTemplate { class });
        }
    };
    let name = match requested {
        Some(name) => name.to_owned(),
        None => match property::global_value_by_name(qubes, property, facts) {
            Ok(Value::Qube(Some(name))) => name.to_string(),
            Ok(_) | Err(PropertyError::Unset { .. }) => {
                return Err(CreationError::NoDefaultTemplate {
                    vm: vm.to_owned(),
                    property,
                });
            }
            Err(e) => return Err(e.into()),
        },
    };
    let template = qubes
        .get(&name)
        .ok_or(CreationError::NoSuchTemplate(name))?;
    check_template(qubes, class, template, facts).map(|()| Some(template))
}

/// Checks whether a qube of `class` can be based on `template`. Needs no qube yet, so
/// candidates can be filtered with it.
///
/// # Errors
/// It cannot, with the rule. No template fits a class without templates.
pub fn check_template(
    qubes: &Qubes,
    class: &Class,
    template: &Vm,
    facts: &dyn Facts,
) -> Result<(), CreationError> {
    match class {
        _ if !class.has_template() => Err(CreationError::UnexpectedTemplate {
            class: class.clone(),
        }),
        Class::DispVM if !property::is_template_for_dispvms(qubes, template, facts) => {
            Err(CreationError::NotDispvmTemplate(template.name.clone()))
        }
        _ if !class.can_have_template(&template.class) => {
            let (template, class) = (template.name.to_string(), template.class.clone());
            Err(CreationError::WrongTemplate { template, class })
        }
        _ => Ok(()),
    }
}
