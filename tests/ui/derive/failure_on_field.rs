// The word stands on the variant, not on the field; and what is said once is said on the type.
#[derive(stroma::Failure)]
#[failure(recoverable, retry_after = wait)]
enum AppError {
    Throttled {
        #[failure(retry_after)]
        wait: std::time::Duration,
    },
    #[failure(crate = stroma)]
    Closed,
}

fn main() {}
