//! `qubes-db`: checks, repairs, compares and restores the store (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QUBES_DB)
}
