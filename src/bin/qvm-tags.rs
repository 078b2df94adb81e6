//! `qvm-tags`: shows or changes tags of a qube (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QVM_TAGS)
}
