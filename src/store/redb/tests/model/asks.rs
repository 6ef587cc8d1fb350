//! What sessions and stores are asked for, and what they may answer.

use core::time::Duration;
use std::{collections::BTreeSet, fs, sync::Arc, vec, vec::Vec};

use proptest::prelude::*;

use super::{
    super::{Raw, ended, kind, output},
    Outcome, World,
    expected::{Maybe, Run, set},
    steps::{Ask, NODES, RUNS},
};
use crate::{
    slot::Slot,
    store::{
        Access, Begun, Session, StoreError, StoreErrorKind,
        redb::{
            RedbSession,
            answer::{Answer, RedbReading, RedbWriting},
            patience::Wait,
            session::{Asked, Forget, Job, Open},
        },
    },
};

/// What was asked and is still to be answered.
enum Asking {
    Write(Ask, RedbWriting, Vec<(usize, u32)>, u64),
    Read(Ask, RedbReading, u64),
    Open(usize, bool, Answer<RedbSession>),
    Forget(usize, Answer<bool>),
    Release(usize, u64),
}

impl World {
    fn ask(&mut self, store: usize, ask: &Ask) -> Option<Asking> {
        self.hand(store);
        let jobs = self.stores[store].as_ref().unwrap().jobs.clone();
        // A session that has lost its run is asked too, also where its store has the run again.
        let token = ask.of_session().and_then(|run| Some(self.sessions.get(&(store, run))?.hold.token));

        Some(match ask {
            Ask::Put { run, node, instance, value } => {
                let bytes = vec![value.0; value.1];
                let slot = Slot { instance: *instance, ..output(NODES[*node]) };
                let Begun::Pending(writing) = self.sessions.get_mut(&(store, *run))?.put(slot, Raw(&bytes), &[value.0])
                else {
                    return None;
                };
                Asking::Write(ask.clone(), writing, vec![(*node, *instance)], token?)
            }
            Ask::Ledger { run, byte } => {
                let Begun::Pending(writing) = self.sessions.get_mut(&(store, *run))?.put_ledger(&[*byte]) else {
                    return None;
                };
                Asking::Write(ask.clone(), writing, Vec::new(), token?)
            }
            Ask::Discard { run, instance } => {
                let mut keys = Vec::new();
                let doomed = |slot: Slot<'_>| {
                    let goes = slot.instance == *instance;
                    if goes {
                        keys.push((NODES.iter().position(|node| *node == slot.node).unwrap(), slot.instance));
                    }
                    goes
                };
                let Begun::Pending(writing) = self.sessions.get_mut(&(store, *run))?.discard(doomed) else {
                    return None;
                };
                Asking::Write(ask.clone(), writing, keys, token?)
            }
            Ask::Load { run, node, instance } => {
                let slot = Slot { instance: *instance, ..output(NODES[*node]) };
                let Begun::Pending(reading) = self.sessions.get_mut(&(store, *run))?.load(slot, <[u8]>::to_vec) else {
                    return None;
                };
                Asking::Read(ask.clone(), reading, token?)
            }
            Ask::Release { run } => {
                drop(self.sessions.remove(&(store, *run))?);
                Asking::Release(*run, token?)
            }
            Ask::Open { run, create } => {
                let access = if *create { Access::Create } else { Access::Existing };
                let wait = Wait::new(Duration::ZERO);
                let (job, answer) = Asked::new(Open { run: Arc::from(RUNS[*run]), access, jobs: jobs.clone(), wait });
                jobs.send(Job::Open(job)).unwrap();
                Asking::Open(*run, *create, answer)
            }
            Ask::Forget { run } => {
                let wait = Wait::new(Duration::ZERO);
                let (job, answer) = Asked::new(Forget { run: Arc::from(RUNS[*run]), _jobs: jobs.clone(), wait });
                jobs.send(Job::Forget(job)).unwrap();
                Asking::Forget(*run, answer)
            }
        })
    }

    /// What happened to a run of this store's.
    fn wrote(&mut self, by: (usize, u64), ask: &Ask, keys: &[(usize, u32)], result: Option<StoreErrorKind>) -> Outcome {
        let (Ask::Put { run, .. } | Ask::Ledger { run, .. } | Ask::Discard { run, .. }) = ask else { return Ok(()) };
        let state = &mut self.runs[*run];
        let own = state.holder == Some(by);
        match result {
            None => prop_assert!(own, "written without the run"),
            Some(StoreErrorKind::Fenced) => prop_assert!(!own, "lost what nobody took"),
            other => prop_assert_eq!(other, Some(StoreErrorKind::Unavailable)),
        }
        if !own {
            return Ok(());
        }
        let certain = result.is_none();
        match ask {
            Ask::Put { value, .. } => {
                set(state.slot(keys[0].0, keys[0].1), Some(*value), certain);
                set(&mut state.ledger, Some((value.0, 1)), certain);
            }
            Ask::Ledger { byte, .. } => set(&mut state.ledger, Some((*byte, 1)), certain),
            _ => {
                for (node, instance) in keys {
                    set(state.slot(*node, *instance), None, certain);
                }
            }
        }
        Ok(())
    }

    pub(super) fn batch(&mut self, store: usize, asks: &[Ask], fails: bool) -> Outcome {
        // By whom others are first seen as it is opened, in a time that is not ours.
        self.hand(store);
        self.beat();
        let asked: Vec<Asking> = asks.iter().filter_map(|ask| self.ask(store, ask)).collect();
        let away = self.path.with_extension("away");
        if fails {
            self.hand(store).driver.database = None;
            fs::rename(&self.path, &away).unwrap();
        }
        self.serve(store);
        if fails {
            fs::rename(&away, &self.path).unwrap();
        }
        // Reads may come after writes that were asked for later, but not before those that were asked for earlier.
        let mut reads = Vec::new();
        let mut failed = BTreeSet::new();
        for asking in asked {
            match asking {
                Asking::Write(ask, writing, keys, token) => {
                    let result = kind(ended(Begun::Pending(writing)));
                    if let (Some(_), Ask::Put { run, .. } | Ask::Ledger { run, .. } | Ask::Discard { run, .. }) =
                        (result, &ask)
                    {
                        failed.insert((*run, token));
                    }
                    let before: Vec<_> =
                        reads.iter().map(|(_, run, key, _): &(_, usize, (usize, u32), Maybe)| (*run, *key)).collect();
                    self.wrote((store, token), &ask, &keys, result)?;
                    for ((_, _, _, allowed), (run, key)) in reads.iter_mut().zip(before) {
                        allowed.extend(self.runs[run].slot(key.0, key.1).clone());
                    }
                }
                Asking::Read(ask, reading, token) => {
                    let Ask::Load { run, node, instance } = ask else { continue };
                    let allowed = self.runs[run].slot(node, instance).clone();
                    reads.push((
                        (reading, self.runs[run].holder == Some((store, token))),
                        run,
                        (node, instance),
                        allowed,
                    ));
                }
                Asking::Open(run, create, answer) => {
                    let state = &self.runs[run];
                    let result = ended(Begun::Pending(poll(answer)));
                    match result {
                        Ok(session) => {
                            prop_assert!(state.holder.is_none(), "{} is somebody's", RUNS[run]);
                            prop_assert!(create || !state.is_surely_empty());
                            self.opened(store, run, session)?;
                        }
                        Err(error) => match error.kind() {
                            StoreErrorKind::Busy { .. } => prop_assert!(
                                state.holder.is_some() || self.sessions.contains_key(&(store, run)),
                                "{} is nobody's",
                                RUNS[run]
                            ),
                            StoreErrorKind::UnknownRun => {
                                prop_assert!(!create && state.holder.is_none() && !state.surely_has_something());
                                self.runs[run] = Run::default();
                            }
                            other => prop_assert!(false, "{other:?}"),
                        },
                    }
                }
                Asking::Forget(run, answer) => {
                    let state = &self.runs[run];
                    match ended(Begun::Pending(poll(answer))) {
                        Ok(there) => {
                            prop_assert!(state.holder.is_none());
                            let wrong = if there { state.is_surely_empty() } else { state.surely_has_something() };
                            prop_assert!(!wrong, "{there}");
                            self.runs[run] = Run::default();
                        }
                        Err(error) => {
                            prop_assert!(matches!(error.kind(), StoreErrorKind::Busy { .. }), "{error:?}");
                            prop_assert!(state.holder.is_some() || self.sessions.contains_key(&(store, run)));
                        }
                    }
                }
                Asking::Release(run, token) => self.released((store, token), run),
            }
        }
        for ((reading, own), run, (node, instance), allowed) in reads {
            match ended(Begun::Pending(reading)) {
                Ok(bytes) => {
                    prop_assert!(own);
                    let found = Some((bytes.first().copied().unwrap_or_default(), bytes.len()));
                    prop_assert!(allowed.contains(&found), "{found:?} is not {allowed:?}");
                }
                Err(error) => match error.kind() {
                    StoreErrorKind::Fenced => prop_assert!(!own, "{} {} {} was lost", RUNS[run], node, instance),
                    StoreErrorKind::Missing => prop_assert!(allowed.contains(&None)),
                    other => prop_assert!(fails && other == StoreErrorKind::Unavailable, "{other:?}"),
                },
            }
        }
        // A write that fails ends the run.
        for (run, token) in failed {
            if self.sessions.get(&(store, run)).is_some_and(|session| session.hold.token == token) {
                self.sessions.remove(&(store, run));
                self.serve(store);
                self.released((store, token), run);
            }
        }
        Ok(())
    }
}

fn poll<T>(mut answer: Answer<T>) -> impl Future<Output = Result<T, StoreError>> {
    core::future::poll_fn(move |task| answer.poll(task))
}
