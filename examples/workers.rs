//! Workers that take jobs from a list on a Redis server; one is killed in the middle, and the others go on with what it had.
//!
//! ```text
//! cargo run --example workers --features redis,derive [-- --redis URL]
//! ```
//!
//! Without a URL it starts a server of its own. A job stands in the list `jobs` until a worker takes it, and in `taken` until it is
//! done. Nobody says who took it: a worker that finds `jobs` empty tries the others' as well, and the store says of each whether
//! somebody is at work on it. So a job is never lost, and none of its nodes that has ended runs again.

#[path = "../tests/support/redis.rs"]
mod server;

use std::{env, error::Error, process, time::Duration};

use clap::Parser;
use redis::{AsyncCommands, Direction, RedisResult, aio::MultiplexedConnection};
use stroma::{
    prelude::*,
    store::{RedisStore, StoreErrorKind},
};
use tokio::time::sleep;

#[derive(Debug, Parser)]
#[command(about = "Workers that take jobs from a list on a Redis server; one of them is killed in the middle")]
struct Options {
    /// A server of yours. Keys that begin with `shop:` are used, and those of the last time deleted.
    #[arg(long)]
    redis: Option<String>,
    /// Be one of the workers.
    #[arg(long, requires = "redis", hide = true)]
    work: bool,
}

const JOBS: u32 = 12;
const LEASE: Duration = secs(1);

/// What nodes have at hand.
struct Shop {
    redis: MultiplexedConnection,
    /// How long a node takes.
    pause: Duration,
}

#[stroma::state]
struct Order {
    number: u32,
    stamps: Vec<String>,
}

/// A node: it counts its calls on the server, and takes a while.
async fn stamp(mut order: Order, cx: NodeCx<'_, Shop>) -> RedisResult<Order> {
    let Shop { redis, pause } = cx.context();
    let call = format!("{} of {}", cx.node(), order.number);
    let () = redis.clone().hincr("shop:calls", call, 1).await?;
    sleep(*pause).await;
    order.stamps.push(cx.node().to_owned());
    Ok(order)
}

/// Works until there is nothing left to do. A worker of a service would wait for more, with `BLMOVE`.
async fn work(url: &str, pause: Duration) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut redis = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let pipeline = node_with("charge", stamp).then(node_with("pack", stamp)).then(node_with("send", stamp));
    let runner = Runner::quick(pipeline)
        // What is done stays for a day: a worker that comes late to a job is told what it came to, and calls nothing.
        .with_store(RedisStore::new(url, secs(24 * 60 * 60))?.with_prefix("shop:run").with_lease(LEASE))
        .with_context(Shop { redis: redis.clone(), pause })
        .build()?;
    loop {
        let next: Option<u32> = redis.lmove("shop:jobs", "shop:taken", Direction::Left, Direction::Right).await?;
        let jobs = match next {
            Some(job) => vec![job],
            None => redis.lrange("shop:taken", 0, -1).await?,
        };
        if jobs.is_empty() {
            return Ok(());
        }
        for number in jobs {
            let id = RunId::new(&format!("order {number}"))?;
            match runner.run_as(id, Order { number, stamps: Vec::new() }).await {
                Ok(done) => {
                    println!("worker {}: {id} {}", process::id(), done.report.status);
                    let mut both = redis::pipe();
                    both.atomic().hset("shop:done", number, done.output.stamps.join(", ")).ignore();
                    let () = both.lrem("shop:taken", 0, number).ignore().query_async(&mut redis).await?;
                }
                Err(halted) => match &halted.cause {
                    Cause::Store(error) if matches!(error.kind(), StoreErrorKind::Busy { .. }) => sleep(ms(50)).await,
                    _ => return Err(halted.into()),
                },
            }
        }
    }
}

/// Empties the shop, and puts jobs into the list.
async fn fill(redis: &mut MultiplexedConnection) -> RedisResult<()> {
    let old: Vec<String> = redis.keys("shop:*").await?;
    let mut all = redis::pipe();
    old.iter().for_each(|key| _ = all.del(key).ignore());
    all.rpush("shop:jobs", (1..=JOBS).collect::<Vec<_>>()).ignore().query_async(redis).await
}

/// Waits until so many calls were counted.
async fn calls(redis: &mut MultiplexedConnection, least: usize) -> RedisResult<()> {
    while redis.hlen::<_, usize>("shop:calls").await? < least {
        sleep(ms(5)).await;
    }
    Ok(())
}

/// What became of the jobs: how many are done, and how many calls were made twice.
async fn outcome(redis: &mut MultiplexedConnection) -> RedisResult<(usize, u32)> {
    let (done, calls): (Vec<String>, Vec<u32>) =
        redis::pipe().hvals("shop:done").hvals("shop:calls").query_async(redis).await?;
    let whole = done.iter().filter(|stamps| *stamps == "charge, pack, send").count();
    Ok((whole, calls.iter().map(|calls| calls - 1).sum()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let options = Options::parse();
    if let (Some(url), true) = (&options.redis, options.work) {
        return work(url, ms(100)).await;
    }
    let own = options.redis.is_none().then(|| server::Server::start(&[]));
    let url = own.as_ref().map_or(options.redis.unwrap_or_default(), server::Server::url);
    let mut redis = redis::Client::open(url.as_str())?.get_multiplexed_async_connection().await?;
    fill(&mut redis).await?;

    let program = env::current_exe()?;
    let worker = || tokio::process::Command::new(&program).args(["--work", "--redis", &url]).spawn();
    let (mut first, mut second, mut third) = (worker()?, worker()?, worker()?);
    calls(&mut redis, 8).await?;
    println!("worker {} is killed", first.id().unwrap_or_default());
    first.kill().await?;
    let ended = (second.wait().await?.success(), third.wait().await?.success());

    let (done, twice) = outcome(&mut redis).await?;
    println!("{done} of {JOBS} orders done, {twice} node called twice: the one in which the worker was killed");
    if ended == (true, true) && done == JOBS as usize && twice <= 1 { Ok(()) } else { Err("that is not right".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn another_worker_goes_on_with_what_one_that_is_gone_had() {
        if !server::is_installed() {
            return;
        }
        let server = server::Server::start(&[]);
        let url = server.url();
        let mut redis = redis::Client::open(&*url).unwrap().get_multiplexed_async_connection().await.unwrap();
        fill(&mut redis).await.unwrap();

        // All that is of this one stops at once, in the middle of its first node.
        let first = tokio::runtime::Runtime::new().unwrap();
        let its = url.clone();
        first.spawn(async move { work(&its, secs(3_600)).await });
        calls(&mut redis, 1).await.unwrap();
        first.shutdown_background();

        tokio::try_join!(work(&url, ms(1)), work(&url, ms(1))).unwrap();
        assert_eq!(outcome(&mut redis).await.unwrap(), (JOBS as usize, 1));
    }
}
