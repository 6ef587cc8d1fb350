use super::*;
use crate::budget::{Budget, Ledger};

fn spent(tokens: u64) -> Spent {
    Spent { tokens, ..Spent::default() }
}

fn done(tokens: u64) -> Ending {
    Ending { output: Ok("7".to_string()), spent: spent(tokens).into() }
}

fn said(inside: &Inside) -> Option<(Promise, &str)> {
    inside.wrong.as_ref().map(|(promise, did)| (*promise, did.as_str()))
}

#[test]
fn a_report_of_another_sum_than_was_spent_is_seen() {
    for (reported, seen) in [(12, false), (11, true), (13, true)] {
        let mut inside = Inside { attempts: 2, ..Inside::default() };
        inside.opened(0, Vec::new(), b"");
        for tokens in [5, 7] {
            inside.started(0, "a", 0);
            inside.ended(0, spent(tokens));
        }
        inside.judge(0, &done(reported), None);
        let words =
            alloc::format!("it reports that {reported} tokens and 0 USD were spent, and it was 12 tokens and 0 USD");
        let due = seen.then_some((Promise::Spend, words.as_str()));
        assert_eq!(said(&inside).map(|(promise, _)| promise), due.map(|(promise, _)| promise), "{:?}", said(&inside));
        assert!(said(&inside).is_none_or(|(_, did)| did.contains("and it was 12 tokens")));
    }
}

#[test]
fn a_ledger_of_another_sum_than_was_spent_is_seen_when_it_is_stored() {
    let mut inside = Inside { attempts: 1, ..Inside::default() };
    inside.opened(0, Vec::new(), b"");
    let ledger = Ledger::new(&Budget::unlimited());
    let mut bytes = [0; crate::store::LEDGER_MAX];
    let put = |ledger: &[u8]| Change::Put { slot: None, ledger: ledger.to_vec() };
    inside.made(0, &put(ledger.encode(core::time::Duration::ZERO, &mut bytes)));
    assert_eq!(said(&inside), None);
    inside.started(0, "a", 0);
    // It may have spent some of it already.
    inside.made(0, &put(ledger.encode(core::time::Duration::ZERO, &mut bytes)));
    assert_eq!(said(&inside), None);
    inside.ended(0, spent(5));
    inside.made(0, &put(ledger.encode(core::time::Duration::ZERO, &mut bytes)));
    assert_eq!(said(&inside).map(|(promise, _)| promise), Some(Promise::Spend));
}

#[test]
fn a_write_that_was_dropped_stays_unsure_when_the_next_opening_is_dropped_too() {
    let key = ("a".to_string(), 0, SlotKind::Output);
    for (slots, seen) in
        [(Vec::new(), false), (Vec::from([key.clone()]), false), (Vec::from([key.clone(), key.clone()]), true)]
    {
        let mut inside = Inside::default();
        inside.unsure(Change::Put { slot: Some((key.clone(), b"12".to_vec(), false)), ledger: Vec::new() });
        inside.unsure(Change::Nothing);
        inside.opened(2, slots, b"");
        assert_eq!(said(&inside).is_some(), seen, "{:?}", said(&inside));
    }
}

#[test]
fn who_reads_what_is_damaged_has_to_say_so() {
    let (key, halted) = (("a".to_string(), 0, SlotKind::Output), |why| Ending {
        output: Err(Halt { why, text: "text".to_string() }),
        spent: Sum::default(),
    });
    for (ending, seen) in [
        (halted(HaltKind::Checkpoint(Some("a"))), None),
        (halted(HaltKind::Checkpoint(Some("b"))), Some(Promise::Damage)),
        (halted(HaltKind::Other), Some(Promise::Damage)),
        (done(0), Some(Promise::Damage)),
    ] {
        let mut inside = Inside::default();
        inside.made(0, &Change::Put { slot: Some((key.clone(), b"12".to_vec(), true)), ledger: Vec::new() });
        inside.loaded(0, &key, b"12");
        inside.judge(0, &ending, None);
        assert_eq!(said(&inside).map(|(promise, _)| promise), seen);
    }
}

#[test]
fn a_node_that_runs_again_though_its_output_is_saved_is_seen() {
    let mut inside = Inside { attempts: 1, ..Inside::default() };
    let slot = (("a".to_string(), 0, SlotKind::Output), b"12".to_vec(), false);
    inside.started(0, "a", 0);
    inside.ended(0, Spent::default());
    inside.made(0, &Change::Put { slot: Some(slot), ledger: Vec::new() });
    inside.made(0, &Change::Discard(Vec::from([("b".to_string(), 0, SlotKind::Output)])));
    inside.started(1, "b", 0);
    assert_eq!(said(&inside), None);
    inside.started(1, "a", 0);
    assert_eq!(said(&inside).map(|(promise, _)| promise), Some(Promise::RunsOnce));
}
