fn main() -> std::process::ExitCode {
    qubes::tools::main("qvm-notes")
}
