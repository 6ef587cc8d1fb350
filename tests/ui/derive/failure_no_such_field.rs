// Fields that are not there, by name and by number.
#[derive(stroma::Failure)]
enum AppError {
    #[failure(recoverable, retry_after = wait)]
    Throttled { after: std::time::Duration, url: String },
    #[failure(recoverable, retry_after = 1)]
    Busy(std::time::Duration),
    #[failure(transparent = source)]
    Closed,
}

fn main() {}
