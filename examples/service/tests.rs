//! The service as its clients meet it: over HTTP.

use std::{collections::BTreeMap, sync::Mutex};

use reqwest::{Client, RequestBuilder};
use tempfile::TempDir;
use tokio::{
    sync::{Semaphore, oneshot},
    task::JoinHandle,
};

use super::*;

/// A bank that keeps its books, is busy where a test says so, and waits where it is shut.
struct TestBank {
    books: Mutex<BTreeMap<String, u32>>,
    busy: AtomicBool,
    asked: Semaphore,
    open: Semaphore,
}

impl Bank for Arc<TestBank> {
    async fn charge(&self, key: String, cents: u32) -> Result<String, OrderError> {
        self.asked.add_permits(1);
        let _open = self.open.acquire().await;
        if self.busy.load(Ordering::SeqCst) {
            return Err(OrderError::Busy);
        }
        let mut books = self.books.lock().unwrap();
        assert_eq!(books.insert(key, cents), None, "it was charged twice");
        Ok(format!("charge {}", books.len()))
    }
}

struct Service {
    url: String,
    client: Client,
    bank: Arc<TestBank>,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<std::io::Result<()>>,
    _folder: TempDir,
}

impl Service {
    async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let bank = TestBank {
            books: Mutex::default(),
            busy: AtomicBool::new(false),
            asked: Semaphore::new(0),
            open: Semaphore::new(Semaphore::MAX_PERMITS),
        };
        let (bank, folder) = (Arc::new(bank), tempfile::tempdir().unwrap());
        let store = RedbStore::open(folder.path().join("orders.redb")).unwrap();
        let app = app(orders(store, Arc::clone(&bank)).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/orders", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let served = axum::serve(listener, app).with_graceful_shutdown(async { _ = stopped.await });
        let served = tokio::spawn(served.into_future());
        let client = Client::builder().no_proxy().build().unwrap();
        Self { url, client, bank, stop: Some(stop), served, _folder: folder }
    }

    fn order(&self, key: &str, item: &str) -> RequestBuilder {
        let order = Order { item: item.to_owned(), quantity: 2 };
        self.client.post(&self.url).header("Idempotency-Key", key).json(&order)
    }

    fn look(&self, key: &str) -> RequestBuilder {
        self.client.get(format!("{}/{key}", self.url))
    }
}

/// The status and the text of an answer.
async fn said(request: RequestBuilder) -> (u16, String) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn an_order_is_charged_once_however_often_it_comes() {
    let service = Service::start().await;
    let receipt = r#"{"item":"lamp","cents":9800,"charge":"charge 1"}"#.to_owned();
    assert_eq!(said(service.order("17", "lamp")).await, (201, receipt.clone()));
    assert_eq!(said(service.order("17", "lamp")).await, (201, receipt.clone()));
    assert_eq!(said(service.look("17")).await, (200, receipt));

    let (status, text) = said(service.order("17", "chair")).await;
    assert_eq!((status, &*text), (422, r#"{"error":"a run of this id was begun with another input"}"#));
    assert_eq!(said(service.order("18", "chair")).await.0, 201);
    let books = service.bank.books.lock().unwrap();
    assert_eq!(books.values().copied().collect::<Vec<_>>(), [9_800, 24_000]);
}

#[tokio::test]
async fn what_went_wrong_becomes_the_status() {
    let service = Service::start().await;
    assert_eq!(said(service.look("17")).await.0, 404);
    let order = Order { item: "lamp".to_owned(), quantity: 1 };
    assert_eq!(said(service.client.post(&service.url).json(&order)).await.0, 400);
    assert_eq!(said(service.order(&"7".repeat(65), "lamp")).await.0, 400);
    let (status, text) = said(service.order("17", "unicorn")).await;
    assert_eq!((status, &*text), (422, r#"{"error":"there is no `unicorn` here"}"#));

    service.bank.busy.store(true, Ordering::SeqCst);
    let response = service.order("18", "lamp").send().await.unwrap();
    assert_eq!(response.status().as_u16(), 503);
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(response.text().await.unwrap(), r#"{"error":"the bank is busy"}"#);
    // Once, and twice again.
    assert_eq!(service.bank.asked.available_permits(), 3);

    service.bank.busy.store(false, Ordering::SeqCst);
    assert_eq!(said(service.look("18")).await.0, 200);
}

#[tokio::test]
async fn an_order_under_way_is_answered_before_the_service_stops() {
    let mut service = Service::start().await;
    let shut = service.bank.open.forget_permits(Semaphore::MAX_PERMITS);
    let first = tokio::spawn(said(service.order("17", "lamp")));
    service.bank.asked.acquire().await.unwrap().forget();
    // The same order in the meantime is not begun a second time.
    assert_eq!(said(service.order("17", "lamp")).await.0, 409);

    service.stop.take().unwrap().send(()).unwrap();
    service.bank.open.add_permits(shut);
    assert_eq!(first.await.unwrap().0, 201);
    service.served.await.unwrap().unwrap();
}
