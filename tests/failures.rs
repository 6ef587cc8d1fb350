//! What errors of others mean, met in the wild: requests to a server of this test's own.
#![cfg(feature = "reqwest")]
#![allow(clippy::std_instead_of_alloc, clippy::std_instead_of_core, reason = "tests run where std is")]

use std::time::Duration;

use reqwest::{Client, Error};
use stroma::{Failure, FailureClass};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

fn client() -> Client {
    // Another test may have been quicker.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().build().unwrap()
}

/// A server that gives this answer to each connection, whatever it is asked, and closes it.
async fn server(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            asked(&mut stream).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

/// Reads a request to the end of its headers.
async fn asked(stream: &mut TcpStream) {
    let (mut all, mut some) = (Vec::new(), [0; 1024]);
    while !all.ends_with(b"\r\n\r\n") {
        match stream.read(&mut some).await {
            Ok(count) if count > 0 => all.extend_from_slice(&some[..count]),
            _ => break,
        }
    }
}

fn answer(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn is(error: &Error, class: FailureClass) {
    assert_eq!(error.class(), class, "{error:?}");
    assert_eq!(error.retry_after(), None);
}

#[tokio::test]
async fn a_closed_port_may_open() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = client().get(format!("http://{address}/")).send().await.unwrap_err();
    assert!(error.is_connect());
    is(&error, FailureClass::Recoverable);
}

#[tokio::test(start_paused = true)]
async fn a_time_out_may_pass() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // It is let in, and never answered; the time is tokio's, so nobody waits.
    let error = client().get(format!("http://{address}/")).timeout(Duration::from_secs(30)).send().await.unwrap_err();
    assert!(error.is_timeout());
    is(&error, FailureClass::Recoverable);
}

#[tokio::test]
async fn a_status_is_classed_by_its_number() {
    let client = client();
    for (status, class) in [
        (408, FailureClass::Recoverable),
        (425, FailureClass::Recoverable),
        (429, FailureClass::Recoverable),
        (500, FailureClass::Recoverable),
        (502, FailureClass::Recoverable),
        (503, FailureClass::Recoverable),
        (504, FailureClass::Recoverable),
        (400, FailureClass::Terminal),
        (401, FailureClass::Terminal),
        (404, FailureClass::Terminal),
        (422, FailureClass::Terminal),
        (501, FailureClass::Ambiguous),
    ] {
        let address = server(answer(&format!("{status} Said\r\nRetry-After: 7"), "")).await;
        let response = client.get(address).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status);
        is(&response.error_for_status().unwrap_err(), class);
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_may_come_whole() {
    let client = client();
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\":";
    let address = server(cut.to_owned()).await;
    let response = client.get(&address).send().await.unwrap();
    is(&response.json::<u32>().await.unwrap_err(), FailureClass::Recoverable);
    let response = client.get(&address).send().await.unwrap();
    is(&response.text().await.unwrap_err(), FailureClass::Recoverable);
    let mut response = client.get(&address).send().await.unwrap();
    let error = loop {
        match response.chunk().await {
            Ok(chunk) => assert!(chunk.is_some(), "it breaks off"),
            Err(error) => break error,
        }
    };
    is(&error, FailureClass::Recoverable);
}

#[tokio::test]
async fn an_answer_of_another_form_stays_so() {
    let address = server(answer("200 OK", "\"seven\"")).await;
    let response = client().get(address).send().await.unwrap();
    let error = response.json::<u32>().await.unwrap_err();
    assert!(error.is_decode());
    is(&error, FailureClass::Terminal);
}

#[tokio::test]
async fn a_connection_that_is_lost_without_an_answer_says_nothing() {
    let address = server(String::new()).await;
    is(&client().get(address).send().await.unwrap_err(), FailureClass::Ambiguous);
}

#[tokio::test]
async fn a_request_that_cannot_be_made_stays_so() {
    let error = client().get("no address").send().await.unwrap_err();
    assert!(error.is_builder());
    is(&error, FailureClass::Terminal);
    let address = server(answer("302 Found\r\nLocation: /", "")).await;
    let error = client().get(address).send().await.unwrap_err();
    assert!(error.is_redirect());
    is(&error, FailureClass::Terminal);
}
