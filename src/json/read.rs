//! A value from JSON text.

use alloc::string::ToString;

use serde::Deserialize;

use crate::{contract::Violation, text::Text};

/// The most bytes of a path that are told: keys of a map are the other side's words.
const PATH_MAX: usize = 256;

/// The most bytes of a message that are told, its line and column aside: it quotes the value that does not fit.
const MESSAGE_MAX: usize = 512;

/// Reads a value from JSON text.
///
/// # Errors
/// When the text is not JSON, is not a `T`, goes on after its end, or is nested too deeply (128 levels): with the path of the field
/// that does not fit, such as `facts[3].year`, and what serde says of it, with line and column. Of the text, no more is
/// quoted than the value and the keys there, both cut when they are long.
///
/// ```
/// # use serde::Deserialize;
/// #[derive(Debug, Deserialize)]
/// struct Fact {
///     year: u32,
/// }
///
/// let violation = stroma::json::from_str::<Vec<Fact>>(r#"[{"year": 1851}, {"year": "long ago"}]"#).unwrap_err();
/// assert_eq!(violation.path(), "[1].year");
/// assert_eq!(violation.message(), r#"invalid type: string "long ago", expected u32 at line 1 column 36"#);
/// ```
pub fn from_str<'t, T: Deserialize<'t>>(text: &'t str) -> Result<T, Violation> {
    read(serde_json::Deserializer::from_str(text))
}

/// Reads a value from JSON text that is not known to be UTF-8.
///
/// # Errors
/// As [`from_str`], and when it is not UTF-8.
pub fn from_slice<'t, T: Deserialize<'t>>(text: &'t [u8]) -> Result<T, Violation> {
    read(serde_json::Deserializer::from_slice(text))
}

fn read<'t, R, T>(mut text: serde_json::Deserializer<R>) -> Result<T, Violation>
where
    R: serde_json::de::Read<'t>,
    T: Deserialize<'t>,
{
    let value = match serde_path_to_error::deserialize(&mut text) {
        Ok(value) => value,
        Err(error) => {
            let violation = violation(error.inner());
            // The root is `.` there and nothing here.
            let is_root = error.path().iter().next().is_none();
            return Err(if is_root { violation } else { violation.at(Text::<PATH_MAX>::of(error.path())) });
        }
    };
    text.end().map_err(|error| violation(&error))?;
    Ok(value)
}

/// What serde says: cut, but with line and column.
#[cold]
fn violation(error: &serde_json::Error) -> Violation {
    let whole = error.to_string();
    let place = match error.line() {
        0 => Text::<48>::empty(),
        line => Text::of(format_args!(" at line {line} column {}", error.column())),
    };
    let message = whole.strip_suffix(place.as_str()).unwrap_or(&whole);
    Violation::new(format_args!("{}{place}", Text::<MESSAGE_MAX>::of(message)))
}
