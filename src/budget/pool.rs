//! Ledgers for all runs that a runner has at once.
//!
//! Nodes borrow the ledger of their run while they wait, so it cannot lie in the run itself. It is lent by the runner, which
//! takes it back when the run is dropped, for the next one.

#[cfg(feature = "alloc")]
use alloc::boxed::Box;
use core::{
    fmt,
    sync::atomic::{AtomicU32, Ordering},
};

use spin::mutex::SpinMutex;

use super::{
    ledger::Ledger,
    limit::{Budget, LEDGERS},
};

/// How often the room can double: to more ledgers than there can be numbers for.
#[cfg(feature = "alloc")]
const DOUBLINGS: usize = 28;

/// No seat.
const NONE: u32 = u32::MAX;

/// A ledger and the number of the next one that is free.
struct Seat {
    ledger: Ledger,
    next: AtomicU32,
}

impl Seat {
    const fn new() -> Self {
        Self { ledger: Ledger::new(&Budget::unlimited()), next: AtomicU32::new(NONE) }
    }
}

/// Ledgers, lent to one run each.
pub struct Ledgers {
    free: SpinMutex<Free>,
    first: [Seat; LEDGERS],
    /// Each twice as long as the one before, the first as long as what is here without a heap.
    #[cfg(feature = "alloc")]
    more: [spin::Once<Box<[Seat]>>; DOUBLINGS],
}

struct Free {
    /// The one that was given back last.
    head: u32,
    /// How many were lent at least once; those from there on are free, too.
    used: u32,
}

impl Default for Ledgers {
    fn default() -> Self {
        Self {
            free: SpinMutex::new(Free { head: NONE, used: 0 }),
            first: [const { Seat::new() }; LEDGERS],
            #[cfg(feature = "alloc")]
            more: [const { spin::Once::new() }; DOUBLINGS],
        }
    }
}

impl fmt::Debug for Ledgers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledgers").finish_non_exhaustive()
    }
}

impl Ledgers {
    /// Lends a blank ledger, or none where there is no room for another.
    #[inline]
    pub(crate) fn lend(&self, budget: &Budget) -> Option<Lent<'_>> {
        let mut free = self.free.lock();
        let number = match free.head {
            NONE => {
                let number = free.used;
                free.used = number.checked_add(1)?;
                number
            }
            number => {
                free.head = self.seat(number)?.next.load(Ordering::Relaxed);
                number
            }
        };
        drop(free);
        let Some(seat) = self.made(number) else {
            // There was no room: the number is not lent.
            let mut free = self.free.lock();
            free.used = free.used.min(number);
            return None;
        };
        seat.ledger.clear(budget);
        Some(Lent { ledgers: self, seat, number })
    }

    /// A seat that there is.
    #[inline]
    fn seat(&self, number: u32) -> Option<&Seat> {
        let number = number as usize;
        match self.first.get(number) {
            Some(seat) => Some(seat),
            None => self.further(number - LEDGERS),
        }
    }

    /// A seat, made where there is none yet and there can be.
    #[inline]
    fn made(&self, number: u32) -> Option<&Seat> {
        match self.first.get(number as usize) {
            Some(seat) => Some(seat),
            None => self.make(number as usize - LEDGERS),
        }
    }

    /// In which of the further rows it is, and where there.
    #[cfg(feature = "alloc")]
    fn row(number: usize) -> (usize, usize) {
        let row = (number / LEDGERS + 1).ilog2() as usize;
        (row, number - LEDGERS * ((1 << row) - 1))
    }

    #[cfg(feature = "alloc")]
    fn further(&self, number: usize) -> Option<&Seat> {
        let (row, at) = Self::row(number);
        self.more.get(row)?.get()?.get(at)
    }

    #[cfg(not(feature = "alloc"))]
    fn further(&self, _: usize) -> Option<&Seat> {
        None
    }

    #[cfg(feature = "alloc")]
    #[cold]
    fn make(&self, number: usize) -> Option<&Seat> {
        let (row, at) = Self::row(number);
        self.more.get(row)?.call_once(|| (0..LEDGERS << row).map(|_| Seat::new()).collect()).get(at)
    }

    #[cfg(not(feature = "alloc"))]
    fn make(&self, _: usize) -> Option<&Seat> {
        None
    }
}

/// A ledger that is lent to a run; dropping it gives it back.
pub(crate) struct Lent<'a> {
    ledgers: &'a Ledgers,
    seat: &'a Seat,
    number: u32,
}

impl<'a> Lent<'a> {
    #[inline(always)]
    pub(crate) const fn ledger(&self) -> &'a Ledger {
        &self.seat.ledger
    }
}

impl fmt::Debug for Lent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.seat.ledger.fmt(f)
    }
}

impl Drop for Lent<'_> {
    #[inline]
    fn drop(&mut self) {
        let mut free = self.ledgers.free.lock();
        self.seat.next.store(free.head, Ordering::Relaxed);
        free.head = self.number;
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{collections::BTreeSet, vec::Vec};

    use super::*;

    /// The address of a ledger, which tells it from the others.
    fn at(lent: &Lent<'_>) -> usize {
        core::ptr::from_ref(lent.ledger()).addr()
    }

    #[test]
    fn each_is_lent_to_one_at_a_time_and_used_again() {
        let ledgers = Ledgers::default();
        let budget = Budget::unlimited();
        let many = if cfg!(feature = "alloc") { 1_000 } else { LEDGERS };
        for _ in 0..3 {
            let lent: Vec<_> = (0..many).map(|_| ledgers.lend(&budget).unwrap()).collect();
            assert_eq!(lent.iter().map(at).collect::<BTreeSet<_>>().len(), many);
            assert_eq!(ledgers.free.lock().used as usize, many);
        }
        let first = at(&ledgers.lend(&budget).unwrap());
        assert_eq!(at(&ledgers.lend(&budget).unwrap()), first);
    }

    #[cfg(not(feature = "alloc"))]
    #[test]
    fn without_a_heap_there_are_so_many() {
        let ledgers = Ledgers::default();
        let mut lent: Vec<_> = (0..LEDGERS).map(|_| ledgers.lend(&Budget::unlimited()).unwrap()).collect();
        assert!(ledgers.lend(&Budget::unlimited()).is_none());
        lent.pop();
        assert!(ledgers.lend(&Budget::unlimited()).is_some());
    }

    #[cfg(feature = "std")]
    #[test]
    fn threads_never_share_one() {
        use std::sync::{
            Barrier,
            atomic::{AtomicUsize, Ordering::SeqCst},
        };
        let ledgers = Ledgers::default();
        let (barrier, most) = (Barrier::new(4), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let (ledgers, barrier, most) = (&ledgers, &barrier, &most);
                scope.spawn(move || {
                    barrier.wait();
                    for round in 0..500_u64 {
                        let lent: Vec<_> =
                            (0..round % 9 + 1).map(|_| ledgers.lend(&Budget::unlimited()).unwrap()).collect();
                        for one in &lent {
                            // Whoever else had it would be seen in the sum.
                            one.ledger().begin(core::time::Duration::from_nanos(thread));
                            assert_eq!(
                                one.ledger()
                                    .time(super::super::Scope::RUN, core::time::Duration::from_nanos(thread + 7))
                                    .as_nanos(),
                                7
                            );
                        }
                        most.fetch_max(lent.len(), SeqCst);
                    }
                });
            }
        });
        assert!(most.into_inner() <= 9);
        assert!(ledgers.free.lock().used <= 36);
    }
}
