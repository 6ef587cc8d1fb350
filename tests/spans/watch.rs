//! A layer that writes down every span and event.

use super::*;

/// What a subscriber was told.
#[derive(Default)]
pub(crate) struct Told {
    /// Spans and events, as they came.
    pub(crate) all: Vec<Entry>,
    /// Which spans began and ended, in order.
    pub(crate) order: Vec<String>,
}

pub(crate) struct Entry {
    pub(crate) parent: Option<usize>,
    /// The name of a span, or the level of an event.
    pub(crate) name: String,
    pub(crate) target: &'static str,
    pub(crate) fields: Fields,
    pub(crate) open: bool,
}

/// Fields as text.
#[derive(Default, Clone)]
pub(crate) struct Fields(pub(crate) BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

/// A layer that writes all down, but for the spans of one name, which it does not want.
#[derive(Clone, Default)]
pub(crate) struct Watch {
    pub(crate) told: Arc<Mutex<Told>>,
    pub(crate) unwanted: Option<&'static str>,
}

pub(crate) struct Index(pub(crate) usize);

impl<S: Subscriber + for<'l> LookupSpan<'l>> Layer<S> for Watch {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.unwanted != Some(metadata.name())
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let parent = span.parent().and_then(|parent| parent.extensions().get::<Index>().map(|index| index.0));
        let (name, target) = (span.name().to_owned(), span.metadata().target());
        let mut told = self.told.lock().unwrap();
        span.extensions_mut().insert(Index(told.all.len()));
        told.order.push(format!("+{name}"));
        told.all.push(Entry { parent, name, target, fields, open: true });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let index = context.span(id).unwrap().extensions().get::<Index>().unwrap().0;
        values.record(&mut self.told.lock().unwrap().all[index].fields);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let index = context.span(&id).unwrap().extensions().get::<Index>().unwrap().0;
        let mut told = self.told.lock().unwrap();
        let name = format!("-{}", told.all[index].name);
        told.order.push(name);
        told.all[index].open = false;
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let parent = context.event_span(event).and_then(|span| span.extensions().get::<Index>().map(|index| index.0));
        let (name, target) = (event.metadata().level().to_string(), event.metadata().target());
        self.told.lock().unwrap().all.push(Entry { parent, name, target, fields, open: false });
    }
}

impl Watch {
    /// One that all of this thread goes to, for as long as the guard is there.
    pub(crate) fn here() -> (Self, DefaultGuard) {
        Self::without(None)
    }

    pub(crate) fn without(unwanted: Option<&'static str>) -> (Self, DefaultGuard) {
        let watch = Self { unwanted, ..Self::default() };
        let guard = watch.also_here();
        (watch, guard)
    }

    pub(crate) fn also_here(&self) -> DefaultGuard {
        tracing::subscriber::set_default(Registry::default().with(self.clone()))
    }

    /// The tree of spans and events, as they came, with times left out and what is still open marked.
    pub(crate) fn tree(&self) -> String {
        let told = self.told.lock().unwrap();
        let mut text = String::new();
        told.show(None, 0, &mut text);
        text
    }

    /// What was told of this field, in order.
    pub(crate) fn all(&self, field: &str) -> Vec<String> {
        self.told.lock().unwrap().all.iter().filter_map(|entry| entry.fields.0.get(field).cloned()).collect()
    }
}

impl Told {
    pub(crate) fn show(&self, parent: Option<usize>, depth: usize, text: &mut String) {
        for (index, entry) in self.all.iter().enumerate().filter(|(_, entry)| entry.parent == parent) {
            let open = if entry.open { " (open)" } else { "" };
            let _ = write!(text, "{:indent$}{}", "", entry.name, indent = 2 * depth);
            for (name, value) in &entry.fields.0 {
                let _ = match *name {
                    spans::TOOK_US | "message" => Ok(()),
                    name => write!(text, " {name}={value}"),
                };
            }
            let message = entry.fields.0.get("message").map(|message| format!(" {message}")).unwrap_or_default();
            let _ = writeln!(text, "{message}{open}");
            self.show(Some(index), depth + 1, text);
        }
    }
}
