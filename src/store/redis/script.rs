//! What is said to the server: the keys, what is in them, and the scripts.
//!
//! ```text
//! <prefix>:{<run>}            a hash: who has the run
//!   @format                   the version of what is here
//!   @holder                   the token of the session that holds the run; absent where nobody does
//!   @until                    when its lease ends, in milliseconds of the server's clock
//!   @log                      the token that the log's key ends in
//!   @begun, @left             when the run was begun and given back last, by the server's clock: for who looks on
//! <prefix>:{<run>}:<token>    a list: what was written, three elements at a time after the first, which says what it is
//!   <order> put <slot>        a checkpoint; its ledger, or nothing; its bytes
//!   <order> spent             nothing but a ledger
//!   <order> discard           the slots that are no more, each after its length
//!   <order> about             the nodes of its pipeline, for who looks on
//! ```
//!
//! The holder's token is in the log's key, and `RPUSHX` appends only to what is there. So a write asks whether its session still
//! holds the run without a script: who takes a run over renames the log, and from then on the old holder's key is no more.
//! What was written counts in the order of its numbers, not of its places: a write that is said twice, or comes late, changes
//! nothing.

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests;

use alloc::{borrow::ToOwned, collections::BTreeMap, format, string::String, vec::Vec};

use crate::{
    run::RunId,
    slot::{Slot, SlotKind},
    store::{
        Encode, StoreError,
        codec::{HEAD, shape_of},
        inspect::{Holding, Outline, Outlines, RunView, SlotView},
        owned::{self, Present},
    },
};

/// The version of the keys; another one is refused.
pub(super) const FORMAT: &str = "1";
/// What the log begins with, since there is no list of nothing.
pub(super) const FIRST: &str = "stroma 1";
/// The longest value that a server takes, by its own default.
const VALUE_MAX: usize = 512 << 20;

/// A script, by its place in [`SCRIPTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    Open,
    Find,
    Renew,
    Release,
    Forget,
}

/// In the order of [`Script`]. Each touches the keys of one run, which are of one slot in a cluster.
pub(super) const SCRIPTS: [&str; 5] = [OPEN, FIND, RENEW, RELEASE, FORGET];

/// Keys: the hash, the log of the session to be. Arguments: token, term of the lease, time to live, whether a run may begin,
/// format, first element.
///
/// The holder's own token opens again: then the first answer was lost on its way. Of a log that is long and mostly out of date
/// only what counts is kept.
const OPEN: &str = r"
local function shortened(items)
  local writes, live, slots, order, ledger, told = {}, {}, 0, 0, '', nil
  for at = 2, #items, 3 do writes[#writes + 1] = {tonumber(string.match(items[at], '^%d+') or 0), at} end
  table.sort(writes, function(one, other) return one[1] < other[1] end)
  for _, write in ipairs(writes) do
    local at = write[2]
    local what, slot = string.match(items[at], '^%d+ (%a+) ?(.*)$')
    if what == 'put' then
      live[slot] = at
    elseif what == 'discard' then
      local rest = items[at + 2]
      local len, from = string.match(rest, '^(%d+):()')
      while len do
        live[string.sub(rest, from, from + len - 1)] = nil
        rest = string.sub(rest, from + len)
        len, from = string.match(rest, '^(%d+):()')
      end
    elseif what == 'about' then
      told = at
    elseif what ~= 'spent' then
      return nil
    end
    if items[at + 1] ~= '' then ledger = items[at + 1] end
    order = write[1]
  end
  for _ in pairs(live) do slots = slots + 1 end
  if #items < 6 * slots + 192 then return nil end
  local kept = {items[1], string.format('%.0f spent', order), ledger, ''}
  if told then live[''] = told end
  for _, at in pairs(live) do
    kept[#kept + 1] = items[at]
    kept[#kept + 1] = ''
    kept[#kept + 1] = items[at + 2]
  end
  return kept
end
local about = redis.call('HMGET', KEYS[1], '@format', '@holder', '@until', '@log')
if about[1] ~= ARGV[5] and redis.call('EXISTS', KEYS[1]) == 1 then return {'foreign', about[1] or ''} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if about[2] and about[2] ~= ARGV[1] then
  local left = tonumber(about[3] or 0) - now
  if left > 0 then return {'busy', left} end
end
local log = about[4] and KEYS[1] .. ':' .. about[4]
local items = {}
if log then items = redis.call('LRANGE', log, 0, -1) end
if #items < 2 and ARGV[4] == '0' then
  if about[1] then redis.call('UNLINK', KEYS[1]) end
  if log then redis.call('UNLINK', log) end
  return {'unknown'}
end
redis.call('HSET', KEYS[1], '@format', ARGV[5], '@holder', ARGV[1],
  '@until', string.format('%.0f', now + ARGV[2]), '@log', ARGV[1])
if #items == 0 then
  redis.call('HSET', KEYS[1], '@begun', string.format('%.0f', now))
  redis.call('RPUSH', KEYS[2], ARGV[6])
elseif log ~= KEYS[2] then
  redis.call('RENAME', log, KEYS[2])
end
local kept = shortened(items)
if kept then
  redis.call('UNLINK', KEYS[2])
  for from = 1, #kept, 999 do
    redis.call('RPUSH', KEYS[2], unpack(kept, from, math.min(from + 998, #kept)))
  end
  items = kept
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
local order, ledger = -1, ''
local heads = {}
for at = 2, #items, 3 do
  local number = tonumber(string.match(items[at], '^%d+') or 0)
  heads[#heads + 1] = items[at]
  if string.match(items[at], '^%d+ discard$') then heads[#heads + 1] = items[at + 2] end
  if items[at + 1] ~= '' and number > order then order, ledger = number, items[at + 1] end
end
return {'open', ledger, heads}";

/// Keys: the log. Arguments: the slot. Answers with its bytes, as they were written last.
const FIND: &str = r"
local items = redis.call('LRANGE', KEYS[1], 0, -1)
local order, found = -1, false
for at = 2, #items, 3 do
  local number, slot = string.match(items[at], '^(%d+) put (.*)$')
  if slot == ARGV[1] and tonumber(number) > order then order, found = tonumber(number), items[at + 2] end
end
return found";

/// Keys: the hash, the log. Arguments: token, term of the lease, time to live or nothing.
///
/// Where the hash was evicted alone, a log is left that nobody finds any more: its writer must not go on beside the next one.
const RENEW: &str = r"
local about = redis.call('HMGET', KEYS[1], '@holder', '@log')
if about[2] ~= ARGV[1] then redis.call('UNLINK', KEYS[2]) end
if about[1] ~= ARGV[1] then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], '@until', string.format('%.0f', now + ARGV[2]))
if ARGV[3] ~= '' then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
end
return 1";

/// Keys: the hash, the log. Arguments: token, time to live, whether the run has no checkpoint; then it leaves no trace.
const RELEASE: &str = r"
if redis.call('HGET', KEYS[1], '@holder') ~= ARGV[1] then return 0 end
if ARGV[3] == '1' or redis.call('LLEN', KEYS[2]) < 2 then
  redis.call('UNLINK', KEYS[1], KEYS[2])
else
  local time = redis.call('TIME')
  redis.call('HDEL', KEYS[1], '@holder', '@until')
  redis.call('HSET', KEYS[1], '@left', string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)))
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
return 1";

/// Keys: the hash. Arguments: format.
const FORGET: &str = r"
local about = redis.call('HMGET', KEYS[1], '@format', '@holder', '@until', '@log')
if about[1] ~= ARGV[1] then
  if redis.call('EXISTS', KEYS[1]) == 0 then return {'forgotten', 0} end
  return {'foreign', about[1] or ''}
end
if about[2] then
  local time = redis.call('TIME')
  local left = tonumber(about[3] or 0) - (time[1] * 1000 + math.floor(time[2] / 1000))
  if left > 0 then return {'busy', left} end
end
local log = KEYS[1] .. ':' .. (about[4] or '')
local items = redis.call('LLEN', log)
redis.call('UNLINK', KEYS[1], log)
return {'forgotten', items > 1 and 1 or 0}";

/// Keys: the hash. Arguments: format, whether values are wanted whole. It changes nothing. Given with each call, since no store calls
/// it: who, and until when; how long ago begun and left; the ledger; of each write its head, how long it is, and as much as is
/// wanted.
pub(super) const LOOK: &str = r"
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then return {'unknown'} end
if kind ~= 'hash' then return {'foreign', ''} end
local about = redis.call('HMGET', KEYS[1], '@format', '@holder', '@until', '@log', '@begun', '@left')
if about[1] ~= ARGV[1] then return {'foreign', about[1] or ''} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function ago(millis)
  local since = tonumber(millis or '')
  return since and math.max(now - since, 0) or -1
end
local items = {}
local log = KEYS[1] .. ':' .. (about[4] or '')
if redis.call('TYPE', log).ok == 'list' then items = redis.call('LRANGE', log, 0, -1) end
local order, ledger, writes = -1, '', {}
for at = 2, #items - 2, 3 do
  local number, what = string.match(items[at], '^(%d+) (%a+)')
  local rest = items[at + 2]
  writes[#writes + 1] = items[at]
  writes[#writes + 1] = #rest
  if what == 'put' and ARGV[2] == '0' then rest = string.sub(rest, 1, 17) end
  writes[#writes + 1] = rest
  number = tonumber(number or 0)
  if items[at + 1] ~= '' and number > order then order, ledger = number, items[at + 1] end
end
local held = about[2] and math.max((tonumber(about[3] or '') or 0) - now, 0) or -1
return {'run', held, ago(about[5]), ago(about[6]), ledger, writes}";

/// What matches the keys of all runs, and of nothing else of ours.
pub(super) fn pattern(prefix: &str) -> String {
    let mut pattern = String::with_capacity(prefix.len() + 4);
    for c in prefix.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push_str(":{*}");
    pattern
}

/// The run whose hash has this key, where it is one's.
pub(super) fn run_of(prefix: &str, key: &[u8]) -> Option<RunId> {
    let id = core::str::from_utf8(key).ok()?.strip_prefix(prefix)?.strip_prefix(":{")?.strip_suffix('}')?;
    if id.contains(['{', '}']) {
        return None;
    }
    let id = id.replace("%7B", "{").replace("%7D", "}").replace("%25", "%");
    // Whatever another program's key looks like, it is read as one that we would write, or not at all.
    RunId::new(&id).ok().filter(|run| run.with_str(|id| self::key(prefix, id)).as_bytes() == key)
}

/// What is known of a run, from what [`LOOK`] answers about its log.
pub(super) fn looked(
    run: RunId,
    holding: Holding,
    writes: impl IntoIterator<Item = (Vec<u8>, usize, Vec<u8>)>,
    values: bool,
) -> Option<RunView> {
    let mut ordered = BTreeMap::new();
    for (head, len, rest) in writes {
        let head = String::from_utf8(head).ok()?;
        let (order, what) = head.split_once(' ')?;
        ordered.insert(order.parse::<u64>().ok()?, (what.to_owned(), len, rest));
    }
    let mut view = RunView::new(run, holding);
    let mut slots = BTreeMap::new();
    for (what, len, rest) in ordered.into_values() {
        match what.split_once(' ') {
            Some(("put", name)) => drop(slots.insert(name.to_owned(), (len, rest))),
            None if what == "discard" => discarded(&rest)?.into_iter().for_each(|name| drop(slots.remove(name))),
            None if what == "about" => view.outline = core::str::from_utf8(&rest).ok().and_then(Outline::parse),
            _ => {}
        }
    }
    let mut sorted = BTreeMap::new();
    for (name, (len, rest)) in slots {
        if let Some((node, instance, kind)) = slot_of(&name) {
            let mut slot = SlotView::new(node.to_owned(), instance, kind, len, &rest);
            let head = rest.get(..HEAD).unwrap_or(&rest).to_vec();
            slot.bytes = values.then_some(rest);
            sorted.insert((node.to_owned(), instance, kind), (slot, head));
        }
    }
    sorted.into_values().for_each(|(slot, head)| view.add(slot, &head));
    Some(view)
}

/// The key of a run's hash. Braces make its id the hash tag of a cluster, so braces in the id are escaped, and with them what escapes.
pub(super) fn key(prefix: &str, run: &str) -> String {
    let mut key = String::with_capacity(prefix.len() + run.len() + 3);
    key.push_str(prefix);
    key.push_str(":{");
    for c in run.chars() {
        match c {
            '{' => key.push_str("%7B"),
            '}' => key.push_str("%7D"),
            '%' => key.push_str("%25"),
            c => key.push(c),
        }
    }
    key.push('}');
    key
}

/// The key of the log of a session. A run's key ends in a brace, so it is no log's.
pub(super) fn log(run: &str, token: &str) -> String {
    format!("{run}:{token}")
}

/// What stands for a slot in the log. The node's id stands last, so nothing in it can be taken for something else.
pub(super) fn slot_name(node: &str, instance: u32, kind: SlotKind) -> String {
    format!("{}.{instance}.{node}", word(kind))
}

/// The slot that a name stands for, or `None` for what is none, or one of a later version.
fn slot_of(name: &str) -> Option<(&str, u32, SlotKind)> {
    let mut parts = name.splitn(3, '.');
    let (kind, instance, node) = (parts.next()?, parts.next()?, parts.next()?);
    let kind = (0..=u8::MAX).map_while(SlotKind::from_u8).find(|known| word(*known) == kind)?;
    Some((node, instance.parse().ok()?, kind))
}

/// One write: three elements, in one buffer.
#[derive(Debug)]
pub(super) struct Record {
    bytes: Vec<u8>,
    head: usize,
    ledger: usize,
    /// A write of its own that goes with it: its head, and an outline.
    about: Option<(String, String)>,
}

impl Record {
    pub(super) fn put(order: u64, slot: Slot<'_>, ledger: &[u8], value: &impl Encode) -> Result<Self, StoreError> {
        let len = owned::encoded_len(value, VALUE_MAX)?;
        let mut number = NumberText::default();
        let mut bytes = Vec::with_capacity(48 + slot.node.len() + ledger.len() + len);
        bytes.extend_from_slice(number.of(order));
        bytes.extend_from_slice(b" put ");
        bytes.extend_from_slice(word(slot.kind).as_bytes());
        bytes.push(b'.');
        bytes.extend_from_slice(number.of(u64::from(slot.instance)));
        bytes.push(b'.');
        bytes.extend_from_slice(slot.node.as_bytes());
        let mut record = Self::with_ledger(bytes, ledger);
        owned::append(&mut record.bytes, len, value)?;
        Ok(record)
    }

    pub(super) fn spent(order: u64, ledger: &[u8]) -> Self {
        Self::with_ledger(format!("{order} spent").into_bytes(), ledger)
    }

    pub(super) fn discard(order: u64, slots: impl IntoIterator<Item = String>) -> Self {
        let mut record = Self::with_ledger(format!("{order} discard").into_bytes(), &[]);
        for name in slots {
            record.bytes.extend_from_slice(format!("{}:", name.len()).as_bytes());
            record.bytes.extend_from_slice(name.as_bytes());
        }
        record
    }

    fn with_ledger(mut bytes: Vec<u8>, ledger: &[u8]) -> Self {
        let head = bytes.len();
        bytes.extend_from_slice(ledger);
        Self { head, ledger: bytes.len(), bytes, about: None }
    }

    /// Head, ledger and the rest.
    pub(super) fn parts(&self) -> [&[u8]; 3] {
        let (front, rest) = self.bytes.split_at_checked(self.ledger).unwrap_or_default();
        let (head, ledger) = front.split_at_checked(self.head).unwrap_or_default();
        [head, ledger, rest]
    }

    /// Adds what is known of the pipeline that this input is for, as the write after it.
    pub(super) fn tell(&mut self, outlines: &Outlines, order: impl FnOnce() -> u64) {
        let [_, _, input] = self.parts();
        if let Some(outline) = shape_of(input).and_then(|shape| outlines.get(&shape)) {
            self.about = Some((format!("{} about", order()), outline.clone()));
        }
    }

    pub(super) const fn about(&self) -> Option<&(String, String)> {
        self.about.as_ref()
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() + self.about.as_ref().map_or(0, |(head, outline)| head.len() + outline.len())
    }
}

/// A number as text, without the machinery of `format!`: one is written with each checkpoint.
#[derive(Default)]
struct NumberText([u8; 20]);

impl NumberText {
    fn of(&mut self, mut number: u64) -> &[u8] {
        let mut from = self.0.len();
        for digit in self.0.iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
            from -= 1;
            if number == 0 {
                break;
            }
        }
        self.0.get(from..).unwrap_or_default()
    }
}

/// What a run has, from the heads of its log: where in the log each slot is, and the highest number.
pub(super) fn present(heads: impl IntoIterator<Item = Vec<u8>>) -> Option<(Present<Option<usize>>, u64)> {
    let mut writes = BTreeMap::new();
    let mut heads = heads.into_iter();
    // The first element of the log is none of them, and each has three.
    let mut at = 1;
    while let Some(head) = heads.next() {
        let head = String::from_utf8(head).ok()?;
        let (order, what) = head.split_once(' ')?;
        let write = match what.split_once(' ') {
            Some(("put", name)) => {
                slot_of(name).map(|(node, instance, kind)| Write::Put(node.to_owned(), instance, kind, at + 2))
            }
            None if what == "discard" => Some(Write::Discard(heads.next()?)),
            // A kind of a later version is kept, but there is nothing that this one could do with it.
            _ => None,
        };
        writes.insert(order.parse::<u64>().ok()?, write);
        at += 3;
    }
    let last = writes.last_key_value().map_or(0, |(order, _)| *order);
    let mut present = Present::default();
    for write in writes.into_values().flatten() {
        match write {
            Write::Put(node, instance, kind, at) => present.insert((node.into(), instance, kind), Some(at)),
            Write::Discard(names) => {
                for name in discarded(&names)? {
                    if let Some((node, instance, kind)) = slot_of(name) {
                        present.remove(Slot { node, index: 0, instance, kind });
                    }
                }
            }
        }
    }
    Some((present, last))
}

enum Write {
    Put(String, u32, SlotKind, usize),
    Discard(Vec<u8>),
}

fn discarded(names: &[u8]) -> Option<Vec<&str>> {
    let mut rest = core::str::from_utf8(names).ok()?;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (len, tail) = rest.split_once(':')?;
        let (name, tail) = tail.split_at_checked(len.parse().ok()?)?;
        found.push(name);
        rest = tail;
    }
    Some(found)
}

/// The words are part of the stored format and never change.
fn word(kind: SlotKind) -> &'static str {
    match kind {
        SlotKind::Input => "input",
        SlotKind::Output => "output",
        SlotKind::Intent => "intent",
        SlotKind::Decision => "decision",
        SlotKind::Signal => "signal",
    }
}
