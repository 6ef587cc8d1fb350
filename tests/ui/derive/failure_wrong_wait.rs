// A wait in seconds is a number that may be of anything.
#[derive(stroma::Failure)]
#[failure(recoverable, retry_after = seconds)]
struct Throttled {
    seconds: u64,
}

fn main() {}
