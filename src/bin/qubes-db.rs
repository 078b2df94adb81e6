fn main() -> std::process::ExitCode {
    qubes::tools::main("qubes-db")
}
