// Parts that functions returned stand wherever nodes do, and the branches of `par!` infer from the first one.
use stroma::{Quick, prelude::*};

#[derive(Debug)]
struct AppError;

impl std::fmt::Display for AppError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no")
    }
}

impl Failure for AppError {}

async fn count(text: String) -> Result<u64, AppError> {
    Ok(text.len() as u64)
}

async fn trim(text: String) -> Result<String, AppError> {
    Ok(text.trim().to_owned())
}

fn counting() -> Sealed<impl SendExec<Quick, In = String, Out = u64, Error = AppError>> {
    node("trim", trim).then(node("count", count)).seal()
}

fn around<N>(inner: Sealed<N>) -> Sealed<impl SendExec<Quick, In = String, Out = u64, Error = AppError>>
where
    N: SendExec<Quick, In = String, Out = u64, Error = AppError> + 'static,
{
    node("around", trim).then(inner).seal()
}

fn built<N>(inner: Sealed<N>) -> Result<Runner<N, Quick>, stroma::BuildError>
where
    N: SendExec<Quick, In = String, Out = u64, Error = AppError> + 'static,
{
    Runner::quick(inner).build()
}

fn main() -> Result<(), stroma::BuildError> {
    let two = par(node("left", count), counting()).settle().map(|(a, b)| a + b);
    let three = par!(counting(), node("b", async |text: String| Ok(text.len() as u64)), node("c", count),).settle();
    let four = par!(node("d", async |text: String| Ok(text.len() as u64)), counting(), counting(), node("e", count));
    let pipeline = node("first", trim)
        .then(par!(two, three, four, around(counting())))
        .map(|(two, (a, b, c), (d, e, f, g), last)| two + a + b + c + d + e + f + g + last);
    let runner = Runner::quick(pipeline).build();
    let _ = async move {
        if let Ok(runner) = runner {
            tokio::spawn(async move { runner.run("text".to_owned()).await.is_ok() });
        }
    };
    let _ = built(counting())?;
    Ok(())
}
