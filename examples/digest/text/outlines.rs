//! Outlines of Rust and TOML.

use super::language::{narrow, one_line};
use super::{Heading, LONGEST_HEADING, LONGEST_WORD};

/// The items of a Rust file. Of a test module only its name is given.
pub(super) fn rust_items(text: &str) -> Vec<Heading> {
    let mut items = Vec::new();
    let mut in_tests = false;
    let mut in_comment = false;
    for (index, raw) in text.lines().enumerate() {
        let trimmed = raw.trim();
        if in_comment || trimmed.starts_with("/*") {
            in_comment = !trimmed.contains("*/");
            continue;
        }
        if in_tests {
            // rustfmt puts the closing brace of a module at its own indent, and test modules stand at the left margin.
            in_tests = !raw.starts_with('}');
            continue;
        }
        let Some(item) = rust_item(trimmed) else { continue };
        in_tests = raw.starts_with("mod test") && !trimmed.ends_with([';', '}']);
        let indent: usize = raw.chars().take_while(|c| c.is_whitespace()).map(|c| if c == '\t' { 4 } else { 1 }).sum();
        let level = u8::try_from(indent / 4).unwrap_or(5).min(5) + 1;
        items.push(Heading { level, line: narrow(index + 1), text: item });
    }
    items
}

/// The item that a line of Rust begins: visibility, qualifiers, keyword and name, or the head of an `impl`.
pub(super) fn rust_item(line: &str) -> Option<String> {
    let after_pub = line.strip_prefix("pub").filter(|rest| rest.starts_with([' ', '(']));
    let Some(rest) = after_pub else { return item_after("", line) };
    // `pub(crate)`, `pub(in path)`; a parenthesis further off belongs to something else.
    let scope = if rest.starts_with('(') { rest.find(')')? + 1 } else { 0 };
    if scope > LONGEST_WORD {
        return None;
    }
    let (visibility, declaration) = line.split_at_checked("pub".len() + scope)?;
    item_after(visibility, declaration.trim_start())
}

/// The item in a declaration whose visibility is cut off.
pub(super) fn item_after(visibility: &str, declaration: &str) -> Option<String> {
    let mut rest = declaration;
    let mut qualifiers = String::new();
    loop {
        let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let after = after.trim_start();
        let constant_item =
            word == "const" && !["fn ", "unsafe ", "async ", "extern "].iter().any(|q| after.starts_with(q));
        match word {
            "async" | "unsafe" | "default" | "const" if !constant_item => {
                qualifiers.push_str(word);
                qualifiers.push(' ');
                rest = after;
            }
            "extern" => {
                // The ABI is a string, and may be left out.
                rest = after
                    .strip_prefix('"')
                    .and_then(|abi| abi.split_once('"'))
                    .map_or(after, |(_, rest)| rest.trim_start());
                qualifiers.push_str("extern ");
            }
            "fn" | "mod" | "struct" | "enum" | "union" | "trait" => return named(visibility, &qualifiers, word, after),
            "macro_rules!" => return named(visibility, &qualifiers, word, after),
            "const" | "static" | "type" if !visibility.is_empty() => {
                return named(visibility, &qualifiers, word, after);
            }
            _ if word == "impl" || word.starts_with("impl<") => {
                let head = rest.split('{').next().unwrap_or_default();
                let head = head.split(" where").next().unwrap_or_default();
                return Some(one_line(&[&qualifiers, head].concat(), LONGEST_HEADING));
            }
            _ => return None,
        }
        // `async move { .. }` and the like run out of words here, and a line of nothing but qualifiers ends.
        if rest.is_empty() || qualifiers.len() > LONGEST_WORD {
            return None;
        }
    }
}

/// A heading of visibility, qualifiers, keyword and the name that `rest` begins with, if it begins with one.
pub(super) fn named(visibility: &str, qualifiers: &str, keyword: &str, rest: &str) -> Option<String> {
    let rest = rest.strip_prefix("mut ").unwrap_or(rest);
    let name =
        rest.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '#').next().filter(|name| !name.is_empty())?;
    Some(one_line(&format!("{visibility} {qualifiers}{keyword} {name}"), LONGEST_HEADING))
}

/// The tables of a TOML file.
pub(super) fn toml_tables(text: &str) -> Vec<Heading> {
    let tables = text.lines().enumerate().filter_map(|(index, line)| {
        // The name of a table stands at the margin; what is indented is the value of an array.
        let inner = line.strip_prefix("[[").or_else(|| line.strip_prefix('['))?;
        let (name, _) = inner.split_once(']')?;
        let text = one_line(name, LONGEST_HEADING);
        let level = u8::try_from(name.matches('.').count()).unwrap_or(5).min(5) + 1;
        (!text.is_empty()).then(|| Heading { level, line: narrow(index + 1), text })
    });
    tables.collect()
}

/// The first `name` or `title` of a TOML file: what its package, its project or its book is called.
pub(super) fn toml_name(text: &str) -> Option<String> {
    let mut values = text.lines().filter_map(|line| {
        let (key, value) = line.split_once('=')?;
        let value = value.trim().strip_prefix('"')?.split('"').next()?;
        matches!(key.trim(), "name" | "title").then(|| one_line(value, LONGEST_HEADING))
    });
    values.find(|value| !value.is_empty())
}
