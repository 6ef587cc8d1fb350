// The field that decides is named, but not behind `=`.
#[derive(stroma::Failure)]
enum AppError {
    #[failure(transparent(source))]
    File { path: String, source: std::io::Error },
    #[failure(transparent(1))]
    Header(u8, std::io::Error),
    #[failure(transparent "source")]
    Body(std::io::Error),
}

fn main() {}
