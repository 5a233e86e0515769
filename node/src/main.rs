//! The `organtwin` command.

fn main() {}
