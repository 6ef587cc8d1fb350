//! One run with all that it keeps.

#[cfg(unix)]
use std::fs::File;
use std::{
    io::{self, Write},
    path::Path,
    time::SystemTime,
};

use serde_json::json;
use stroma::store::inspect::RunView;
use tempfile::NamedTempFile;

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
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Beside it, since only within a file system a name changes hands at once. There are the secrets of the run in it: on Unix only
    // its owner may read it.
    let mut beside = NamedTempFile::new_in(folder)?;
    beside.write_all(bytes)?;
    beside.as_file().sync_all()?;
    beside.persist_noclobber(file).map_err(|error| error.error)?;
    // That the name lasts is not ours to say where folders cannot be synced; the file is there in any case.
    #[cfg(unix)]
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}
