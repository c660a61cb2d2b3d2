//! A seed is enough to see a case again. Alone in its file, as the test in `smoke` says.

#[test]
fn the_same_seed_makes_the_same_cases() {
    let [once, again, other] = [7, 7, 8].map(|seed| {
        let report = kurier_fuzz::run(2_000, seed).unwrap_or_else(|found| panic!("{found}"));
        (report.answered, report.waited, report.closed, report.incomplete, report.unanswered)
    });
    assert_eq!(once, again);
    assert_ne!(once, other);
}
