//! Reservations that are stored before their call goes out.

use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use super::{amount::Amount, ledger::AheadAsked, limit::SpendError, spend::Reservation, usage::Usage, usd::Usd};

/// A [`Reservation`] that the store counts as spent until it is settled: a crash in the middle of the call does not forget it.
///
/// Dropped without a settlement it books all of the reservation, as that one does.
#[derive(Debug)]
#[must_use = "a reservation that is dropped books all that it set aside: keep it until the call is over, then `settle` it"]
pub struct AheadReservation<'a> {
    held: Held<'a>,
}

impl AheadReservation<'_> {
    /// What is set aside.
    pub fn amount(&self) -> Amount {
        self.held.reservation.as_ref().map_or(Amount::ZERO, Reservation::amount)
    }

    /// Books what the call used in place of the reservation, as [`Reservation::settle`] does. The store hears of it with the
    /// next checkpoint.
    ///
    /// # Errors
    /// As [`Reservation::settle`].
    pub fn settle(mut self, used: Usage<'_>) -> Result<Usd, SpendError> {
        match self.held.take() {
            Some(reservation) => reservation.settle(used),
            // It is there until it is settled.
            None => Ok(Usd::ZERO),
        }
    }
}

/// A reservation, and whether the ledger counts it among those that are stored.
#[derive(Debug)]
struct Held<'a> {
    reservation: Option<Reservation<'a>>,
    counted: bool,
}

impl<'a> Held<'a> {
    fn take(&mut self) -> Option<Reservation<'a>> {
        let reservation = self.reservation.take()?;
        if self.counted {
            reservation.take_back();
        }
        Some(reservation)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

/// Waits until a reservation is stored. Dropped before that it takes the reservation back: there was no call yet.
#[derive(Debug)]
pub(crate) struct Writing<'a> {
    held: Held<'a>,
    since: u32,
}

impl<'a> Writing<'a> {
    pub(crate) const fn new(reservation: Reservation<'a>) -> Self {
        Self { held: Held { reservation: Some(reservation), counted: false }, since: 0 }
    }

    /// Lets go of the reservation.
    fn release(&mut self) {
        if let Some(reservation) = self.held.take() {
            reservation.release();
        }
    }

    fn ready(&mut self) -> Poll<Result<AheadReservation<'a>, SpendError>> {
        let held = Held { reservation: self.held.reservation.take(), counted: self.held.counted };
        Poll::Ready(Ok(AheadReservation { held }))
    }
}

impl<'a> Future for Writing<'a> {
    type Output = Result<AheadReservation<'a>, SpendError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(reservation) = &self.held.reservation else { return Poll::Pending };
        if self.held.counted {
            if reservation.is_written(self.since) {
                return self.ready();
            }
        } else {
            match reservation.ask_ahead() {
                AheadAsked::AtOnce => return self.ready(),
                AheadAsked::Refused => {
                    self.release();
                    return Poll::Ready(Err(SpendError::NotAhead));
                }
                AheadAsked::Wait { written } => {
                    self.since = written;
                    self.held.counted = true;
                }
            }
        }
        // The node is polled again when it is stored; a future around this one that polls only what was woken has to know.
        task.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.release();
    }
}
