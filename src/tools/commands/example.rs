//! qvm-example: prints the names of the qubes.

use clap::Args;

use crate::lifecycle::Context;
use crate::tools::completion;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::{Invocation, read_until_exit};
use crate::tools::{Command, Run};

/// `qvm-example`
pub const QVM_EXAMPLE: Command =
    Command::of::<ExampleArguments>("qvm-example", "Print the names of the qubes");

/// The arguments of qvm-example.
#[derive(Args)]
struct ExampleArguments {
    /// Print only names that begin with this text
    #[arg(value_name = "PREFIX", add = completion::QUBES)]
    prefix: Option<String>,
}

impl Run for ExampleArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        let context = Context::new(call.system()?);
        let qubes = read_until_exit(&context)?;
        let prefix = self.prefix.as_deref().unwrap_or_default();
        let mut names: Vec<&str> = qubes.names().map(|name| name.as_str()).collect();
        names.retain(|name| name.starts_with(prefix));
        names.sort_unstable();
        names.iter().try_for_each(|name| call.out.line(name))?;
        Ok(0)
    }
}
