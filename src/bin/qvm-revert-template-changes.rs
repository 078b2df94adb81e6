//! `qvm-revert-template-changes`: reverts the root volume of a template (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QVM_REVERT_TEMPLATE_CHANGES)
}
