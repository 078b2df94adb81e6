//! qubes-domain-xml: prints the XML of a qube's domain as a start would pass it to libvirt.

use clap::Args;

use crate::lifecycle::qube::user_templates_help;
use crate::lifecycle::{Context, qube};
use crate::tools::completion;
use crate::tools::manual::section::Section;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;
use crate::tools::{Command, Run};

/// `qubes-domain-xml`
pub const QUBES_DOMAIN_XML: Command = Command::of::<DomainXmlArguments>(
    "qubes-domain-xml",
    "Print the libvirt XML of a qube's domain",
);

/// The arguments of qubes-domain-xml.
#[derive(Args)]
struct DomainXmlArguments {
    /// Name of the qube
    #[arg(value_name = "VMNAME", add = completion::QUBES)]
    qube: String,
}

impl Run for DomainXmlArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        let context = Context::new(call.system()?);
        let qubes = context.read()?;
        let name = call.named_qube(&qubes, &self.qube)?.name.clone();
        drop(qubes);
        let xml = qube::preview_domain_xml(&context, &name)?;
        call.out.text(&xml)?;
        call.out.text("\n")?;
        Ok(0)
    }
}

/// Returns the section of the manual page about the templates of the XML.
pub fn manual() -> Vec<Section> {
    vec![Section::paragraphs("templates", user_templates_help())]
}
