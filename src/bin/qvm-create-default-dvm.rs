//! `qvm-create-default-dvm`: creates the default template of disposables (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QVM_CREATE_DEFAULT_DVM)
}
