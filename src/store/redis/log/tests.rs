use proptest::prelude::*;

use super::*;
use crate::store::raw::Raw;

fn kinds() -> impl Strategy<Value = SlotKind> {
    (0_u8..5).prop_map(|number| SlotKind::from_u8(number).unwrap())
}

fn slots() -> impl Strategy<Value = (String, u32, SlotKind)> {
    ("[a.:0-9 \n]{0,4}", 0_u32..12, kinds())
}

/// What one session does: slots are saved, or discarded, in this order.
fn sessions() -> impl Strategy<Value = Vec<(bool, Vec<(String, u32, SlotKind)>)>> {
    proptest::collection::vec((any::<bool>(), proptest::collection::vec(slots(), 1..4)), 0..12)
}

proptest! {
    #[test]
    fn a_name_is_read_as_it_was_written(node in any::<String>(), instance in any::<u32>(), kind in kinds()) {
        let name = slot_name(&node, instance, kind);
        prop_assert_eq!(slot_of(&name), Some((node.as_str(), instance, kind)));
    }

    #[test]
    fn a_record_says_what_it_is(
        order in any::<u64>(),
        (node, instance, kind) in slots(),
        ledger in any::<Vec<u8>>(),
        value in any::<Vec<u8>>(),
    ) {
        let slot = Slot { node: &node, index: 0, instance, kind };
        let record = Record::put(order, slot, &ledger, &Raw(&value)).unwrap();
        let head = format!("{order} put {}", slot_name(&node, instance, kind));
        prop_assert_eq!(record.parts(), [head.as_bytes(), &*ledger, &*value]);
    }

    /// However the writes come to stand in the log, and however often each.
    #[test]
    fn the_log_counts_in_the_order_of_its_numbers(
        session in sessions(),
        places in proptest::collection::vec(any::<(prop::sample::Index, bool)>(), 0..24),
    ) {
        let mut expected = Present::default();
        let mut log = Vec::new();
        let mut order = 0;
        for (discards, slots) in session {
            if discards {
                order += 1;
                log.push(Record::discard(order, slots.iter().map(|(node, instance, kind)| slot_name(node, *instance, *kind))));
                for (node, instance, kind) in &slots {
                    expected.remove(Slot { node, index: 0, instance: *instance, kind: *kind });
                }
                continue;
            }
            for (node, instance, kind) in slots {
                order += 1;
                let slot = Slot { node: &node, index: 0, instance, kind };
                log.push(Record::put(order, slot, &[], &Raw(b"")).unwrap());
                expected.insert((node.into(), instance, kind), ());
            }
        }
        // Some stand elsewhere, and some stand there twice.
        let mut shuffled: Vec<_> = (0..log.len()).collect();
        for (at, twice) in places {
            if let Some(&which) = shuffled.get(at.index(shuffled.len().max(1))) {
                if !twice {
                    shuffled.retain(|other| *other != which);
                }
                shuffled.push(which);
            }
        }
        let mut heads = Vec::new();
        for at in &shuffled {
            let [head, _, rest] = log.get(*at).unwrap().parts();
            heads.push(head.to_vec());
            if head.ends_with(b" discard") {
                heads.push(rest.to_vec());
            }
        }
        let (found, last) = present(heads).unwrap();
        prop_assert_eq!(last, order);
        let mut names = [Vec::new(), Vec::new()];
        expected.each(|slot| names[0].push(slot_name(slot.node, slot.instance, slot.kind)));
        found.each(|slot| names[1].push(slot_name(slot.node, slot.instance, slot.kind)));
        let [expected, found] = names;
        prop_assert_eq!(expected, found);
    }

    #[test]
    fn whatever_is_in_the_log_is_read_or_refused(heads in any::<Vec<Vec<u8>>>()) {
        let _ = present(heads);
    }
}

#[test]
fn numbers_are_written_like_others() {
    for number in [0, 7, 10, 99, 100, 12_345, u64::MAX] {
        assert_eq!(NumberText::default().of(number), format!("{number}").as_bytes());
    }
}
