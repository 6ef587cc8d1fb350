//! What stands between a store and its server, and cuts, holds back or turns away what goes through.
#![allow(dead_code, reason = "every program uses a part of it")]

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// To the server, and from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Up,
    Down,
}

#[derive(Debug)]
struct Plan {
    /// How many bytes still go through before the connection is cut, once.
    left: [AtomicI64; 2],
    /// How many went through.
    passed: [AtomicI64; 2],
    /// Connections with a lower number are held.
    held: [AtomicUsize; 2],
    /// How many milliseconds each piece is on its way.
    pace: AtomicU64,
    /// How many connections more are turned away.
    turned_away: AtomicUsize,
    /// The proxy's own ends of the connections to the server.
    ends: Mutex<Vec<SocketAddr>>,
}

pub(crate) struct Proxy {
    port: u16,
    plan: Arc<Plan>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let plan = Arc::new(Plan {
            left: [AtomicI64::new(i64::MAX), AtomicI64::new(i64::MAX)],
            passed: [AtomicI64::new(0), AtomicI64::new(0)],
            held: [AtomicUsize::new(0), AtomicUsize::new(0)],
            pace: AtomicU64::new(0),
            turned_away: AtomicUsize::new(0),
            ends: Mutex::default(),
        });
        let own = listener.local_addr().unwrap().port();
        let task = tokio::spawn({
            let plan = plan.clone();
            async move {
                let mut number = 0;
                while let Ok((client, _)) = listener.accept().await {
                    if plan.turned_away.load(SeqCst) > 0 {
                        plan.turned_away.fetch_sub(1, SeqCst);
                        continue;
                    }
                    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
                    client.set_nodelay(true).unwrap();
                    server.set_nodelay(true).unwrap();
                    plan.ends.lock().unwrap().push(server.local_addr().unwrap());
                    tokio::spawn(carry(client, server, plan.clone(), number));
                    number += 1;
                }
            }
        });
        Self { port: own, plan, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Cuts the connection after so many bytes more.
    pub(crate) fn cut_after(&self, way: Way, bytes: usize) {
        self.plan.left[way as usize].store(i64::try_from(bytes).unwrap(), SeqCst);
    }

    /// Whether that cut is still to come.
    pub(crate) fn is_to_cut(&self, way: Way) -> bool {
        self.plan.left[way as usize].load(SeqCst) < i64::MAX / 2
    }

    pub(crate) fn passed(&self, way: Way) -> usize {
        usize::try_from(self.plan.passed[way as usize].load(SeqCst)).unwrap()
    }

    /// Holds back what goes this way over the first so many connections.
    pub(crate) fn hold(&self, way: Way, connections: usize) {
        self.plan.held[way as usize].store(connections, SeqCst);
    }

    /// Takes so long for each 64 KiB.
    pub(crate) fn slow_down(&self, pace: Duration) {
        self.plan.pace.store(u64::try_from(pace.as_millis()).unwrap(), SeqCst);
    }

    pub(crate) fn turn_away(&self, connections: usize) {
        self.plan.turned_away.store(connections, SeqCst);
    }

    pub(crate) fn ends(&self) -> Vec<SocketAddr> {
        self.plan.ends.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(client: TcpStream, server: TcpStream, plan: Arc<Plan>, number: usize) {
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::select! {
        () = pump(from_client, to_server, &plan, Way::Up, number) => {}
        () = pump(from_server, to_client, &plan, Way::Down, number) => {}
    }
}

async fn pump(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, plan: &Plan, way: Way, number: usize) {
    let mut buffer = vec![0; 1 << 16];
    let (left, held) = (&plan.left[way as usize], &plan.held[way as usize]);
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        while number < held.load(SeqCst) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let pace = plan.pace.load(SeqCst);
        if pace > 0 {
            tokio::time::sleep(Duration::from_millis(pace)).await;
        }
        let len = i64::try_from(read).unwrap();
        let before = left.fetch_sub(len, SeqCst);
        let pass = usize::try_from(before.min(len)).unwrap();
        plan.passed[way as usize].fetch_add(len, SeqCst);
        if to.write_all(&buffer[..pass]).await.is_err() {
            return;
        }
        if pass < read {
            left.store(i64::MAX, SeqCst);
            return;
        }
    }
}
