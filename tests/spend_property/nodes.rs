//! What nodes do, added up by themselves.

use super::*;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Op {
    /// Lets go of the task once.
    Yield,
    /// Waits so many milliseconds.
    Sleep(u8),
    /// Sets aside so many tokens, in and out, of the priced model.
    Reserve(u8, u8),
    /// The same, and waits until it is stored.
    Ahead(u8, u8),
    /// Settles what was reserved last, at so many tokens more or less.
    Settle(i8),
    /// Drops what was reserved last.
    Drop,
    /// Books so many tokens; of a model with a price or without one.
    Record(u8, bool),
    /// Fails; what is still held is dropped.
    Fail(FailureClass),
}

#[derive(Debug)]
pub(crate) struct Fail(pub(crate) FailureClass);

impl Failure for Fail {
    fn class(&self) -> FailureClass {
        self.0
    }
}

/// Tokens, picodollars, tokens without a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sum {
    pub(crate) tokens: u64,
    pub(crate) cost: u64,
    pub(crate) unpriced: u64,
}

impl Sum {
    pub(crate) fn add(&mut self, other: Self) {
        *self = Self {
            tokens: self.tokens + other.tokens,
            cost: self.cost + other.cost,
            unpriced: self.unpriced + other.unpriced,
        };
    }

    pub(crate) fn sub(&mut self, other: Self) {
        *self = Self {
            tokens: self.tokens - other.tokens,
            cost: self.cost - other.cost,
            unpriced: self.unpriced - other.unpriced,
        };
    }

    pub(crate) fn plus(mut self, other: Self) -> Self {
        self.add(other);
        self
    }

    pub(crate) fn of(amount: Amount) -> Self {
        Self { tokens: amount.tokens, cost: amount.cost.as_picodollars(), unpriced: 0 }
    }
}

impl From<Spent> for Sum {
    fn from(spent: Spent) -> Self {
        Self { tokens: spent.tokens, cost: spent.cost.as_picodollars(), unpriced: spent.unpriced_tokens }
    }
}

/// What nodes did, added up by themselves.
#[derive(Debug, Clone, Default)]
pub(crate) struct World(pub(crate) Rc<RefCell<Inside>>);

#[derive(Debug, Default)]
pub(crate) struct Inside {
    pub(crate) clock: ManualClock,
    /// What each node does, call by call; after the last it just yields.
    pub(crate) calls: Vec<Vec<Vec<Op>>>,
    pub(crate) called: Vec<usize>,
    /// How long operations of the store take in polls, over and over.
    pub(crate) paces: Vec<u8>,
    pub(crate) operations: usize,
    /// What was booked, and is set aside, since this process began.
    pub(crate) booked: Sum,
    pub(crate) held: Sum,
    /// What of it is to be in the store as if it were booked.
    pub(crate) ahead: Sum,
    /// What observers were told of.
    pub(crate) told: Sum,
    pub(crate) admitted: u32,
    pub(crate) refused: u32,
    pub(crate) limit: Option<u64>,
    /// What the store has, and when the process that goes on from it began.
    pub(crate) committed: (Sum, Duration),
    pub(crate) base: (Sum, Duration),
    pub(crate) began: Duration,
    /// In which order ledgers were handed to the store, and the last that it has.
    pub(crate) asked: u64,
    pub(crate) written: u64,
}

impl World {
    pub(crate) fn total(&self) -> (Sum, Duration) {
        let inside = self.0.borrow();
        let time = inside.base.1 + (inside.clock.now() - inside.began);
        (inside.base.0.plus(inside.booked), time)
    }

    /// What a ledger that is stored now stands for.
    pub(crate) fn stored(&self) -> (Sum, Duration) {
        let (total, time) = self.total();
        (total.plus(self.0.borrow().ahead), time)
    }

    pub(crate) fn book(&self, spent: Sum) {
        self.0.borrow_mut().booked.add(spent);
    }

    /// That what is booked and set aside never crosses the limit, where all that is spent is reserved.
    pub(crate) fn hold(&self, amount: Sum) {
        let mut inside = self.0.borrow_mut();
        inside.held.add(amount);
        inside.admitted += 1;
        if let Some(limit) = inside.limit {
            assert!(inside.booked.tokens + inside.held.tokens <= limit, "{inside:?}");
        }
    }

    pub(crate) fn pace(&self) -> u8 {
        let mut inside = self.0.borrow_mut();
        inside.operations += 1;
        let at = inside.operations.checked_rem(inside.paces.len());
        at.map_or(0, |at| inside.paces[at])
    }
}

impl<In, Out, Er> Hooks<In, Out, Er> for World {
    fn on_success(&self, _: Attempt<'_>, succeeded: Succeeded<'_, Out>) {
        self.0.borrow_mut().told.add(succeeded.spent.into());
    }

    fn on_failure(&self, _: Attempt<'_>, failed: Failed<'_, Er>) {
        self.0.borrow_mut().told.add(failed.spent.into());
    }

    fn on_cut_short(&self, _: Attempt<'_>, spent: Spent) {
        self.0.borrow_mut().told.add(spent.into());
    }
}

/// Either kind of a reservation.
pub(crate) enum Guard<'a> {
    Plain(Reservation<'a>),
    Ahead(AheadReservation<'a>),
}

/// A reservation that the world knows of.
pub(crate) struct Held<'a> {
    pub(crate) guard: Option<Guard<'a>>,
    pub(crate) amount: Sum,
    pub(crate) world: World,
}

impl<'a> Held<'a> {
    pub(crate) fn new(guard: Guard<'a>, world: &World) -> Self {
        let amount = match &guard {
            Guard::Plain(guard) => guard.amount(),
            Guard::Ahead(guard) => guard.amount(),
        };
        let amount = Sum::of(amount);
        world.hold(amount);
        Self { guard: Some(guard), amount, world: world.clone() }
    }

    pub(crate) fn take(&mut self) -> Option<Guard<'a>> {
        let guard = self.guard.take()?;
        let mut inside = self.world.0.borrow_mut();
        inside.held.sub(self.amount);
        if let Guard::Ahead(_) = guard {
            inside.ahead.sub(self.amount);
        }
        Some(guard)
    }

    pub(crate) fn settle(mut self, by: i8) {
        let Some(guard) = self.take() else { return };
        let out = self.amount.tokens.saturating_add_signed(by.into());
        let used = Usage::of("m").output(out);
        let cost = match guard {
            Guard::Plain(guard) => guard.settle(used),
            Guard::Ahead(guard) => guard.settle(used),
        };
        assert_eq!(cost.unwrap().as_picodollars(), 2 * out);
        self.world.book(Sum { tokens: out, cost: 2 * out, unpriced: 0 });
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(guard) = self.take() {
            drop(guard);
            self.world.book(self.amount);
        }
    }
}

/// What is being stored before its call, until it is or is not.
pub(crate) struct Asking(pub(crate) World, pub(crate) Sum);

impl Asking {
    pub(crate) fn new(world: &World, input: u8, output: u8) -> Self {
        let (input, output) = (u64::from(input), u64::from(output));
        let amount = Sum { tokens: input + output, cost: input + 2 * output, unpriced: 0 };
        world.0.borrow_mut().ahead.add(amount);
        Self(world.clone(), amount)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.0.borrow_mut().ahead.sub(self.1);
    }
}

pub(crate) fn usage(input: u8, output: u8) -> Usage<'static> {
    Usage::of("m").input(input.into()).output(output.into())
}

pub(crate) async fn work(x: u64, cx: NodeCx<'_, World>) -> Result<u64, Fail> {
    let world = cx.context();
    let (ops, clock) = {
        let mut inside = world.0.borrow_mut();
        let node: usize = cx.node().trim_start_matches('n').parse().unwrap();
        let call = inside.called[node];
        inside.called[node] += 1;
        (inside.calls[node].get(call).cloned().unwrap_or_default(), inside.clock.clone())
    };
    let mut held: Vec<Held<'_>> = Vec::new();
    for op in ops {
        match op {
            Op::Yield => yield_once().await,
            Op::Sleep(time) => clock.sleep(ms(time.into())).await,
            Op::Reserve(input, output) => match cx.reserve(usage(input, output)) {
                Ok(guard) => held.push(Held::new(Guard::Plain(guard), world)),
                Err(_) => world.0.borrow_mut().refused += 1,
            },
            Op::Ahead(input, output) => {
                let asking = Asking::new(world, input, output);
                match cx.reserve_ahead(usage(input, output)).await {
                    Ok(guard) => {
                        // It goes on to be of the guard.
                        world.0.borrow_mut().ahead.add(asking.1);
                        held.push(Held::new(Guard::Ahead(guard), world));
                    }
                    Err(SpendError::Exceeded(_)) => world.0.borrow_mut().refused += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            Op::Settle(by) => held.pop().into_iter().for_each(|held| held.settle(by)),
            Op::Drop => drop(held.pop()),
            Op::Record(tokens, priced) => {
                let tokens = u64::from(tokens);
                cx.record(Usage::of(if priced { "m" } else { "?" }).input(tokens)).unwrap();
                let (cost, unpriced) = if priced { (tokens, 0) } else { (0, tokens) };
                world.book(Sum { tokens, cost, unpriced });
            }
            Op::Fail(class) => return Err(Fail(class)),
        }
    }
    Ok(x + 1)
}
