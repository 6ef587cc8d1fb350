// A union is no failure.
#[derive(stroma::Failure)]
union AppError {
    code: u32,
    errno: i32,
}

fn main() {}
