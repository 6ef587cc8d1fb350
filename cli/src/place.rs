//! Where a store is, and what of that may be shown.

use std::{borrow::Cow, path::Path};

use crate::text::plain;

const SCHEMES: [&str; 7] = ["redis", "rediss", "redis+unix", "valkey", "valkeys", "valkey+unix", "unix"];

fn is_scheme(word: &str) -> bool {
    SCHEMES.contains(&&*word.to_ascii_lowercase())
}

/// Whether it is the URL of a server, or meant to be one; else it is the path of a file.
pub(crate) fn is_url(place: &str) -> bool {
    let scheme = place.split_once(':').map(|(scheme, _)| scheme);
    place.contains("://") || scheme.is_some_and(is_scheme) || user(place).is_some_and(|user| !user.contains('/'))
}

/// What stands before the host in `user:password@host`, in front of which somebody forgot the rest.
fn user(place: &str) -> Option<&str> {
    place.rsplit_once('@').map(|(user, _)| user).filter(|user| user.contains(':'))
}

/// The store's name without what is nobody else's business: who logs in, with which password. What is opened as a file may be a slip
/// of the hand as well, unless there is a file of this name.
pub(crate) fn redacted(place: &str) -> String {
    if !is_url(place) {
        return match user(place) {
            Some(user) if !Path::new(place).exists() => {
                let host = place.get(user.len()..).unwrap_or_default();
                format!("..{}", plain(host.split('?').next().unwrap_or_default()))
            }
            _ => plain(place).into_owned(),
        };
    }
    let scheme = match (place.split_once("://"), place.split_once(':')) {
        (Some((scheme, _)), _) => format!("{scheme}://"),
        (None, Some((scheme, _))) if is_scheme(scheme) => format!("{scheme}:"),
        _ => String::new(),
    };
    let rest = place.get(scheme.len()..).unwrap_or_default();
    let shown = match (rest.find('?'), rest.rfind('@')) {
        // Either may stand in a password: what is left of it is not to be seen.
        (Some(query), Some(at)) if query < at => "..",
        (query, at) => rest.get(at.map_or(0, |at| at + 1)..query.unwrap_or(rest.len())).unwrap_or_default(),
    };
    plain(&(scheme + shown)).into_owned()
}

/// The id of a run, whole: unless somebody took the one for the other, and it is the URL of a server.
pub(crate) fn run_id(id: &str) -> Cow<'_, str> {
    if has_scheme(id) { Cow::Owned(redacted(id)) } else { plain(id) }
}

/// Whether the URL of a server is in it, whatever stands before: `--store=redis://..`.
pub(crate) fn has_scheme(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '+';
    text.match_indices("://").any(|(at, _)| {
        let before = text.get(..at).unwrap_or_default();
        is_scheme(before.rsplit(|c| !is_part(c)).next().unwrap_or_default())
    })
}

/// Whether any part of what is not shown of the place is in the text.
pub(crate) fn betrays(text: &str, place: &str) -> bool {
    let shown = redacted(place);
    if shown == plain(place) {
        return false;
    }
    let mut parts = place.split([':', '@', ',', '/', '?', '&', '=']).filter(|part| !part.is_empty());
    // What is encoded may have been decoded on its way into the text.
    text.contains(place) || parts.any(|part| part.contains('%') || text.contains(part) && !shown.contains(part))
}

#[cfg(test)]
mod tests {
    use super::{betrays, redacted, run_id};

    #[test]
    fn no_password_is_shown() {
        for (place, shown) in [
            ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
            ("rediss://user:se@cret@host/1", "rediss://host/1"),
            ("redis://:secret@host", "redis://host"),
            ("redis://u:sec?ret@host", "redis://.."),
            ("unix:///run/redis.sock?pass=secret", "unix:///run/redis.sock"),
            ("unix:///run/redis.sock?pass=sec@ret", "unix://.."),
            ("redis+unix:///run/redis.sock?db=1&user=a&pass=secret", "redis+unix:///run/redis.sock"),
            // What is a slip of the hand.
            ("redis:u:secret@host", "redis:host"),
            ("redis:/u:secret@host", "redis:host"),
            ("Redis:u:secret@host", "Redis:host"),
            ("u:secret@host:6379", "host:6379"),
            ("--state=x,redis://u:secret@host", "--state=x,redis://host"),
            ("runs?.redb", "runs?.redb"),
            ("me@work.redb", "me@work.redb"),
            ("u:sec/ret@host", "..@host"),
            ("u:sec/ret@host?pass=secret", "..@host"),
        ] {
            assert_eq!(redacted(place), shown);
        }
    }

    #[test]
    fn a_file_that_is_there_has_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a:b@work.redb");
        assert_eq!(redacted(path.to_str().unwrap()), "..@work.redb");
        std::fs::write(&path, "").unwrap();
        assert_eq!(redacted(path.to_str().unwrap()), path.to_str().unwrap());
    }

    #[test]
    fn the_id_of_a_run_is_whole_unless_it_is_a_url() {
        for id in ["user:42@eu", "redis:user:42@eu", "a/b:c@d?e", "http://u:42@eu", "me@work"] {
            assert_eq!(run_id(id), id);
        }
        assert_eq!(run_id("\u{1b}:x@y"), "\\u{1b}:x@y");
        for (id, shown) in [("redis://:secret@h", "redis://h"), ("Rediss://u:secret@h", "Rediss://h")] {
            assert_eq!(run_id(id), shown);
        }
        assert_eq!(run_id("unix:///redis.sock?pass=secret"), "unix:///redis.sock");
    }

    #[test]
    fn a_part_of_a_password_is_found() {
        for text in ["no secret here", "no cret here", "no us here"] {
            assert!(betrays(text, "redis://us:secret,cret@host/0"), "{text}");
        }
        assert!(betrays("no `:host@host`", ":host@host") && betrays("no !! here", ":!!,!@host"));
        assert!(betrays("whatever", "redis://:s%65cret@host/0"));
        assert!(!betrays("Invalid database number", "redis://us:secret@host/x"));
        assert!(!betrays("no host", "redis://host/x"));
    }
}
