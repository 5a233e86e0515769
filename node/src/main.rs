//! The `organtwin` command.

fn main() -> std::process::ExitCode {
    organtwin::cli::main()
}
