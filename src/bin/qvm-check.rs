//! `qvm-check`: checks whether qubes exist, run or are templates (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QVM_CHECK)
}
