//! The `sallyport` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    sallyport::cli::main()
}
