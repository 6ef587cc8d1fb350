//! One connection to the server.

use alloc::{
    boxed::Box,
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};

use core::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
};

use super::{
    error::{self, Trouble},
    script::{SCRIPTS, Script},
    settings::Settings,
    stream,
    work::Heard,
};
use crate::store::StoreErrorKind;
use ::redis::{AsyncConnectionConfig, Cmd, Pipeline, RedisError, Value, aio::MultiplexedConnection};
use tokio_util::io::InspectReader;

/// A connection whose server has the scripts.
pub(super) struct Line {
    pub(super) connection: MultiplexedConnection,
    /// By which the server knows the connection, where it says so.
    pub(super) name: Option<ClientName>,
    /// The hashes of the scripts, in the order of [`Script`].
    scripts: Vec<String>,
}

/// What the server calls a connection. A number alone may be somebody else's after a restart; with the address it is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClientName {
    id: String,
    address: String,
}

impl Line {
    /// A call of a script, but for its arguments.
    pub(super) fn script(&self, script: Script, keys: &[&str]) -> Cmd {
        let mut command = ::redis::cmd("EVALSHA");
        command.arg(self.scripts.get(script as usize).map_or("", String::as_str)).arg(keys.len()).arg(keys);
        command
    }
}

/// Connects, closes on the server what is left there of the connection before, and gives it the scripts.
///
/// The future that comes with the line carries what is said and answered, and ends with the connection. Whoever speaks polls
/// it, so that no other task has to be woken on the way.
pub(super) async fn dial(
    settings: &Settings,
    old: Option<ClientName>,
    heard: Arc<Heard>,
) -> Result<(Line, Pin<Box<impl Future<Output = ()> + use<'_>>>), Trouble> {
    let stream = stream::connect(settings).await.map_err(|error| error::lost(&error.into()))?;
    let stream = InspectReader::new(stream, move |_: &[u8]| heard.something());
    // The time is kept by whoever waits for answers.
    let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
    let info = settings.client.get_connection_info().redis_settings();
    let made = MultiplexedConnection::new_with_config(info, stream, config).await;
    let (connection, carrier) = made.map_err(|error| error::lost(&error))?;
    let mut carrier = Box::pin(carrier);
    let mut greeted = pin!(greet(connection, old));
    let line = poll_fn(|task| {
        // Where the connection ends, greeting hears of it.
        let _ = carrier.as_mut().poll(task);
        greeted.as_mut().poll(task)
    });
    let line = line.await?;
    Ok((line, carrier))
}

async fn greet(mut connection: MultiplexedConnection, old: Option<ClientName>) -> Result<Line, Trouble> {
    let mut greeting = Pipeline::new();
    greeting.cmd("CLIENT").arg("INFO");
    if let Some(ClientName { id, address }) = &old {
        greeting.cmd("CLIENT").arg("KILL").arg("ID").arg(id).arg("ADDR").arg(address);
    }
    let first = 1 + usize::from(old.is_some());
    for script in SCRIPTS {
        greeting.cmd("SCRIPT").arg("LOAD").arg(script);
    }
    let said = connection.send_packed_commands(&greeting, 0, first + SCRIPTS.len()).await;
    let answers = said.map_err(|error| error::lost(&error))?;
    let mut scripts = Vec::with_capacity(SCRIPTS.len());
    for answer in answers.get(first..).unwrap_or_default() {
        match answer {
            Value::BulkString(hash) => scripts.push(String::from_utf8_lossy(hash).into_owned()),
            Value::SimpleString(hash) => scripts.push(hash.clone()),
            Value::ServerError(error) => {
                return Err(match error::refused(error) {
                    Trouble::Wait(error) => Trouble::Reconnect(error),
                    other => other,
                });
            }
            _ => {
                let error = error::of(StoreErrorKind::Unavailable, "the server's answer to `SCRIPT LOAD` is no hash");
                return Err(Trouble::Reconnect(error));
            }
        }
    }
    // Who may not ask for its own name, or has a server older than 6.2, does without.
    let name = answers.first().and_then(name);
    Ok(Line { connection, name, scripts })
}

/// Out of `id=12 addr=127.0.0.1:51234 ..`.
fn name(info: &Value) -> Option<ClientName> {
    let info = match info {
        Value::BulkString(info) => core::str::from_utf8(info).ok()?,
        Value::VerbatimString { text, .. } => text,
        _ => return None,
    };
    let field = |name: &str| {
        info.split_ascii_whitespace().find_map(|field| field.strip_prefix(name)?.strip_prefix('=')).map(str::to_string)
    };
    Some(ClientName { id: field("id")?, address: field("addr")? })
}

/// Sends a batch and waits for what the server answers to it.
pub(super) async fn say(mut connection: MultiplexedConnection, batch: Pipeline) -> Result<Vec<Value>, RedisError> {
    connection.send_packed_commands(&batch, 0, batch.len()).await
}
