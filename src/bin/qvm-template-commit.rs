//! `qvm-template-commit`: commits the root volume of a halted template (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QVM_TEMPLATE_COMMIT)
}
