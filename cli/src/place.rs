//! Where a store is, and what of that may be shown.

use crate::text::plain;

const SCHEMES: [&str; 7] = ["redis", "rediss", "redis+unix", "valkey", "valkeys", "valkey+unix", "unix"];

/// Whether it is the URL of a server, or meant to be one; else it is the path of a file.
pub(crate) fn is_url(place: &str) -> bool {
    let scheme = place.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    place.contains("://") || scheme.is_some_and(|scheme| SCHEMES.contains(&&*scheme)) || has_password(place)
}

/// `user:password@host`, in front of which somebody forgot the rest.
fn has_password(place: &str) -> bool {
    place.rsplit_once('@').is_some_and(|(user, _)| user.contains(':') && !user.contains('/'))
}

/// The store's name without what is nobody else's business: who logs in, with which password.
pub(crate) fn redacted(place: &str) -> String {
    if !is_url(place) {
        return plain(place).into_owned();
    }
    let scheme = match (place.split_once("://"), place.split_once(':')) {
        (Some((scheme, _)), _) => format!("{scheme}://"),
        (None, Some((scheme, _))) if SCHEMES.contains(&&*scheme.to_ascii_lowercase()) => format!("{scheme}:"),
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

#[cfg(test)]
mod tests {
    use super::redacted;

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
            ("a:b/me@work.redb", "a:b/me@work.redb"),
        ] {
            assert_eq!(redacted(place), shown);
        }
    }
}
