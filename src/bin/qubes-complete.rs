fn main() -> std::process::ExitCode {
    qubes::tools::complete::main()
}
