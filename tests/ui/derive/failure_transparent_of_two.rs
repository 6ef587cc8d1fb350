// What is transparent has one field, or says which of them it is.
#[derive(stroma::Failure)]
enum AppError {
    #[failure(transparent)]
    File(String, std::io::Error),
}

#[derive(stroma::Failure)]
#[failure(transparent)]
enum Other {
    Io(std::io::Error),
    File(String, std::io::Error),
    Closed,
}

fn main() {}
