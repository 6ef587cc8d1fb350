// The field is named without quotes, and it is named.
#[derive(stroma::Failure)]
enum AppError {
    #[failure(recoverable, retry_after = "wait")]
    Throttled { wait: std::time::Duration },
    #[failure(recoverable, retry_after)]
    Busy { wait: std::time::Duration },
    #[failure(recoverable, retry_after = -1)]
    Odd(std::time::Duration),
}

fn main() {}
