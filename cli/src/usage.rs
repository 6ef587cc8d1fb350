//! What is said about a command line that makes no sense.

use std::{
    env,
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

use clap::error::ContextKind;

use crate::{
    place::{betrays, has_scheme, redacted},
    text::{plain, plain_lines},
    trouble::Trouble,
};

/// Says what was wrong with the command line, or its help. clap says again what it was told, whatever that was.
pub(crate) fn misunderstood(error: &clap::Error) -> ExitCode {
    let args: Vec<_> = env::args_os().skip(1).collect();
    let said: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
    if !error.use_stderr() {
        let _ = error.print();
    } else if args.iter().take_while(|arg| *arg != "--").any(|arg| arg == "--json") {
        Trouble::usage(text(error, &args)).say(true);
    } else if said.iter().all(|arg| *arg == redacted(arg)) {
        let _ = error.print();
    } else {
        let _ = writeln!(io::stderr().lock(), "error: {}", text(error, &args));
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// What clap says without what nobody is to see, and without what a terminal would obey.
fn text(error: &clap::Error, args: &[OsString]) -> String {
    let text = error.render().to_string();
    // What is said of a run's id is said of no password.
    let about = error.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
    let secret = args.iter().map(|arg| arg.to_string_lossy()).filter(|arg| redacted(arg) != plain(arg)).any(|arg| {
        // Of a URL it may be any part that would be said again; of what may be no password either, it is looked for.
        has_scheme(&arg) || !about.starts_with("<RUN>") && betrays(&text, &arg)
    });
    if secret {
        return format!("{}: it is not said which, since there is a password among them", error.kind());
    }
    plain_lines(text.trim().trim_start_matches("error: "))
}
