//! How a server is named, and what the way to it is.

use super::*;

#[tokio::test]
async fn it_goes_over_a_unix_socket_too_and_to_a_server_of_a_cluster() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&["--cluster-enabled", "yes"]);
    let _: () = server.ask(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    until("the cluster is up", || {
        let info: String = server.ask(&["CLUSTER", "INFO"]);
        info.contains("cluster_state:ok").then_some(())
    });
    let url = format!("redis+unix://{}", server.socket().display());
    let calls = Calls::default();
    for store in [store(&server), RedisStore::new(&url, TTL).unwrap().with_prefix("{x}")] {
        let runner = Runner::new(eight!(calls)).with_store(store.clone()).build().unwrap();
        assert_eq!(runner.run_as(id("{r}"), 0).await.unwrap().output, 11);
        assert_eq!(runner.resume(id("{r}")).await.unwrap().report.status, RunStatus::Resumed);
        store.flush().await;
    }
    assert!(calls.all().iter().all(|(_, calls)| *calls == 2), "{:?}", calls.all());
}

#[tokio::test]
async fn the_newer_protocol_a_database_and_odd_passwords_are_said_in_the_url() {
    if !is_installed() {
        return;
    }
    let mut server = Server::start(&["--requirepass", "p@s:s/w%rd ?#é"]);
    let port = server.port();
    let url = format!("redis://:p%40s%3As%2Fw%25rd%20%3F%23%C3%A9@127.0.0.1:{port}");
    server.come_in_by(format!("{url}/3"));
    for (run, end) in [("two", "/3"), ("three", "/3?protocol=resp3")] {
        let store = RedisStore::new(&format!("{url}{end}"), TTL).unwrap();
        store.reach().await.unwrap();
        a_whole_life(&store, run).await;
        let mut session = open(&store, run).await.unwrap();
        assert!(matches!(kind(open(&store, run).await), Some(StoreErrorKind::Busy { until: Some(_) })));
        let _: usize = server.ask(&["DEL", &format!("stroma:{{{run}}}")]);
        let log = server.keys().into_iter().find(|key| key.starts_with(&format!("stroma:{{{run}}}:"))).unwrap();
        let _: usize = server.ask(&["DEL", &log]);
        assert_eq!(kind(load(&mut session, "n1").await), Some(StoreErrorKind::Gone));
        assert_eq!(kind(put(&mut session, "n1", b"1").await), Some(StoreErrorKind::Gone));
        drop(session);
        assert!(!format!("{store:?}").contains("w%"), "{store:?}");
    }
}

#[cfg(feature = "redis-tls")]
#[tokio::test]
async fn it_goes_over_tls_with_an_authority_of_its_own() {
    if !is_installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    server::write(&cert, &made.cert.pem());
    server::write(&key, &made.signing_key.serialize_pem());
    let tls_port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let [cert_path, key_path] = [&cert, &key].map(|path| path.to_str().unwrap());
    let _server = Server::start(&[
        "--tls-port",
        &tls_port.to_string(),
        "--tls-cert-file",
        cert_path,
        "--tls-key-file",
        key_path,
        "--tls-ca-cert-file",
        cert_path,
        "--tls-auth-clients",
        "no",
    ]);
    let url = format!("rediss://localhost:{tls_port}/");
    let store = RedisStore::new(&url, TTL).unwrap();
    // Nobody vouches for it.
    let error = store.reach().await.unwrap_err();
    assert!(error.detail().contains("ertificate"), "{error}");
    assert!(store.clone().with_root_certificate("nothing").is_err());
    let store = store.with_root_certificate(made.cert.pem()).unwrap();
    store.reach().await.unwrap();
    let calls = Calls::default();
    let runner = Runner::new(eight!(calls)).with_store(store).build().unwrap();
    assert_eq!(runner.run_as(id("r"), 0).await.unwrap().output, 11);
}
