//! A short run at every test; the long one is `fuzz-requests`.
//!
//! One test a file: what a case takes of memory is told by the whole process, in which a second thread would
//! make a heap of its own (64 MiB of addresses, glibc).

#[test]
fn twenty_thousand_damaged_requests_hurt_nobody_and_reach_every_api() {
    let report = kurier_fuzz::run(20_000, 1).unwrap_or_else(|found| panic!("{found}"));
    let total =
        report.answered + report.waited + report.closed + report.incomplete + report.unanswered;
    assert_eq!(total, 20_000);
    assert_eq!(report.apis.len(), 26, "each API that is spoken was answered: {report:?}");
    assert!(4_000 < report.answered && 4_000 < report.closed, "neither deaf nor blind: {report:?}");
}
