//! A short run at every test; the long one is `fuzz-requests`.

#[test]
fn twenty_thousand_damaged_requests_hurt_nobody_and_reach_every_api() {
    let report = kurier_fuzz::run(20_000, 1).unwrap_or_else(|found| panic!("{found}"));
    let total =
        report.answered + report.waited + report.closed + report.incomplete + report.unanswered;
    assert_eq!(total, 20_000);
    assert_eq!(report.apis.len(), 26, "each API that is spoken was answered: {report:?}");
    assert!(4_000 < report.answered && 4_000 < report.closed, "neither deaf nor blind: {report:?}");
}

#[test]
fn the_same_seed_makes_the_same_cases() {
    let [once, again, other] = [7, 7, 8].map(|seed| {
        let report = kurier_fuzz::run(2_000, seed).unwrap_or_else(|found| panic!("{found}"));
        (report.answered, report.waited, report.closed, report.incomplete, report.unanswered)
    });
    assert_eq!(once, again);
    assert_ne!(once, other);
}
