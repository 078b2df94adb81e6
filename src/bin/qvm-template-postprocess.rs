//! `qvm-template-postprocess`: installs or removes the template of a package (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QVM_TEMPLATE_POSTPROCESS)
}
