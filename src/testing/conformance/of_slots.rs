//! The checks of the slots of a run.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::ToString,
    vec,
    vec::Vec,
};

use super::{
    super::parts::Random,
    bench::{
        A, B, Bench, C, Held, POLLS, R, bytes, dropped, ended, finds, hold, kind_is, load, name, output, put, said,
        sees,
    },
};
use crate::{
    run::RunId,
    slot::{Slot, SlotKind},
    store::{
        Session, Store, StoreError, StoreErrorKind,
        raw::{Faithless, Raw},
    },
};

/// Ids of nodes that a store may confuse if its keys are made of them carelessly.
const NODES: [&str; 26] = [
    "n",
    "n1",
    "n11",
    "n:",
    "n:1",
    "n:1:1",
    "n/1",
    "n\n",
    "n\n1",
    "n\0",
    "\0n",
    "n*",
    "*",
    "n[1]",
    "[",
    "?",
    "{n}",
    "%6e",
    "..",
    " n",
    "N",
    "ä",
    "a\u{308}",
    "\u{10ffff}",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
];

pub(super) async fn put_is_there<S: Store>(bench: &Bench<'_, S>) -> Held {
    let steps: [(Slot<'static>, &[u8]); 8] = [
        (Slot::INPUT, b"input"),
        (A, b"0123456789"),
        (B, b""),
        (A, b"short"),
        (A, b"longer again"),
        (B, b"filled"),
        (A, b""),
        (C, b"the last"),
    ];
    let mut now = BTreeMap::new();
    for (slot, value) in steps {
        // Each in a session of its own, so that the last write before the end is looked at every time.
        put(&mut bench.create(&R).await?, slot, value, b"").await?;
        now.insert(slot.node, (slot, value));
        for (slot, value) in now.values() {
            sees(&mut bench.existing(&R).await?, *slot, value).await?;
        }
    }
    let mut session = bench.existing(&R).await?;
    for round in 0..4_u8 {
        put(&mut session, A, &[round], b"").await?;
        sees(&mut session, A, &[round]).await?;
        sees(&mut session, B, b"filled").await?;
    }
    Ok(())
}

pub(super) async fn keys_apart<S: Store>(bench: &Bench<'_, S>) -> Held {
    let kinds = [SlotKind::Output, SlotKind::Intent, SlotKind::Decision, SlotKind::Signal, SlotKind::Input];
    let mut all = vec![Slot::INPUT];
    for (at, node) in NODES.into_iter().enumerate() {
        let index = u16::try_from(at + 1).unwrap_or(u16::MAX);
        all.push(output(node, index));
        if at < 3 {
            let instances = [1, 11, 111, 256, 1 << 16, u32::MAX].into_iter();
            all.extend(instances.map(|instance| Slot { instance, ..output(node, index) }));
            all.extend(kinds.iter().skip(1).map(|kind| Slot { kind: *kind, ..output(node, index) }));
        }
    }
    for (at, slots) in all.chunks(bench.slots(all.len()).max(1)).enumerate() {
        let run = RunId::from_u128(at as u128);
        let mut session = bench.create(&run).await?;
        for (value, slot) in slots.iter().enumerate() {
            hold!(!session.holds(*slot), "{} is there before it was saved, other slots were", name(*slot));
            put(&mut session, *slot, &value.to_le_bytes(), b"").await?;
        }
        drop(session);
        let mut session = bench.existing(&run).await?;
        for (value, slot) in slots.iter().enumerate() {
            sees(&mut session, *slot, &value.to_le_bytes()).await?;
        }
        let doomed = slots.iter().step_by(2).copied().collect::<Vec<_>>();
        ended(session.discard(|slot| doomed.contains(&slot)))
            .await
            .map_err(|error| format!("`discard` failed: {error}"))?;
        drop(session);
        let mut session = bench.create(&run).await?;
        for (value, slot) in slots.iter().enumerate() {
            if value % 2 == 0 {
                hold!(!session.holds(*slot), "{} is there after it was discarded", name(*slot));
            } else {
                sees(&mut session, *slot, &value.to_le_bytes()).await?;
            }
        }
        drop(session);
        bench.forget(&run).await?;
    }
    Ok(())
}

pub(super) async fn missing<S: Store>(bench: &Bench<'_, S>) -> Held {
    bench.kept(&R, &[(A, b"1"), (B, b"2")], b"").await?;
    let mut session = bench.existing(&R).await?;
    ended(session.discard(|slot| slot == B)).await.map_err(|error| format!("`discard` failed: {error}"))?;
    for slot in [B, C, Slot { instance: 1, ..A }, Slot { kind: SlotKind::Signal, ..A }] {
        let told = load(&mut session, slot).await;
        let missing = kind_is(&told, StoreErrorKind::Missing);
        hold!(missing, "{}", said(&format!("`load` of {}", name(slot)), told, "not there and so `Missing`"));
    }
    Ok(())
}

pub(super) async fn put_dropped<S: Store>(bench: &Bench<'_, S>) -> Held {
    let value = |round: u8| [round; 16];
    let mut kept = 0;
    bench.kept(&R, &[(A, &value(0))], &value(0)).await?;
    for round in 1..=2 * POLLS as u8 {
        let polls = usize::from(round) % POLLS;
        let mut session = bench.existing(&R).await?;
        let told = dropped(session.put(A, Raw(&value(round)), &value(round)), polls).await;
        drop(session);
        let mut session = bench.existing(&R).await?;
        let read =
            load(&mut session, A).await.map_err(|error| format!("`load` after a dropped `put` failed: {error}"))?;
        let ledger = session.ledger();
        let is = |round| read == value(round) && ledger == value(round);
        let must = matches!(told, Some(Ok(())));
        hold!(
            is(round) || (!must && is(kept)),
            "after a `put` that was dropped after {polls} polls{}, the value is {} and the ledger {}; before it both \
             were {}, and {} was put",
            if must { ", when it had reported success" } else { "" },
            bytes(&read),
            bytes(ledger),
            bytes(&value(kept)),
            bytes(&value(round))
        );
        if is(round) {
            kept = round;
        }
        // It has happened by now or it never does.
        drop(session);
        sees(&mut bench.existing(&R).await?, A, &value(kept)).await?;
    }
    Ok(())
}

pub(super) async fn put_failed<S: Store>(bench: &Bench<'_, S>) -> Held {
    bench.kept(&R, &[(A, b"old")], b"spent 3").await?;
    for slot in [A, B] {
        let told = ended(bench.existing(&R).await?.put(slot, Faithless, b"spent 4")).await;
        let refused = kind_is(&told, StoreErrorKind::Unserialisable);
        hold!(refused, "{}", said("`put` of a value that cannot be encoded", told, "`Unserialisable`"));
        let mut session = bench.existing(&R).await?;
        sees(&mut session, A, b"old").await.map_err(|did| format!("after a `put` that failed {did}"))?;
        hold!(!session.holds(B), "a `put` that failed left its slot behind");
        drop(session);
        finds(bench, b"spent 3", "a `put` that failed").await?;
    }
    Ok(())
}

pub(super) async fn discard<S: Store>(bench: &Bench<'_, S>) -> Held {
    let slots = [(Slot::INPUT, &b"in"[..]), (A, b"1"), (B, b"2"), (C, b"3")];
    for doomed in 0..8_u8 {
        bench.kept(&R, &slots, b"spent 3").await?;
        let goes = |slot: Slot<'_>| [A, B, C].iter().zip([1, 2, 4]).any(|(one, bit)| *one == slot && doomed & bit != 0);
        let mut session = bench.existing(&R).await?;
        for _ in 0..2 {
            ended(session.discard(goes)).await.map_err(|error| format!("`discard` failed: {error}"))?;
        }
        for _ in 0..2 {
            for (slot, value) in slots {
                if goes(slot) {
                    hold!(!session.holds(slot), "{} is there after it was discarded", name(slot));
                } else {
                    sees(&mut session, slot, value).await?;
                }
            }
            drop(session);
            session = bench.existing(&R).await?;
        }
        drop(session);
        finds(bench, b"spent 3", "`discard`").await?;
    }
    Ok(())
}

pub(super) async fn discard_dropped<S: Store>(bench: &Bench<'_, S>) -> Held {
    let slots = [(Slot::INPUT, &b"in"[..]), (A, b"1"), (B, b"2"), (C, b"3")];
    for polls in (0..POLLS).chain(0..POLLS) {
        bench.kept(&R, &slots, b"").await?;
        let mut session = bench.existing(&R).await?;
        let told = dropped(session.discard(|slot| slot != Slot::INPUT), polls).await;
        drop(session);
        let mut session = bench.existing(&R).await?;
        let left = [A, B, C].into_iter().filter(|slot| session.holds(*slot)).count();
        hold!(
            left == 0 || (left == 3 && !matches!(told, Some(Ok(())))),
            "of 3 slots that were to be discarded {left} are left, after {polls} polls of the `discard`"
        );
        sees(&mut session, Slot::INPUT, b"in").await?;
    }
    Ok(())
}

pub(super) async fn agrees<S: Store>(bench: &Bench<'_, S>) -> Held {
    const NAMES: [&str; 5] = ["", "a", "b", "ab", "c"];
    let room = bench.slots(40);
    let mut random = Random::new(1);
    let mut model = BTreeMap::<(&str, u32, SlotKind), Vec<u8>>::new();
    let mut session = bench.create(&R).await?;
    for step in 0..240_u32 {
        let at = random.below(5);
        let node = NAMES.get(at).copied().unwrap_or_default();
        let kind = if random.below(3) == 0 { SlotKind::Signal } else { SlotKind::Output };
        let slot = Slot { node, index: at as u16, instance: random.below(4) as u32, kind };
        let key = (node, slot.instance, kind);
        match random.below(8) {
            0..4 if model.len() < room || model.contains_key(&key) => {
                let value = step.to_le_bytes().repeat(random.below(4));
                put(&mut session, slot, &value, b"").await?;
                model.insert(key, value);
            }
            4 => {
                let instance = random.below(4) as u32;
                ended(session.discard(|slot| slot.node == node && slot.instance >= instance))
                    .await
                    .map_err(|error| format!("`discard` failed: {error}"))?;
                model.retain(|key, _| key.0 != node || key.1 < instance);
            }
            5 => {
                drop(session);
                session = bench.create(&R).await?;
            }
            _ => match model.get(&key) {
                Some(value) => sees(&mut session, slot, value).await?,
                None => hold!(!session.holds(slot), "`holds` tells of {}, which is not there", name(slot)),
            },
        }
        hold!(session.is_new() == model.is_empty(), "`is_new` is {} with {} slots", session.is_new(), model.len());
        let mut seen = BTreeSet::new();
        let mut twice = None;
        session.each_slot(|slot| {
            if !seen.insert((slot.node.to_string(), slot.instance, slot.kind)) {
                twice = Some(name(slot));
            }
        });
        hold!(twice.is_none(), "`each_slot` tells twice of {}", twice.unwrap_or_default());
        let there = model.keys().map(|(node, instance, kind)| (node.to_string(), *instance, *kind));
        hold!(seen.iter().cloned().eq(there), "`each_slot` tells of {seen:?}, and there are {:?}", model.keys());
        let outputs = model.keys().filter(|key| key.1 == 0 && key.2 == SlotKind::Output).count();
        hold!(session.outputs() == outputs, "`outputs` is {}, and there are {outputs}", session.outputs());
    }
    Ok(())
}

pub(super) async fn sizes<S: Store>(bench: &Bench<'_, S>) -> Held {
    let max = bench.limits.slot_max.unwrap_or(1 << 20);
    let value = |len: usize| (0..len).map(|at| (at % 251) as u8).collect::<Vec<_>>();
    for len in [0, 1, 15, 16, 255, 256, 4_095, 4_096, 65_535, 65_536, max].into_iter().filter(|len| *len <= max) {
        put(&mut bench.create(&R).await?, A, &value(len), b"").await?;
        sees(&mut bench.existing(&R).await?, A, &value(len)).await?;
    }
    if bench.limits.slot_max.is_none() {
        return Ok(());
    }
    bench.kept(&R, &[(A, b"old")], b"spent 3").await?;
    // The ledger beside it may take of the room.
    let mut room = max;
    // At first more than there ever is room for, and then more than it was said that there is.
    for slot in [A, B, A, B] {
        let len = room + 1;
        let told = ended(bench.existing(&R).await?.put(slot, Raw(&value(len)), b"spent 4")).await;
        room = match told.as_ref().map_err(StoreError::kind) {
            Err(StoreErrorKind::TooLarge { len: asked, max }) if asked == len && max <= room => max,
            _ => {
                let expected = StoreErrorKind::TooLarge { len, max: room };
                return Err(said(&format!("`put` of {len} bytes"), told, &format!("{expected:?}")));
            }
        };
        let mut session = bench.existing(&R).await?;
        sees(&mut session, A, b"old").await.map_err(|did| format!("after a `put` that was `TooLarge` {did}"))?;
        hold!(!session.holds(B), "a `put` that was `TooLarge` left its slot behind");
        drop(session);
        finds(bench, b"spent 3", "a `put` that was `TooLarge`").await?;
    }
    put(&mut bench.existing(&R).await?, A, &value(room), b"spent 4")
        .await
        .map_err(|did| format!("{did}; it was said that there is room for {room}"))?;
    sees(&mut bench.existing(&R).await?, A, &value(room)).await?;
    finds(bench, b"spent 4", "a `put` as long as may be").await
}

pub(super) async fn slots<S: Store>(bench: &Bench<'_, S>) -> Held {
    let room = bench.store.slots_per_run();
    let wanted = room.unwrap_or(300);
    let slot = |at: usize| Slot { instance: at as u32, ..A };
    let mut session = bench.create(&R).await?;
    for at in 0..wanted {
        put(&mut session, slot(at), &at.to_le_bytes(), b"").await?;
    }
    if let Some(room) = room {
        let told = ended(session.put(slot(room), Raw(b"more"), b"")).await;
        let full = matches!(&told, Err(error) if matches!(error.kind(), StoreErrorKind::Full { of: "slots", .. }));
        hold!(full, "{}", said(&format!("`put` into slot {} of {room}", room + 1), told, "`Full` of slots"));
        put(&mut session, slot(0), &0_usize.to_le_bytes(), b"").await?;
    }
    drop(session);
    let mut session = bench.create(&R).await?;
    for at in 0..wanted {
        sees(&mut session, slot(at), &at.to_le_bytes()).await?;
    }
    Ok(())
}
