// What is inside does not say what it means.
#[derive(Debug)]
struct Inner;

#[derive(stroma::Failure)]
#[failure(transparent)]
struct AppError(Inner);

fn main() {}
