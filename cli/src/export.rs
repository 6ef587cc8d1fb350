//! One run with all that it keeps.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::Path,
    process,
    time::SystemTime,
};

use serde_json::json;
use stroma::store::inspect::RunView;

use crate::{
    state::{full, hex},
    text::{Json, plain, utc},
    trouble::Trouble,
};

/// Writes the run into the file, or where none is named to `out`.
pub(crate) fn export(view: &RunView, file: Option<&Path>, out: &mut impl Write) -> Result<(), Trouble> {
    let mut value = full(view);
    value["ledger"] = json!(hex(&view.ledger));
    value["exported_by"] = json!(concat!("stroma ", env!("CARGO_PKG_VERSION")));
    value["exported_at"] = json!(utc(SystemTime::now()));
    let text = format!("{:#}\n", Json(&value));
    match file {
        None => Ok(out.write_all(text.as_bytes())?),
        Some(file) => save(file, text.as_bytes()).map_err(|error| {
            let name = file.to_string_lossy();
            Trouble::failed(match error.kind() {
                io::ErrorKind::AlreadyExists => format!("`{}` is there already: name another file", plain(&name)),
                _ => format!("cannot write `{}`: {error}", plain(&name)),
            })
        }),
    }
}

/// Makes the file with these bytes: whole, or not at all.
fn save(file: &Path, bytes: &[u8]) -> io::Result<()> {
    if file.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    // Beside it, since only within a file system a name changes hands at once.
    let mut name = file.file_name().ok_or(io::ErrorKind::IsADirectory)?.to_owned();
    name.push(format!(".{}", process::id()));
    let beside = file.with_file_name(name);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    // There are the secrets of the run in it.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut to = options.open(&beside)?;
    let saved = to.write_all(bytes).and_then(|()| to.sync_all()).and_then(|()| fs::rename(&beside, file));
    saved.inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })
}
