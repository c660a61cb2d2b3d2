//! What the README shows is what is compiled.

const EXAMPLE: &str = include_str!("../../crates/kurier/examples/quickstart.rs");

#[test]
fn the_example_in_both_languages_is_the_one_that_compiles() {
    let (_, program) = EXAMPLE.split_once("\n\nuse ").expect("a header before the program");
    let program = format!("```rust\nuse {program}```");
    for readme in [include_str!("../../README.md"), include_str!("../../README.ru.md")] {
        assert!(readme.contains(&program), "the example differs from {program}");
    }
}
