//! `qvm-trim-template`: frees the unused blocks of a template's root volume (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QVM_TRIM_TEMPLATE)
}
