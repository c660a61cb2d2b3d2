//! kurier
fn main() {}
