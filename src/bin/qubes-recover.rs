//! `qubes-recover`: reconciles qubes after a crash (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QUBES_RECOVER)
}
