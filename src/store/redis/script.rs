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

use alloc::{format, string::String};

use crate::run::RunId;

/// The version of the keys; another one is refused.
pub(super) const FORMAT: &str = "1";
/// What the log begins with, since there is no list of nothing.
pub(super) const FIRST: &str = "stroma 1";
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
    RunId::new(&id).ok().filter(|run| run.with_str(|id| run_key(prefix, id)).as_bytes() == key)
}

/// The key of a run's hash. Braces make its id the hash tag of a cluster, so braces in the id are escaped, and with them what escapes.
pub(super) fn run_key(prefix: &str, run: &str) -> String {
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
pub(super) fn log_key(run: &str, token: &str) -> String {
    format!("{run}:{token}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn two_runs_never_share_a_key(one in "[a{}%7BD:*]{0,6}", other in "[a{}%7BD:*]{0,6}", token in "[0-9a-f]{32}") {
            let keys = |run: &str| [run_key("stroma", run), log_key(&run_key("stroma", run), &token)];
            let ([run, log], others) = (keys(&one), keys(&other));
            prop_assert_eq!(one == other, others.contains(&run) || others.contains(&log));
            // One tag, and it is the whole id.
            prop_assert_eq!((run.matches('{').count(), run.matches('}').count()), (1, 1));
            prop_assert!(run.ends_with('}'), "{}", run);
            prop_assert!(log.starts_with(&run));
        }
    }
}
