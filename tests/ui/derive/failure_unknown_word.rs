// A class that there is none of.
#[derive(stroma::Failure)]
enum AppError {
    #[failure(transient)]
    Throttled,
    #[failure(terminal)]
    BadKey,
}

fn main() {
    fn is_failure<E: stroma::Failure>() {}
    is_failure::<AppError>();
}
