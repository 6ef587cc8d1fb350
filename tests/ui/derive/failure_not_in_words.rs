// What `failure` holds is neither words nor fields.
#[derive(stroma::Failure)]
enum AppError {
    #[failure]
    Busy,
    #[failure = "terminal"]
    BadKey,
    #[failure("terminal")]
    NoSuchCity,
    #[failure(terminal = true)]
    Refused,
    #[failure(recoverable, retry_after = secs(3))]
    Throttled,
}

#[derive(stroma::Failure)]
#[failure(terminal, crate = "stroma")]
struct Other;

fn main() {}
