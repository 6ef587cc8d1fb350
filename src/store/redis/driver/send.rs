//! What goes out: commands, in the order in which they were asked for.

use alloc::vec::Vec;
use core::time::Duration;
use std::time::Instant;

use ::redis::{Cmd, Pipeline};

use super::{
    super::{
        line::Line,
        script::{self, Script},
        work::Work,
    },
    Driver, Job, Sent,
};
use crate::store::Access;

/// The most commands, and bytes of values, that go out at once.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 1 << 20;
/// About how many keys a server looks at for one step of a list of runs, before it serves others.
const SCAN: u32 = 500;
/// How many bytes a slow connection carries in a second, at least.
const SLOWEST: u64 = 1 << 18;

impl Driver {
    /// The next commands to be sent, in order.
    pub(super) fn next_batch(&mut self, line: &Line, now: Instant) -> Option<Pipeline> {
        let mut jobs = Vec::with_capacity(self.queue.len().min(BATCH));
        let mut bytes = 0;
        let mut batch = Pipeline::with_capacity(self.queue.len().min(BATCH));
        while jobs.len() < BATCH
            && bytes < BATCH_BYTES
            && let Some(mut job) = self.queue.pop_front()
        {
            if job.work.is_moot() {
                let Some(opened) = job.opens.filter(|_| job.sent) else { continue };
                // It may be held by now, for nobody.
                job.work = Work::Release { hold: opened, empty: false };
                job.opens = None;
            }
            job.sent = true;
            bytes += job.work.bytes();
            batch.add_command(self.command(line, &job, now));
            jobs.push(job);
        }
        if jobs.is_empty() {
            return None;
        }
        let takes = Duration::from_millis(u64::try_from(bytes).unwrap_or(u64::MAX) / (SLOWEST / 1_000));
        self.sent.push_back(Sent { at: now, takes, jobs });
        Some(batch)
    }

    pub(super) fn command(&self, line: &Line, job: &Job, now: Instant) -> Cmd {
        let settings = &self.settings;
        if let Some(hold) = job.work.hold().filter(|_| job.lost) {
            let mut command = ::redis::cmd("HMGET");
            command.arg(&*hold.run).arg("@format").arg("@holder");
            return command;
        }
        match &job.work {
            Work::Open { run, access, .. } => {
                let (log, token) = job.opens.as_deref().map_or(("", ""), |hold| (&hold.log, &hold.token));
                let mut command = line.script(Script::Open, &[run, log]);
                command.arg(token).arg(millis(settings.lease)).arg(millis(settings.ttl));
                command.arg(u8::from(*access == Access::Create)).arg(script::FORMAT).arg(script::FIRST);
                command
            }
            Work::Write { hold, record, .. } => {
                // A word, the key, three parts.
                let mut command = Cmd::with_capacity(5, 6 + hold.log.len() + record.len());
                command.arg("RPUSHX").arg(&hold.log);
                for part in record.parts() {
                    command.arg(part);
                }
                if let Some((head, outline)) = record.about() {
                    command.arg(head).arg("").arg(outline);
                }
                command
            }
            Work::Load { hold, at: Some(at), .. } => {
                let mut command = ::redis::cmd("LINDEX");
                command.arg(&hold.log).arg(*at);
                command
            }
            Work::Load { hold, at: None, name, .. } => {
                let mut command = line.script(Script::Find, &[&hold.log]);
                command.arg(name);
                command
            }
            Work::Forget { run, .. } => {
                let mut command = line.script(Script::Forget, &[run]);
                command.arg(script::FORMAT);
                command
            }
            Work::Release { hold, empty } => {
                let mut command = line.script(Script::Release, &[&hold.run, &hold.log]);
                command.arg(&hold.token).arg(millis(settings.ttl)).arg(u8::from(*empty));
                command
            }
            Work::Renew { hold } => {
                let mut command = line.script(Script::Renew, &[&hold.run, &hold.log]);
                command.arg(&hold.token).arg(millis(settings.lease));
                if hold.is_ageing(now, settings.ttl) {
                    command.arg(millis(settings.ttl));
                } else {
                    command.arg("");
                }
                command
            }
            Work::Scan { cursor, .. } => {
                let mut command = ::redis::cmd("SCAN");
                command.arg(*cursor).arg("MATCH").arg(script::pattern(&settings.prefix)).arg("COUNT").arg(SCAN);
                command
            }
            Work::Look { run, values, .. } => {
                let key = run.with_str(|id| script::run_key(&settings.prefix, id));
                let mut command = ::redis::cmd("EVAL");
                command.arg(script::LOOK).arg(1).arg(key).arg(script::FORMAT).arg(u8::from(*values));
                command
            }
            Work::Reach { .. } | Work::Flush { .. } => ::redis::cmd("PING"),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).clamp(1, 1 << 50)
}
