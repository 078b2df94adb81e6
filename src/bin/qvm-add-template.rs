//! `qvm-add-template`: registers a template whose images already exist (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QVM_ADD_TEMPLATE)
}
