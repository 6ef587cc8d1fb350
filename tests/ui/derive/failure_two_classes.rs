// Two classes for one failure: on one attribute, and on two of them.
#[derive(stroma::Failure)]
#[failure(recoverable, terminal)]
struct Throttled;

#[derive(stroma::Failure)]
enum AppError {
    #[failure(terminal)]
    #[failure(transparent)]
    Io(std::io::Error),
}

fn main() {}
