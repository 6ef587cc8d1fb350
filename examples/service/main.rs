//! A web service with a pipeline in it: orders that are charged once, however often a client asks.
//!
//! ```text
//! cargo run --example service --features derive
//! curl -i localhost:8080/orders -H 'Idempotency-Key: 17' -H 'Content-Type: application/json' -d '{"item": "lamp", "quantity": 2}'
//! curl -i localhost:8080/orders/17
//! ```
//!
//! The client's key is the id of the run: the same request again, after a crash as well, goes on where the first one stopped, or gets
//! the same answer. What the run failed for becomes the status. On Ctrl-C what is under way is answered first.

use std::{
    error::Error,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use stroma::{
    AnyRunner, BuildError,
    prelude::*,
    store::{RedbStore, StoreErrorKind},
};
use tokio::net::TcpListener;

#[stroma::state]
#[derive(PartialEq)]
struct Order {
    item: String,
    quantity: u32,
}

#[stroma::state]
#[derive(Debug, PartialEq)]
struct Receipt {
    item: String,
    cents: u32,
    charge: String,
}

#[derive(Debug, thiserror::Error, Failure)]
enum OrderError {
    #[error("there is no `{0}` here")]
    #[failure(terminal)]
    NoSuchItem(String),
    #[error("the bank is busy")]
    #[failure(recoverable)]
    Busy,
}

/// Who takes the money; a service has a client of its bank's here.
trait Bank: Send + Sync + 'static {
    /// Takes so much, once for each key.
    fn charge(&self, key: String, cents: u32) -> impl Future<Output = Result<String, OrderError>> + Send;
}

async fn price(order: Order) -> Result<(Order, u32), OrderError> {
    let cents: u32 = match &*order.item {
        "lamp" => 4_900,
        "chair" => 12_000,
        other => return Err(OrderError::NoSuchItem(other.to_owned())),
    };
    let all = cents.saturating_mul(order.quantity);
    Ok((order, all))
}

async fn charge<B: Bank>((order, cents): (Order, u32), cx: NodeCx<'_, B>) -> Result<Receipt, OrderError> {
    // The same in every attempt and after every crash, so a bank that knows it takes nothing twice.
    let key = cx.idempotency_key().map(|key| key.to_string()).unwrap_or_default();
    let charge = cx.context().charge(key, cents).await?;
    Ok(Receipt { item: order.item, cents, charge })
}

/// What takes orders, whatever the type of its pipeline is: no `dyn`, and nobody writes that type.
trait Orders: AnyRunner<In = Order, Out = Receipt, Error = OrderError> {}
impl<R: AnyRunner<In = Order, Out = Receipt, Error = OrderError>> Orders for R {}

fn orders<B: Bank>(store: RedbStore, bank: B) -> Result<impl Orders, BuildError> {
    let patient = PolicyMap::never().recoverable(2, Backoff::exponential(ms(20)));
    let pipeline = node("price", price).then(node_with("charge", charge).timeout(secs(10)).retry(patient));
    Runner::quick(pipeline).with_store(store).with_context(bank).build()
}

fn app<R: Orders>(runner: R) -> Router {
    Router::new().route("/orders", post(place::<R>)).route("/orders/{id}", get(look::<R>)).with_state(Arc::new(runner))
}

/// A client that goes away drops the run; the next request with its key goes on with it.
async fn place<R: Orders>(State(runner): State<Arc<R>>, headers: HeaderMap, Json(order): Json<Order>) -> Response {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
    match key.map(RunId::new) {
        None => problem(StatusCode::BAD_REQUEST, "an order wants an `Idempotency-Key`"),
        Some(Err(error)) => problem(StatusCode::BAD_REQUEST, error),
        Some(Ok(id)) => answer(StatusCode::CREATED, runner.run_as(id, order).await),
    }
}

/// What became of an order: of one that has ended nothing is called, one that stopped is gone on with.
async fn look<R: Orders>(State(runner): State<Arc<R>>, Path(id): Path<String>) -> Response {
    match RunId::new(&id) {
        Err(error) => problem(StatusCode::BAD_REQUEST, error),
        Ok(id) => answer(StatusCode::OK, runner.resume(id).await),
    }
}

fn answer<T>(done: StatusCode, ended: Result<Completed<Receipt, T>, Halted<OrderError, T>>) -> Response {
    let halted = match ended {
        Ok(run) => return (done, Json(run.output)).into_response(),
        Err(halted) => halted,
    };
    let status = match (&halted.cause, halted.class) {
        (Cause::Store(error), _) if error.kind() == StoreErrorKind::UnknownRun => StatusCode::NOT_FOUND,
        (Cause::Store(error), _) if matches!(error.kind(), StoreErrorKind::Busy { .. }) => StatusCode::CONFLICT,
        (Cause::OtherInput, _) => StatusCode::UNPROCESSABLE_ENTITY,
        // What the client sent cannot be done, by the word of a node.
        (Cause::Error(_), FailureClass::Terminal) => StatusCode::UNPROCESSABLE_ENTITY,
        (_, FailureClass::Recoverable) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    match &halted.cause {
        Cause::Error(error) => problem(status, error),
        cause => problem(status, cause),
    }
}

fn problem(status: StatusCode, why: impl ToString) -> Response {
    let again = (status == StatusCode::SERVICE_UNAVAILABLE).then_some([(RETRY_AFTER, "1")]);
    (status, again, Json([("error", why.to_string())].into_iter().collect::<std::collections::BTreeMap<_, _>>()))
        .into_response()
}

/// A bank that is busy every other time.
#[derive(Default)]
struct OwnBank(AtomicBool);

impl Bank for OwnBank {
    async fn charge(&self, key: String, _: u32) -> Result<String, OrderError> {
        let ready = self.0.fetch_xor(true, Ordering::Relaxed);
        if ready { Ok(format!("charged for {key}")) } else { Err(OrderError::Busy) }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = RedbStore::open(std::env::temp_dir().join("stroma-orders.redb"))?;
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("http://{}/orders", listener.local_addr()?);
    let stop = async { _ = tokio::signal::ctrl_c().await };
    axum::serve(listener, app(orders(store, OwnBank::default())?)).with_graceful_shutdown(stop).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
