//! The rules of the house: which file may know which, and what may be in none.
//!
//! The import graph is read from the sources. A module imports only from floors below its own, or from further left on its
//! own floor; no two files import each other, however long the way round; a name is imported from the file that owns it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
};

use proc_macro2::{Spacing, Span, TokenStream, TokenTree};
use syn::{
    Attribute, Item, Meta, MetaList, UseTree, Visibility,
    punctuated::Punctuated,
    spanned::Spanned,
    visit::{self, Visit},
};

/// The floors, the lowest first; on one floor a module may import those to the left of it.
const FLOORS: &[&[&str]] = &[
    // What everything else is said in.
    &[
        "hash", "text", "never", "value", "clock", "run", "failure", "budget", "report", "slot", "policy", "contract",
        "valid", "state",
    ],
    // What a node runs in.
    &["store", "meter", "observe", "said", "exec"],
    // Nodes: those that wrap one other, and those that join several.
    &["layer", "compose"],
    // What a user writes a pipeline with.
    &["into_node", "body", "chain", "describe", "pipeline", "json", "picture"],
    // What a user holds.
    &["runner"],
    // What a user's tests hold all of that with.
    &["testing"],
];

/// Modules on one floor that never import each other, in either direction.
const WINGS: &[[&str; 2]] = &[["layer", "compose"]];

/// Where `dyn` stands in what builds without features, and why it may.
const DYN: &[(&str, &str)] = &[("runner/outcome.rs", "`core::error::Error::source` returns one")];

/// The crates that have a heap in them: without their names there is no `Box`, no `Vec` and no `String`.
const HEAP: &[&str] = &["alloc", "std"];

/// Macros that end in a panic or on the terminal.
const LOUD: &[&str] = &["dbg", "eprintln", "panic", "print", "println", "todo", "unimplemented", "unreachable"];

/// Methods that panic.
const HASTY: &[&str] = &["expect", "expect_err", "unwrap", "unwrap_err"];

#[test]
fn the_sources_keep_the_rules() {
    let found = House::new(read("src")).check();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn no_test_is_switched_off_or_waits_for_the_real_clock() {
    let mut found = Vec::new();
    for folder in ["src", "tests", "benches", "examples", "macros/src"] {
        for (name, text) in read(folder) {
            let name = format!("{folder}/{name}");
            if text.lines().any(|line| line.trim_start().trim_start_matches(['/', '!', ' ']).starts_with("```ignore")) {
                found.push(format!("{name}: an example that is not compiled"));
            }
            match syn::parse_file(&text) {
                Ok(file) => {
                    let mut tests = Tests { file: &name, found: &mut found };
                    tests.visit_file(&file);
                }
                Err(error) => found.push(format!("{name}: cannot be read: {error}")),
            }
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// All Rust files of a folder of the package by their path in it; what is a package of its own is left out.
fn read(folder: &str) -> BTreeMap<String, String> {
    fn walk(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries {
            let path = entry.expect("a folder can be read").path();
            if path.is_dir() {
                if !path.join("Cargo.toml").exists() {
                    walk(root, &path, files);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).expect("it is in the folder").to_string_lossy().replace('\\', "/");
                files.insert(name, fs::read_to_string(&path).expect("a source can be read"));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files = BTreeMap::new();
    walk(&root, &root, &mut files);
    files
}

/// The name of a module from the root, `["store", "codec"]`; the root itself is empty.
type ModPath = Vec<String>;

/// What is known of one module.
#[derive(Default)]
struct Module {
    /// The file that it is in.
    file: String,
    /// What it re-exports: the name here, and the path of where it is from.
    exports: BTreeMap<String, ModPath>,
    children: BTreeSet<String>,
}

/// One import, or one path that names another module.
struct Import {
    from: ModPath,
    line: usize,
    to: ModPath,
    /// A module that shows its own children's items imports nothing by that.
    facade: bool,
}

/// All sources and what was found in them.
struct House {
    sources: BTreeMap<String, String>,
    modules: BTreeMap<ModPath, Module>,
    imports: Vec<Import>,
    found: Vec<String>,
}

impl House {
    fn new(sources: BTreeMap<String, String>) -> Self {
        Self { sources, modules: BTreeMap::new(), imports: Vec::new(), found: Vec::new() }
    }

    /// What breaks a rule, a line for each.
    fn check(mut self) -> Vec<String> {
        let root = self.load("lib.rs", Vec::new(), false);
        if let Some(root) = root {
            self.check_root(&root);
        }
        let graph = self.graph();
        self.check_floors(&graph);
        self.check_circles(&graph);
        self.found
    }

    /// Reads a file and the files of its modules.
    fn load(&mut self, file: &str, path: ModPath, gated: bool) -> Option<syn::File> {
        let Some(text) = self.sources.get(file) else {
            self.found.push(format!("{file}: is missing"));
            return None;
        };
        let ast = match syn::parse_file(text) {
            Ok(ast) => ast,
            Err(error) => {
                self.found.push(format!("{file}: cannot be read: {error}"));
                return None;
            }
        };
        let gated = gated || ast.attrs.iter().any(|attribute| Gate::of(attribute) == Gate::Feature);
        self.collect(file, &path, &ast.items);
        let mut rules = Rules { house: self, file, path: path.clone(), gated };
        rules.visit_file(&ast);
        for item in &ast.items {
            let Item::Mod(module) = item else { continue };
            let gate = Gate::all(&module.attrs);
            if module.content.is_some() || gate == Gate::Test {
                continue;
            }
            let name = module.ident.to_string();
            let folder = path.iter().fold(String::new(), |folder, part| folder + part + "/");
            let (flat, deep) = (format!("{folder}{name}.rs"), format!("{folder}{name}/mod.rs"));
            let child = if self.sources.contains_key(&flat) { flat } else { deep };
            let mut below = path.clone();
            below.push(name);
            self.load(&child, below, gated || gate == Gate::Feature);
        }
        Some(ast)
    }

    /// Notes which modules there are and what they re-export.
    fn collect(&mut self, file: &str, path: &ModPath, items: &[Item]) {
        let mut module = Module { file: file.to_owned(), ..Module::default() };
        for item in items {
            if let Item::Mod(child) = item
                && Gate::all(&child.attrs) != Gate::Test
            {
                module.children.insert(child.ident.to_string());
                if let Some((_, items)) = &child.content {
                    let mut below = path.clone();
                    below.push(child.ident.to_string());
                    self.collect(file, &below, items);
                }
            }
        }
        for item in items {
            if let Item::Use(item) = item
                && !matches!(item.vis, Visibility::Inherited)
            {
                for (name, to, _) in flatten(&item.tree) {
                    if let Some(to) = absolute(path, &module.children, &to) {
                        module.exports.insert(name, to);
                    }
                }
            }
        }
        self.modules.insert(path.clone(), module);
    }

    /// The module that owns what a path names.
    fn owner(&self, path: &[String]) -> ModPath {
        let mut at = ModPath::new();
        for (position, name) in path.iter().enumerate() {
            let Some(module) = self.modules.get(&at) else { break };
            if module.children.contains(name) {
                at.push(name.clone());
            } else if let Some(to) = module.exports.get(name) {
                let whole: ModPath = to.iter().chain(&path[position + 1..]).cloned().collect();
                return self.owner(&whole);
            } else {
                break;
            }
        }
        at
    }

    /// Which file imports from which, with the line of the first import.
    fn graph(&mut self) -> BTreeMap<String, BTreeMap<String, usize>> {
        let mut graph: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
        for Import { from, line, to, facade } in &self.imports {
            let (Some(here), Some(there)) = (self.modules.get(from), self.modules.get(&self.owner(to))) else {
                continue;
            };
            if here.file == "lib.rs" || here.file == there.file || *facade {
                continue;
            }
            let root = self.modules.get(&ModPath::new());
            if !to.first().is_some_and(|first| root.is_some_and(|root| root.children.contains(first))) {
                self.found.push(format!(
                    "{}:{line}: imports `crate::{}` through the root: name the module that owns it",
                    here.file,
                    to.join("::")
                ));
                continue;
            }
            graph.entry(here.file.clone()).or_default().entry(there.file.clone()).or_insert(*line);
        }
        graph
    }

    fn check_floors(&mut self, graph: &BTreeMap<String, BTreeMap<String, usize>>) {
        let root = self.modules.get(&ModPath::new());
        let modules: BTreeSet<String> = root.map(|root| root.children.clone()).unwrap_or_default();
        for module in modules {
            let lists = self.modules.get(std::slice::from_ref(&module)).is_some_and(|module| module.file == "lib.rs");
            if !lists && standing(&module).is_none() {
                self.found.push(format!("`{module}` is on no floor: put it into `FLOORS`"));
            }
        }
        for (from, to) in graph {
            for (to, line) in to {
                let (here, there) = (top(from), top(to));
                if here == there {
                    continue;
                }
                let (Some(own), Some(other)) = (standing(here), standing(there)) else { continue };
                if WINGS.iter().any(|[one, two]| [here, there] == [*one, *two] || [there, here] == [*one, *two]) {
                    self.found.push(format!("{from}:{line}: `{here}` imports `{there}`, the other wing"));
                } else if other > own {
                    self.found.push(format!("{from}:{line}: `{here}` imports `{there}`, which stands above it"));
                }
            }
        }
    }

    fn check_circles(&mut self, graph: &BTreeMap<String, BTreeMap<String, usize>>) {
        for start in graph.keys() {
            // The shortest way back.
            let mut came: BTreeMap<&str, &str> = BTreeMap::new();
            let mut queue = vec![start.as_str()];
            let mut next = 0;
            while let Some(&at) = queue.get(next) {
                next += 1;
                for to in graph.get(at).into_iter().flat_map(BTreeMap::keys) {
                    if !came.contains_key(to.as_str()) {
                        came.insert(to, at);
                        queue.push(to);
                    }
                }
            }
            let mut circle = vec![start.as_str()];
            let mut at = start.as_str();
            while let Some(&before) = came.get(at) {
                circle.push(before);
                at = before;
                if at == start {
                    break;
                }
            }
            // Each circle is told once, from its first file on.
            if circle.len() > 1 && at == start && circle.iter().all(|file| *file >= start.as_str()) {
                circle.reverse();
                self.found.push(format!("a circle: {}", circle.join(" -> ")));
            }
        }
    }

    fn check_root(&mut self, root: &syn::File) {
        let has = |word: &str, what: &str| {
            root.attrs.iter().any(|attribute| {
                attribute.path().is_ident(word)
                    && (what.is_empty()
                        || attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == what))
            })
        };
        if !has("forbid", "unsafe_code") {
            self.found.push("lib.rs: `#![forbid(unsafe_code)]` is missing".to_owned());
        }
        if !has("no_std", "") {
            self.found.push("lib.rs: `#![no_std]` is missing".to_owned());
        }
        fn defines(items: &[Item]) -> Option<&Item> {
            items.iter().find(|item| match item {
                Item::ExternCrate(_) => false,
                Item::Use(item) => matches!(item.vis, Visibility::Inherited),
                Item::Mod(module) => module.content.as_ref().is_some_and(|(_, items)| defines(items).is_some()),
                _ => true,
            })
        }
        if let Some(item) = defines(&root.items) {
            self.found.push(format!("lib.rs:{}: something is defined here", line(item.span())));
        }
    }
}

/// Where a module stands: its floor, and its place on it.
fn standing(module: &str) -> Option<(usize, usize)> {
    FLOORS.iter().enumerate().find_map(|(floor, names)| {
        let place = names.iter().position(|name| *name == module)?;
        Some((floor, place))
    })
}

/// The module right under the root that a file belongs to.
fn top(file: &str) -> &str {
    file.split_once('/').map_or_else(|| file.trim_end_matches(".rs"), |(folder, _)| folder)
}

/// What an attribute makes of the item under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gate {
    Open,
    Feature,
    Test,
}

impl Gate {
    fn of(attribute: &Attribute) -> Self {
        if !attribute.path().is_ident("cfg") {
            return Self::Open;
        }
        let Ok(condition) = attribute.parse_args::<Meta>() else { return Self::Open };
        let in_build = |features| can_be(&condition, features).0;
        if in_build(false) {
            Self::Open
        } else if in_build(true) {
            Self::Feature
        } else {
            Self::Test
        }
    }

    fn all(attributes: &[Attribute]) -> Self {
        attributes.iter().map(Self::of).max().unwrap_or(Self::Open)
    }
}

/// Whether a condition can be true, and whether it can be false, outside of tests, with all features or with none.
fn can_be(condition: &Meta, features: bool) -> (bool, bool) {
    let parts = |list: &MetaList| {
        let parts = list.parse_args_with(Punctuated::<Meta, syn::Token![,]>::parse_terminated).unwrap_or_default();
        parts.iter().map(|part| can_be(part, features)).collect::<Vec<_>>()
    };
    match condition {
        Meta::Path(path) if path.is_ident("test") || path.is_ident("doctest") => (false, true),
        Meta::NameValue(pair) if pair.path.is_ident("feature") => (features, !features),
        Meta::List(list) if list.path.is_ident("all") => {
            parts(list).into_iter().fold((true, false), |all, part| (all.0 && part.0, all.1 || part.1))
        }
        Meta::List(list) if list.path.is_ident("any") => {
            parts(list).into_iter().fold((false, true), |any, part| (any.0 || part.0, any.1 && part.1))
        }
        Meta::List(list) if list.path.is_ident("not") => {
            parts(list).first().map_or((true, true), |&(yes, no)| (no, yes))
        }
        _ => (true, true),
    }
}

/// The attributes of one of these kinds of a syntax node.
macro_rules! attributes {
    ($of:expr, $kind:ident: $($variant:ident)*) => {
        match $of {
            $(syn::$kind::$variant(it) => &it.attrs[..],)*
            _ => &[],
        }
    };
}

/// Every name that a `use` brings in, the path that it comes from, and its line.
fn flatten(tree: &UseTree) -> Vec<(String, ModPath, usize)> {
    fn go(tree: &UseTree, before: &ModPath, all: &mut Vec<(String, ModPath, usize)>) {
        let with = |name: &syn::Ident| {
            let mut path = before.clone();
            if name != "self" || path.is_empty() {
                path.push(name.to_string());
            }
            path
        };
        match tree {
            UseTree::Path(path) => go(&path.tree, &with(&path.ident), all),
            UseTree::Name(name) => {
                let path = with(&name.ident);
                all.push((path.last().cloned().unwrap_or_default(), path, line(name.span())));
            }
            UseTree::Rename(name) => all.push((name.rename.to_string(), with(&name.ident), line(name.span()))),
            UseTree::Glob(glob) => all.push(("*".to_owned(), before.clone(), line(glob.span()))),
            UseTree::Group(group) => group.items.iter().for_each(|tree| go(tree, before, all)),
        }
    }
    let mut all = Vec::new();
    go(tree, &ModPath::new(), &mut all);
    all
}

/// A path from the root, or nothing where it leads out of the crate.
fn absolute(module: &ModPath, children: &BTreeSet<String>, path: &[String]) -> Option<ModPath> {
    let (first, rest) = path.split_first()?;
    let mut at = match first.as_str() {
        "crate" => ModPath::new(),
        "self" => module.clone(),
        "super" => {
            let mut above = module.clone();
            above.pop()?;
            above
        }
        child if children.contains(child) => {
            let mut below = module.clone();
            below.push(child.to_owned());
            below
        }
        _ => return None,
    };
    for name in rest {
        if name == "super" {
            at.pop()?;
        } else {
            at.push(name.clone());
        }
    }
    Some(at)
}

fn line(span: Span) -> usize {
    span.start().line
}

/// Reads one file by the rules that hold for every line.
struct Rules<'h> {
    house: &'h mut House,
    file: &'h str,
    path: ModPath,
    /// Whether what is being read needs a feature.
    gated: bool,
}

impl Rules<'_> {
    fn says(&mut self, span: Span, what: &str) {
        self.house.found.push(format!("{}:{}: {what}", self.file, line(span)));
    }

    /// Reads on below these attributes, unless it is a test.
    fn below(&mut self, attributes: &[Attribute], read: impl FnOnce(&mut Self)) {
        let before = self.gated;
        match Gate::all(attributes) {
            Gate::Test => return,
            Gate::Feature => self.gated = true,
            Gate::Open => {}
        }
        read(self);
        self.gated = before;
    }

    fn import(&mut self, path: &[String], line: usize, shown: bool) {
        let children = self.house.modules.get(&self.path).map(|module| module.children.clone()).unwrap_or_default();
        if let Some(to) = absolute(&self.path, &children, path) {
            let facade = shown && to.len() > self.path.len() && to.starts_with(&self.path);
            self.house.imports.push(Import { from: self.path.clone(), line, to, facade });
        }
    }

    fn name(&mut self, path: &syn::Path) {
        let names: ModPath = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        let child = |first: &String| self.house.modules.get(&self.path).is_some_and(|it| it.children.contains(first));
        let leads = |first: &String| ["crate", "self", "super"].contains(&first.as_str()) || child(first);
        if names.first().is_some_and(leads) && names.len() > 1 {
            self.import(&names, line(path.span()), false);
        }
    }

    /// Reads what stands in a macro, which is text to the parser.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mark =
            |at: usize, char: char| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == char);
        let colons = |at: usize| {
            matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == ':' && punct.spacing() == Spacing::Joint)
                && mark(at + 1, ':')
        };
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(ident) => {
                    let name = ident.to_string();
                    let after = |char| at > 0 && mark(at - 1, char);
                    if HASTY.contains(&name.as_str()) && after('.') {
                        self.says(ident.span(), &format!("`.{name}()` panics"));
                    }
                    if LOUD.contains(&name.as_str()) && mark(at + 1, '!') {
                        self.says(ident.span(), &format!("`{name}!`"));
                    }
                    if name == "dyn" {
                        self.trait_object(ident.span());
                    }
                    if HEAP.contains(&name.as_str()) && colons(at + 1) && !after(':') {
                        self.heap(ident.span(), &name);
                    }
                    if ["crate", "super"].contains(&name.as_str()) && !after('$') && !after(':') {
                        let mut path = vec![name];
                        let mut next = at + 1;
                        while colons(next)
                            && let Some(TokenTree::Ident(ident)) = tokens.get(next + 2)
                        {
                            path.push(ident.to_string());
                            next += 3;
                        }
                        if path.len() > 1 {
                            self.import(&path, line(ident.span()), false);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn trait_object(&mut self, span: Span) {
        if !self.gated && !DYN.iter().any(|(file, _)| *file == self.file) {
            self.says(span, "`dyn` in what builds without features");
        }
    }

    fn heap(&mut self, span: Span, name: &str) {
        if !self.gated {
            self.says(span, &format!("`{name}::` in what builds without features"));
        }
    }
}

impl<'ast> Visit<'ast> for Rules<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes =
            attributes!(item, Item: Const Enum Fn Impl Macro Mod Static Struct Trait TraitAlias Type Union Use);
        self.below(attributes, |rules| visit::visit_item(rules, item));
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.content.is_some() {
            self.path.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.path.pop();
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let shown = !matches!(item.vis, Visibility::Inherited);
        for (_, path, line) in flatten(&item.tree) {
            self.import(&path, line, shown);
            if let Some(first) = path.first().filter(|first| HEAP.contains(&first.as_str())) {
                self.heap(item.span(), first);
            }
        }
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let attributes = attributes!(item, ImplItem: Const Fn Macro Type);
        self.below(attributes, |rules| visit::visit_impl_item(rules, item));
    }

    fn visit_trait_item(&mut self, item: &'ast syn::TraitItem) {
        let attributes = attributes!(item, TraitItem: Const Fn Macro Type);
        self.below(attributes, |rules| visit::visit_trait_item(rules, item));
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        self.below(&variant.attrs, |rules| visit::visit_variant(rules, variant));
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        self.below(&field.attrs, |rules| visit::visit_field(rules, field));
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        self.below(&arm.attrs, |rules| visit::visit_arm(rules, arm));
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        self.below(&local.attrs, |rules| visit::visit_local(rules, local));
    }

    fn visit_stmt_macro(&mut self, call: &'ast syn::StmtMacro) {
        self.below(&call.attrs, |rules| visit::visit_stmt_macro(rules, call));
    }

    fn visit_expr(&mut self, expr: &'ast syn::Expr) {
        let attributes = attributes!(expr, Expr: Array Assign Async Await Binary Block Call Closure Const Field ForLoop If Index
            Let Lit Loop Macro Match MethodCall Paren Path Reference Repeat Return Struct Try Tuple Unary While);
        self.below(attributes, |rules| visit::visit_expr(rules, expr));
    }

    fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
        self.below(&field.attrs, |rules| visit::visit_field_value(rules, field));
    }

    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.name(path);
        if let Some(first) = path.segments.first()
            && path.segments.len() > 1
            && HEAP.iter().any(|name| first.ident == name)
        {
            self.heap(path.span(), &first.ident.to_string());
        }
        visit::visit_path(self, path);
    }

    fn visit_type_trait_object(&mut self, object: &'ast syn::TypeTraitObject) {
        self.trait_object(object.span());
        visit::visit_type_trait_object(self, object);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if HASTY.iter().any(|name| call.method == name) {
            self.says(call.method.span(), &format!("`.{}()` panics", call.method));
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if let Some(name) = call.path.segments.last()
            && LOUD.iter().any(|loud| name.ident == loud)
        {
            self.says(call.span(), &format!("`{}!`", name.ident));
        }
        self.name(&call.path);
        self.tokens(call.tokens.clone());
    }
}

/// Reads one file, its tests too, by the rules that hold for tests.
struct Tests<'t> {
    file: &'t str,
    found: &'t mut Vec<String>,
}

impl Tests<'_> {
    fn sleeps(&mut self, path: &[String], line: usize) {
        if path.ends_with(&["thread".to_owned(), "sleep".to_owned()]) {
            self.found.push(format!("{}:{line}: waits for the real clock", self.file));
        }
    }

    fn tokens(&mut self, tokens: TokenStream) {
        let mut before = [String::new(), String::new(), String::new()];
        for token in tokens {
            if let TokenTree::Group(group) = &token {
                self.tokens(group.stream());
            }
            let text = token.to_string();
            if text == "sleep" && before == ["thread", ":", ":"] {
                self.found.push(format!("{}:{}: waits for the real clock", self.file, line(token.span())));
            }
            before.rotate_left(1);
            before[2] = text;
        }
    }
}

impl<'ast> Visit<'ast> for Tests<'_> {
    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        let conditional = attribute.path().is_ident("cfg_attr")
            && attribute
                .parse_args_with(Punctuated::<Meta, syn::Token![,]>::parse_terminated)
                .is_ok_and(|parts| parts.iter().skip(1).any(|part| part.path().is_ident("ignore")));
        if attribute.path().is_ident("ignore") || conditional {
            self.found.push(format!("{}:{}: a test that is switched off", self.file, line(attribute.span())));
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        for (_, path, line) in flatten(&item.tree) {
            self.sleeps(&path, line);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: ModPath = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.sleeps(&names, line(path.span()));
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.tokens(call.tokens.clone());
    }
}

/// A house with one more thing in it than is allowed, and the rule that has to see it.
#[test]
fn every_rule_sees_what_breaks_it() {
    const ROOT: &str =
        "#![no_std]\n#![forbid(unsafe_code)]\nmod exec; mod hash; mod layer; mod compose; mod run; pub mod store;\n";
    let house = |file: &str, text: &str| {
        let mut sources = BTreeMap::from(
            [
                ("lib.rs", ROOT),
                ("exec.rs", "use crate::{run::RunId, store::{Slot, decode}}; pub struct Cx;"),
                ("hash.rs", "#[cfg(test)] mod tests { fn f() { None::<Vec<u8>>.unwrap(); panic!() } }"),
                ("layer.rs", "use crate::exec::Cx;"),
                (
                    "compose.rs",
                    "use crate::exec::Cx; #[cfg(feature = \"alloc\")] fn f() -> alloc::vec::Vec<u8> { todo() }",
                ),
                ("run.rs", "pub struct RunId; fn f() { crate::hash::fnv() }"),
                ("store/mod.rs", "mod codec; pub use codec::decode; pub struct Slot;"),
                ("store/codec.rs", "use super::Slot; pub fn decode() {}"),
            ]
            .map(|(file, text)| (file.to_owned(), text.to_owned())),
        );
        let before = sources.entry(file.to_owned()).or_default();
        let _ = write!(before, "\n{text}");
        House::new(sources).check()
    };
    assert_eq!(house("hash.rs", ""), [""; 0]);
    for (file, text, seen) in [
        ("hash.rs", "use crate::run::RunId;", "hash.rs:2: `hash` imports `run`, which stands above it"),
        ("hash.rs", "use crate::run::RunId;", "a circle: hash.rs -> run.rs -> hash.rs"),
        ("run.rs", "fn g(_: crate::exec::Cx) {}", "run.rs:2: `run` imports `exec`, which stands above it"),
        ("run.rs", "m! { x; crate::exec::Cx }", "run.rs:2: `run` imports `exec`, which stands above it"),
        (
            "run.rs",
            "macro_rules! m { () => { crate::exec::Cx } }",
            "run.rs:2: `run` imports `exec`, which stands above it",
        ),
        ("layer.rs", "use super::compose::Seq;", "layer.rs:2: `layer` imports `compose`, the other wing"),
        ("compose.rs", "use crate::layer::Step;", "compose.rs:2: `compose` imports `layer`, the other wing"),
        ("store/mod.rs", "use codec::decode as d;", "a circle: store/codec.rs -> store/mod.rs -> store/codec.rs"),
        ("store/mod.rs", "fn f() { codec::decode() }", "a circle: store/codec.rs -> store/mod.rs -> store/codec.rs"),
        ("lib.rs", "pub use exec::Cx;\nmod policy;", "policy/mod.rs: is missing"),
        ("lib.rs", "mod attic {}", ""),
        (
            "layer.rs",
            "use crate::Cx;",
            "layer.rs:2: imports `crate::Cx` through the root: name the module that owns it",
        ),
        ("lib.rs", "pub struct Error;", "lib.rs:5: something is defined here"),
        ("lib.rs", "pub mod prelude { pub use crate::exec::Cx; pub fn f() {} }", "lib.rs:5: something is defined here"),
        ("run.rs", "fn g(_: &dyn Fn()) {}", "run.rs:2: `dyn` in what builds without features"),
        ("run.rs", "fn g() -> alloc::boxed::Box<u8> {}", "run.rs:2: `alloc::` in what builds without features"),
        ("run.rs", "use alloc::string::String;", "run.rs:2: `alloc::` in what builds without features"),
        (
            "compose.rs",
            "#[cfg(not(feature = \"alloc\"))] use alloc::vec::Vec;",
            "compose.rs:2: `alloc::` in what builds without features",
        ),
        (
            "run.rs",
            "fn g() { #[cfg(feature = \"alloc\")] return alloc::f(); #[cfg(not(feature = \"alloc\"))] return 1; }",
            "",
        ),
        (
            "run.rs",
            "#[cfg(any(feature = \"alloc\", unix))] fn g() { alloc::f() }",
            "run.rs:2: `alloc::` in what builds without features",
        ),
        ("run.rs", "#[cfg(all(feature = \"alloc\", not(unix)))] fn g() { alloc::f() }", ""),
        ("run.rs", "#[cfg(all(test, not(feature = \"alloc\")))] fn g() { alloc::f().unwrap() }", ""),
        ("run.rs", "fn g() { None::<u8>.unwrap(); }", "run.rs:2: `.unwrap()` panics"),
        ("run.rs", "fn g() { write!(f, \"{}\", x.expect(\"x\")) }", "run.rs:2: `.expect()` panics"),
        ("run.rs", "fn g() { panic!() }", "run.rs:2: `panic!`"),
        ("run.rs", "#[cfg(feature = \"std\")] fn g() { todo!() }", "run.rs:2: `todo!`"),
    ] {
        let found = house(file, text);
        assert!(seen.is_empty() == found.is_empty(), "{file}: {text}: {found:#?}");
        assert!(seen.is_empty() || found.iter().any(|line| line == seen), "{file}: {text}: {found:#?}");
    }
    let mut bare = BTreeMap::new();
    bare.insert("lib.rs".to_owned(), "mod attic;".to_owned());
    bare.insert("attic.rs".to_owned(), String::new());
    assert_eq!(
        House::new(bare).check(),
        [
            "lib.rs: `#![forbid(unsafe_code)]` is missing",
            "lib.rs: `#![no_std]` is missing",
            "`attic` is on no floor: put it into `FLOORS`"
        ]
    );
}
