//! Reads the markup of pictures, strictly: what is not well-formed panics.

use std::collections::BTreeMap;

/// An element of a picture: its name, its attributes and the text directly in it.
#[derive(Debug, Default)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) text: String,
}

impl Element {
    /// Whether it is of this class.
    pub(crate) fn is(&self, class: &str) -> bool {
        self.attributes.get("class").is_some_and(|classes| classes.split(' ').any(|one| one == class))
    }

    /// The number that an attribute is.
    pub(crate) fn number(&self, attribute: &str) -> f64 {
        self.attributes[attribute].parse().expect("it is a number")
    }
}

fn unescaped(text: &str) -> String {
    let mut read = String::new();
    let mut rest = text;
    while let Some((before, entity)) = rest.split_once('&') {
        let (name, after) = entity.split_once(';').expect("an entity ends");
        let entities = [("amp", '&'), ("lt", '<'), ("gt", '>'), ("quot", '"'), ("#39", '\'')];
        read.push_str(before);
        read.push(entities.into_iter().find(|(known, _)| *known == name).expect("it is a known one").1);
        rest = after;
    }
    read + rest
}

/// All elements of a well-formed document, in order; panics where it is none.
pub(crate) fn elements(text: &str) -> Vec<Element> {
    let mut found: Vec<Element> = Vec::new();
    let mut open = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        assert!(!before.contains('>') || open.last().is_some_and(|at: &usize| found[*at].name == "style"), "{before}");
        if let Some(at) = open.last() {
            found[*at].text.push_str(&unescaped(before));
        }
        let (mut tag, after) = after.split_once('>').expect("a tag ends");
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            let at = open.pop().unwrap_or_else(|| panic!("`{name}` ends without a beginning"));
            assert_eq!(found[at].name, name, "ends before what is in it");
            continue;
        }
        if tag.starts_with('!') {
            continue;
        }
        let alone = tag.ends_with('/') || tag.starts_with("meta ");
        tag = tag.trim_end_matches('/');
        let (name, mut attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let mut element = Element { name: name.to_owned(), ..Element::default() };
        while !attributes.trim().is_empty() {
            let (key, value) = attributes.trim_start().split_once("=\"").expect("an attribute has its value in quotes");
            let (value, others) = value.split_once('"').expect("a value ends");
            assert!(!key.contains([' ', '"', '\'', '/']), "{tag}");
            assert_eq!(element.attributes.insert(key.to_owned(), unescaped(value)), None, "twice: {tag}");
            attributes = others;
        }
        if !alone {
            open.push(found.len());
        }
        found.push(element);
    }
    assert!(open.is_empty(), "something does not end");
    found
}
