//! The `sallyport` program.
fn main() {}
