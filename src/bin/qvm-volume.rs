//! `qvm-volume`: lists and changes volumes of qubes (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QVM_VOLUME)
}
