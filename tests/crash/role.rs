//! What the child does.

use super::*;

/// What the child's nodes and its store share.
#[derive(Clone)]
pub(crate) struct Role {
    pub(crate) effects: Arc<File>,
    pub(crate) stops: Arc<BTreeSet<String>>,
    pub(crate) released: watch::Receiver<bool>,
}

impl Role {
    /// Stops here for good, or until it is told to go on, if this is where to stop.
    pub(crate) async fn reach(&self, node: &str, point: Point) {
        let stop = format!("{node}:{}", point.name());
        if self.stops.contains(&stop) {
            say(&format!("at {stop}"));
            let mut released = self.released.clone();
            if released.wait_for(|released| *released).await.is_err() {
                pending::<()>().await;
            }
        }
    }
}

#[derive(Debug)]
pub(crate) struct NoFailure;

impl Failure for NoFailure {}

impl From<SpendError> for NoFailure {
    fn from(_: SpendError) -> Self {
        Self
    }
}

pub(crate) async fn work(x: u64, cx: NodeCx<'_, Role>) -> Result<u64, NoFailure> {
    let role = cx.context();
    role.reach(cx.node(), Before).await;
    let cost = Usage::tokens(cost(cx.node()));
    // The last one is too dear to be forgotten.
    let reserved = if cx.node() == "end" { Some(cx.reserve_ahead(cost).await?) } else { None };
    (&*role.effects).write_all(format!("{}\n", cx.node()).as_bytes()).unwrap();
    if reserved.is_none() {
        cx.record(cost)?;
    }
    role.reach(cx.node(), Effect).await;
    if let Some(reserved) = reserved {
        reserved.settle(cost)?;
    }
    Ok(yielded_by(cx.node(), x))
}

/// The tokens that a node spends: a decimal digit for each counts how often it was paid for.
pub(crate) fn cost(node: &str) -> u64 {
    NODES.iter().zip(0..).find(|(id, _)| **id == node).map_or(0, |(_, at)| 10_u64.pow(at))
}

/// Each node once.
pub(crate) const ONCE: u64 = 111_111;

pub(crate) fn yielded_by(node: &str, x: u64) -> u64 {
    node.bytes().fold(x, |x, byte| x.wrapping_mul(31).wrapping_add(u64::from(byte)))
}

pub(crate) fn joined((left, right): (u64, u64)) -> u64 {
    left ^ right.rotate_left(1)
}

/// What the pipeline yields.
pub(crate) fn result() -> u64 {
    let start = yielded_by("start", INPUT);
    let left = yielded_by("left2", yielded_by("left1", start));
    yielded_by("end", yielded_by("mid", joined((left, yielded_by("right", start)))))
}

pub(crate) type Env = stroma::parts::Caps<
    Durable<Watched>,
    stroma::parts::NoRetry,
    stroma::NoClock,
    Role,
    stroma::ByFailure,
    stroma::NoTrace,
    Full,
    stroma::NoTrace,
    stroma::parts::Metering,
>;

pub(crate) fn pipeline() -> Sealed<impl Exec<Env, In = u64, Out = u64, Error = NoFailure>> {
    let left = node_with("left1", work).then(node_with("left2", work));
    node_with("start", work)
        .then(par(left, node_with("right", work)))
        .map(joined)
        .then(node_with("mid", work).skip_checkpoint())
        .then(node_with("end", work).write_ahead())
        .seal()
}

/// A [`RedbStore`] that says what it has saved, and that stops where it is told to.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) inner: RedbStore,
    pub(crate) role: Role,
}

impl core::fmt::Debug for Role {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Role").field("stops", &self.stops).finish_non_exhaustive()
    }
}

pub(crate) struct WatchedSession {
    pub(crate) inner: RedbSession,
    pub(crate) role: Role,
}

pub(crate) type Work<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + 'a>>;

impl Store for Watched {
    type Session<'a> = WatchedSession;
    type Opening<'a> = Work<'a, WatchedSession>;
    type Forgetting<'a> = stroma::store::RedbForgetting;

    fn open<'a>(&'a self, run: &RunId, access: Access) -> Begun<Result<WatchedSession, StoreError>, Self::Opening<'a>> {
        let role = self.role.clone();
        match self.inner.open(run, access) {
            Begun::Done(opened) => Begun::Done(opened.map(|inner| WatchedSession { inner, role })),
            Begun::Pending(opening) => {
                Begun::Pending(Box::pin(async { Ok(WatchedSession { inner: opening.await?, role }) }))
            }
        }
    }

    fn forget<'a>(&'a self, run: &RunId) -> Begun<Result<bool, StoreError>, Self::Forgetting<'a>> {
        self.inner.forget(run)
    }
}

impl Session for WatchedSession {
    type Writing = Work<'static, ()>;
    type Reading = stroma::store::RedbReading;
    type Bytes = Vec<u8>;

    fn is_new(&self) -> bool {
        self.inner.is_new()
    }

    fn holds(&self, slot: Slot<'_>) -> bool {
        self.inner.holds(slot)
    }

    fn each_slot(&self, visit: impl FnMut(Slot<'_>)) {
        self.inner.each_slot(visit);
    }

    fn put(
        &mut self,
        slot: Slot<'static>,
        value: impl Encode,
        ledger: &[u8],
    ) -> Begun<Result<(), StoreError>, Self::Writing> {
        let node = if slot.node.is_empty() { "input" } else { slot.node };
        let role = self.role.clone();
        if role.stops.contains(&stop_name((node, Unsaved))) {
            return Begun::Pending(Box::pin(async move {
                role.reach(node, Unsaved).await;
                pending().await
            }));
        }
        let writing = match self.inner.put(slot, value, ledger) {
            Begun::Done(result) => return Begun::Done(result),
            Begun::Pending(writing) => writing,
        };
        Begun::Pending(Box::pin(async move {
            role.reach(node, Writing).await;
            writing.await?;
            say(&format!("saved {node}"));
            role.reach(node, Saved).await;
            Ok(())
        }))
    }

    fn load<R>(
        &mut self,
        slot: Slot<'_>,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Begun<Result<R, StoreError>, Self::Reading> {
        self.inner.load(slot, read)
    }

    fn put_ledger(&mut self, ledger: &[u8]) -> Begun<Result<(), StoreError>, Self::Writing> {
        match self.inner.put_ledger(ledger) {
            Begun::Done(result) => Begun::Done(result),
            Begun::Pending(writing) => Begun::Pending(Box::pin(writing)),
        }
    }

    fn ledger(&self) -> &[u8] {
        self.inner.ledger()
    }

    fn discard(&mut self, doomed: impl FnMut(Slot<'_>) -> bool) -> Begun<Result<(), StoreError>, Self::Writing> {
        match self.inner.discard(doomed) {
            Begun::Done(result) => Begun::Done(result),
            Begun::Pending(writing) => Begun::Pending(Box::pin(writing)),
        }
    }
}

/// What a child does; in a test that is none it has nothing to do.
pub(crate) fn be_the_child() {
    let Ok(file) = env::var("STROMA_CRASH_FILE") else { return };
    let var = |name| env::var(name).unwrap();
    let effects = OpenOptions::new().create(true).append(true).open(var("STROMA_CRASH_EFFECTS")).unwrap();
    let stops = var("STROMA_CRASH_STOPS").split(',').map(str::to_owned).collect();
    let Orders { released, mut commands } = orders();
    let role = Role { effects: Arc::new(effects), stops: Arc::new(stops), released };
    let store = Watched { inner: RedbStore::open(file).unwrap(), role: role.clone() };
    let runner = Runner::new(pipeline())
        .with_store(store)
        .with_context(role)
        .with_budget(Budget::unlimited().tokens(10_000_000))
        .build()
        .unwrap();
    let id = RunId::new(RUN).unwrap();
    say("ready");
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
        while let Some(command) = commands.recv().await {
            let run = match command.as_str() {
                "run" => runner.run_as(id, INPUT),
                "resume" => runner.resume(id),
                command => panic!("no such command: {command}"),
            };
            match run.await {
                Ok(done) => {
                    say(&format!("spent {}", done.report.spent.tokens));
                    say(&format!("done {} {} {}", done.output, done.report.status, done.report.restored))
                }
                Err(halted) => match halted.cause {
                    Cause::Store(error) if matches!(error.kind(), StoreErrorKind::Busy { .. }) => say("busy"),
                    Cause::Store(error) if error.kind() == StoreErrorKind::UnknownRun => say("unknown"),
                    cause => say(&format!("halted {cause:?}")),
                },
            }
        }
    });
}
