//! What is printed and kept of a run.

use super::super::offence::OFFENDERS;
use super::*;

#[test]
fn an_account_names_the_offender_and_what_happened_around_it() {
    let ids = ids(3);
    let mut ledger = delivered(&ids);
    audited(&mut ledger, &ids);
    ledger.assigned(ONE, &[partition(0)], ms(1));
    handle(&mut ledger, ONE, [0]);
    ledger.note("node 2 is killed", ms(2));
    ledger.committed(ONE, &partition(0), Offset(2), ms(2));
    handle(&mut ledger, TWO, [1, 2]);
    let judgement = ledger.judge(ms(3));
    let account = ledger.account(&judgement);
    for wanted in [
        "committed ahead: 1",
        "t[0] offset 2",
        "was committed while offset 1 was handled later",
        "assigned t[0] by \"1\" of g",
        "node 2 is killed",
        "handled by \"2\" of g at t[0] offset 1",
    ] {
        assert!(account.contains(wanted), "{wanted:?} is missing in\n{account}");
    }
    assert!(!account.contains("handled again"), "what was not is not told:\n{account}");
}

#[test]
fn twenty_of_a_kind_are_named_and_all_are_counted() {
    let ids = ids(3 * OFFENDERS);
    let mut ledger = delivered(&ids);
    audited(&mut ledger, &[]);
    let judgement = ledger.judge(ms(3));
    let lost = judgement.offences.iter().filter(|it| it.kind == OffenceKind::Lost);
    assert_eq!((judgement.lost(), lost.count()), (3 * OFFENDERS as u64, OFFENDERS));
}

#[test]
fn every_event_is_a_line_of_json_with_its_number_and_its_time() {
    let ids = ids(2);
    let mut ledger = delivered(&ids);
    ledger.assigned(ONE, &[partition(0)], ms(1));
    ledger.started(ONE, &place(0), 1, ms(2));
    handle(&mut ledger, ONE, [0]);
    ledger.committed(ONE, &partition(0), Offset(1), ms(2));
    ledger.failed(ids[0], FailedDelivery::Unknown, ms(2));
    audited(&mut ledger, &ids[..1]);
    let mut out = Vec::new();
    ledger.write_events(&mut out).unwrap();
    let lines: Vec<serde_json::Value> =
        out.split(|byte| *byte == b'\n').filter_map(|it| serde_json::from_slice(it).ok()).collect();
    let what: Vec<&str> = lines.iter().map(|line| line["what"].as_str().unwrap()).collect();
    let sent = ["intended", "accepted", "intended", "accepted", "delivered", "delivered"];
    let rest = ["assigned", "started", "handled", "committed", "note", "found"];
    assert_eq!(what, [sent, rest].concat(), "a second outcome is none");
    assert_eq!(lines[8]["event"], 8);
    assert_eq!(lines[8]["at_us"], 2_000);
    assert_eq!((&lines[8]["partition"], &lines[8]["offset"]), (&"t[0]".into(), &0.into()));
    assert_eq!(lines[10]["note"], "audit: topic t holds 1 records, 1 in t[0]");
    assert_eq!(lines[11]["message"], ids[0].to_string());
    assert_eq!(lines[11]["as_sent"], true);
}

#[test]
fn a_judgement_is_json_with_its_times_in_milliseconds() {
    let ids = ids(1);
    let ledger = accepted(&ids);
    let json = serde_json::to_value(ledger.judge(ms(70))).unwrap();
    assert_eq!(json["longest_stall_ms"], 70);
    assert_eq!(json["groups"][0]["group"], "g");
    assert_eq!(json["offences"][0]["kind"], "no_outcome");
    assert_eq!(json["offences"][0]["message"], ids[0].to_string());
}
