//! qubes-domain-xml: prints the XML of a qube's domain as a start would pass it to libvirt.

use crate::lifecycle::qube;
use crate::lifecycle::qube::user_templates_help;
use crate::tools::manual::Section;
use crate::tools::ui::arguments::qube_argument;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;

pub fn define(line: clap::Command) -> clap::Command {
    line.arg(qube_argument("Name of the qube"))
}

pub fn run(call: &mut Invocation) -> Result<u8, Failure> {
    let context = call.context_for_qube()?;
    let qubes = context.read()?;
    let name = call.named_qube(&qubes)?.name.clone();
    drop(qubes);
    let xml = qube::preview_domain_xml(&context, &name)?;
    call.out.text(&xml)?;
    call.out.text("\n")?;
    Ok(0)
}

/// Returns the section of the manual page about the templates of the XML.
pub fn manual() -> Vec<Section> {
    vec![Section::paragraphs("templates", user_templates_help())]
}
