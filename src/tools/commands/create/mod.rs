//! qvm-create: creates a qube.

mod arguments;
mod request;
mod root_source;

use crate::lifecycle::volume::{self, RootImage};
use crate::lifecycle::{Context, LifecycleError};
use crate::model::{Class, VmName};
use crate::tools::ui::failure::Failure;
use crate::tools::ui::hint;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::progress::QubeProgress;
use crate::tools::{Command, Run};
use arguments::CreateArguments;
use request::CreateRequest;
use root_source::RootSource;

/// The exit code if a property cannot be set; there is no qube.
const EXIT_PROPERTY_FAILED: u8 = 2;
/// The exit code if the root volume cannot be filled; there is no qube.
const EXIT_ROOT_FAILED: u8 = 3;

/// `qvm-create`
pub const QVM_CREATE: Command = Command::of::<CreateArguments>("qvm-create", "Create a qube");

impl Run for CreateArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        if self.help_classes {
            return Class::all()
                .try_for_each(|class| call.out.line(class.as_str()))
                .map(|()| 0);
        }
        let (code, generated_name) = create(call, &self)?;
        if let Some(name) = generated_name {
            // The name is printed nowhere else, and the user may have to remove the qube.
            let written = call.out.line(name.as_str()).and_then(|()| call.out.flush());
            written.map_err(|failure| match failure {
                Failure::Error(text) => Failure::Error(format!("{name} is created: {text}")),
                failure => failure,
            })?;
        }
        Ok(code)
    }
}

/// Creates the qube. Returns the exit code, and the name if it was generated.
fn create(call: &Invocation, arguments: &CreateArguments) -> Result<(u8, Option<VmName>), Failure> {
    let request = CreateRequest::new(call, arguments)?;
    let context = Context::new(call.system_with_progress()?);
    let qubes = context.read()?;
    request.check_label(&qubes)?;
    drop(qubes);
    let file = match request
        .root
        .as_ref()
        .filter(|root| !arguments.dry_run || !root.is_pipe())
        .map(RootSource::open)
    {
        Some(Err(reason)) => {
            call.warn(
                "app",
                &format!("Error importing root volume (no VM created): {reason}"),
            );
            return Ok((EXIT_ROOT_FAILED, None));
        }
        opened => opened.transpose().unwrap_or_default(),
    };
    let progress = QubeProgress::new(&context, request.name.unwrap_or("disposable"));
    let root = file.as_ref().map(|file| RootImage {
        file,
        progress: &progress,
    });
    if arguments.dry_run {
        let refused = request.try_to_create(&context, root).err();
        return Ok((refused.map_or(0, |error| report_refusal(call, error)), None));
    }
    let created = match request.create(&context, root, &progress) {
        Ok(created) => created,
        Err(error) => return Ok((report_refusal(call, error), None)),
    };
    created.notes.iter().for_each(|note| call.warn("app", note));
    let name = created.name;
    if let Some((root, file)) = request
        .root
        .as_ref()
        .filter(|root| root.is_moved)
        .zip(file.as_ref())
        && let Err(error) = volume::images::remove_source(&context, root.file, file)
    {
        let (file, error) = (root.file.display(), hint::describe(&error));
        call.warn(
            "app",
            &format!("{name} is created with the data of {file}, which is not removed: {error}"),
        );
        return Ok((1, None));
    }
    Ok((0, request.name.is_none().then_some(name)))
}

/// Prints why the qube was not or would not be created, and returns the exit code.
fn report_refusal(call: &Invocation, error: LifecycleError) -> u8 {
    let app = |text: String| call.warn("app", &text);
    let code = match &error {
        LifecycleError::SettingsRefused(refused) => {
            for refused in refused {
                app(format!(
                    "Error setting {} (no VM created): {}",
                    refused.setting, refused.reason
                ));
            }
            return EXIT_PROPERTY_FAILED;
        }
        LifecycleError::NotImported { .. } => {
            app(format!(
                "Error importing root volume (no VM created): {}",
                call.error_text(&error)
            ));
            EXIT_ROOT_FAILED
        }
        error => {
            app(format!("Error creating VM: {}", call.error_text(error)));
            1
        }
    };
    call.hint_for(&error);
    code
}
