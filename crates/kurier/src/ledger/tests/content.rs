//! Corrupt: what is seen is not what was sent, or is not where Kafka said.

use super::*;

/// As it was sent, but for one bit of the value.
fn flipped(id: Uuid, offset: i64) -> Seen {
    let mut value = *id.as_bytes();
    value[7] ^= 0b100;
    Seen { content: Some(Fingerprint::of(Some(&A), Some(&value))), ..found(id, offset) }
}

fn corrupt(ledger: &Ledger) -> Vec<Option<Uuid>> {
    let judgement = ledger.judge(ms(5));
    let of_kind = judgement.offences.iter().filter(|it| it.kind == OffenceKind::Corrupt);
    let named: Vec<Option<Uuid>> = of_kind.map(|it| it.message).collect();
    assert_eq!(named.len() as u64, judgement.corrupt);
    assert_eq!(judgement.broken().any(|kind| kind == OffenceKind::Corrupt), !named.is_empty());
    named
}

#[test]
fn control_a_flipped_bit_is_found_in_the_log_and_at_the_handler() {
    let ids = ids(3);
    let mut ledger = delivered(&ids);
    audited(&mut ledger, &ids);
    ledger.given(&found(ids[0], 0));
    assert!(corrupt(&ledger).is_empty());
    ledger.given(&flipped(ids[0], 0));
    assert_eq!(corrupt(&ledger), [Some(ids[0])]);
    ledger.audited("t", [found(ids[0], 0), flipped(ids[1], 1), found(ids[2], 2)], ms(3));
    assert_eq!(corrupt(&ledger), [Some(ids[1]), Some(ids[0])]);
}

#[test]
fn a_value_damaged_beyond_reading_is_lost_and_its_offset_holds_something_else() {
    let ids = ids(2);
    let mut ledger = delivered(&ids);
    let unreadable = Seen { id: None, ..flipped(ids[1], 1) };
    ledger.audited("t", [found(ids[0], 0), unreadable], ms(3));
    handle(&mut ledger, ONE, [0, 1]);
    assert_eq!(broken(&ledger), [OffenceKind::Lost, OffenceKind::Corrupt]);
}

#[test]
fn an_acknowledged_offset_must_hold_the_message() {
    let ids = ids(3);
    let mut ledger = accepted(&ids);
    ledger.delivered(ids[0], Some(&place(0)), ms(1));
    ledger.delivered(ids[1], Some(&place(7)), ms(1));
    ledger.delivered(ids[2], Some(&place(2)), ms(1));
    audited(&mut ledger, &ids);
    assert_eq!(corrupt(&ledger), [Some(ids[1])], "it stands at 1, and 7 holds nothing");
    ledger.audited("t", [found(ids[1], 0), found(ids[0], 7), found(ids[2], 2)], ms(3));
    assert_eq!(corrupt(&ledger), [Some(ids[0]), Some(ids[1])], "they have changed places");
}

#[test]
fn a_message_written_twice_may_be_acknowledged_at_either_place() {
    let ids = ids(1);
    for acknowledged in [0, 1] {
        let mut ledger = accepted(&ids);
        ledger.delivered(ids[0], Some(&place(acknowledged)), ms(1));
        ledger.audited("t", [found(ids[0], 0), found(ids[0], 1)], ms(3));
        assert!(corrupt(&ledger).is_empty());
    }
}

#[test]
fn two_messages_at_one_place_are_found_without_an_audit_and_told_apart_by_one() {
    let ids = ids(2);
    let mut ledger = accepted(&ids);
    ledger.delivered(ids[0], Some(&place(0)), ms(1));
    ledger.delivered(ids[1], Some(&place(0)), ms(1));
    assert_eq!(corrupt(&ledger), [Some(ids[1])], "whoever came later");
    ledger.audited("t", [found(ids[1], 0)], ms(3));
    assert_eq!(corrupt(&ledger), [Some(ids[0])], "the audit knows who stands there");
    assert_eq!(ledger.judge(ms(3)).lost(), 1);
}

#[test]
fn a_handler_must_be_given_what_the_log_holds_there() {
    let ids = ids(2);
    let mut ledger = accepted(&ids);
    ids.iter().for_each(|id| ledger.delivered(*id, None, ms(1)));
    ledger.given(&found(ids[1], 0));
    audited(&mut ledger, &ids);
    assert_eq!(corrupt(&ledger), [Some(ids[1])], "0 holds the other one");
}

#[test]
fn a_fingerprint_tells_a_key_from_a_value_and_none_from_empty() {
    let all = [
        Fingerprint::of(None, None),
        Fingerprint::of(None, Some(b"")),
        Fingerprint::of(Some(b""), None),
        Fingerprint::of(Some(b"a"), Some(b"b")),
        Fingerprint::of(Some(b"ab"), Some(b"")),
        Fingerprint::of(Some(b""), Some(b"ab")),
        Fingerprint::of(Some(b"b"), Some(b"a")),
    ];
    let different: std::collections::HashSet<Fingerprint> = all.into_iter().collect();
    assert_eq!(different.len(), all.len());
    assert_eq!(Fingerprint::of(Some(b"a"), Some(b"b")), all[3]);
}
