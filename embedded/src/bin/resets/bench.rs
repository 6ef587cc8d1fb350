//! The test bench: what is run, where the power is cut, and what has to hold afterwards.

use core::sync::atomic::Ordering;

use cortex_m_semihosting::hprintln;
use stroma::RunStatus;
use stroma_embedded::{
    app::{NAMES, SAMPLE_ENERGY, STAGES, TRANSMIT_ENERGY, expected},
    board::{heard, measured},
    idle::{POLLS, SLEEPS},
    kept::{Bench, Kept, Power, Word, World, clear, kept},
    life::{Ended, Outcome, ROOM, life},
    memory, nor,
    power::{Step, TEARS, Tear, at},
};

/// What the memory that is kept begins with, once it was written.
const MAGIC: u32 = 0x5742_0a17;

/// A battery that is full, in microjoules.
const FULL: u64 = 1_000_000;

/// How many runs have their power cut again and again.
const STORMS: u32 = 40;

const STORY: u32 = 0;
const BATTERY: u32 = 1;
const CHARGED: u32 = 2;
const AGE: u32 = 3;
const CUT: u32 = 4;
const STORM: u32 = 5;

/// What comes next.
#[derive(Debug)]
pub(crate) enum Next {
    Reset,
    End,
}

type Result<T> = core::result::Result<T, &'static str>;

/// Goes on with what was under way before the reset.
pub(crate) fn go_on() -> Result<Next> {
    let bench = &kept().bench;
    if bench.magic.get() != MAGIC {
        power_on();
    }
    bench.resets.bump();
    match bench.phase.get() {
        STORY => story(),
        BATTERY => battery(),
        CHARGED => charged(),
        AGE => age(),
        CUT => cut(),
        STORM => storm(),
        _ => Err("the memory that is kept is not what it was"),
    }
}

/// The first start of all: nothing in the memory means anything.
fn power_on() {
    let Kept { world, power, bench, .. } = kept();
    nor::erase_all();
    new_world(world);
    new_power(power);
    let Bench { magic, phase, lives, step, run, random, resets, runs, most_lives, pages_cut, .. } = bench;
    for word in [phase, lives, step, run, resets, runs, most_lives, pages_cut] {
        word.set(0);
    }
    let Bench { words_cut, stages_cut, steps, last_word, first_step, settled, cut, again, repeated, stack, .. } = bench;
    for word in [words_cut, stages_cut, steps, repeated, stack] {
        word.set(0);
    }
    for words in [last_word, first_step, cut, again].into_iter().chain(settled) {
        clear(words);
    }
    random.set(0x2545_f491);
    magic.set(MAGIC);
}

fn new_world(world: &World) {
    let World { asked, busy, sent, deaf, energy, accepted, repeated, frame, key, begun, ended, cut, .. } = world;
    let World { stage, furthest, paid_twice, .. } = world;
    for word in [asked, busy, sent, deaf, energy, accepted, repeated, key, stage, furthest, paid_twice] {
        word.set(0);
    }
    clear(frame);
    for words in [begun, ended, cut] {
        clear(words);
    }
}

fn new_power(power: &Power) {
    let Power { steps, fuse, tear, failures, at, at_stage, last_word, first_step, erases } = power;
    for word in [steps, fuse, tear, failures, at, at_stage, erases] {
        word.set(0);
    }
    clear(last_word);
    clear(first_step);
}

/// A run in which everything goes wrong once by itself, and nothing has to be done about it.
fn story() -> Result<Next> {
    let Kept { world, bench, .. } = kept();
    hprintln!("one report; the sensor is busy once, and the radio's answer is lost once:");
    world.busy.set(1);
    world.deaf.set(1);
    memory::paint();
    let ended = live(1, Some(7), FULL)?;
    bench.stack.set(memory::stack_used() as u32);
    tell(&ended);
    expect(ended.status == RunStatus::Completed && ended.restored == 0, "it did not go through in one go")?;
    check(&ended, 7)?;
    expect((world.asked.get(), world.sent.get()) == (2, 2), "sensor or radio was not asked twice")?;
    expect((world.accepted.get(), world.repeated.get()) == (1, 1), "the gateway did not see the frame twice")?;
    expect(ended.energy == 2 * (SAMPLE_ENERGY + TRANSMIT_ENERGY), "the energy was not counted")?;
    // Waits of 2 ms at the sensor and 5 ms for it, a time-out of 50 ms, 10 ms after it, and 4 ms on air.
    expect((71..190).contains(&ended.millis), "it took another time than its waits and its work do")?;
    let (polls, sleeps) = (POLLS.load(Ordering::Relaxed), SLEEPS.load(Ordering::Relaxed));
    hprintln!("  polled {} times, and the processor slept {} times", polls, sleeps);
    expect(u64::from(sleeps) > ended.millis / 2 && polls < 40, "the processor did not sleep while it waited")?;

    hprintln!("the same report again, which is done:");
    let ended = live(1, Some(7), FULL)?;
    tell(&ended);
    expect(ended.status == RunStatus::Resumed, "a report that was done was not taken from the flash")?;
    check(&ended, 7)?;
    expect((world.asked.get(), world.sent.get()) == (2, 2), "a report that was done was made again")?;

    hprintln!(
        "a run's future: {} bytes; the driver of the store: {}; runner and store: {}; the room: {}",
        ended.sizes[0],
        ended.sizes[1],
        ended.sizes[2],
        size_of_val(&ROOM)
    );
    to(BATTERY)
}

/// A battery that has enough for the measurement, and not for the radio.
fn battery() -> Result<Next> {
    let world = &kept().world;
    hprintln!("a report on a battery that is nearly empty:");
    new_world(world);
    let ended = live(2, Some(8), 500)?;
    tell(&ended);
    expect(ended.outcome == Outcome::OutOfEnergy(Some("transmit")), "it did not stop for its energy")?;
    expect(ended.status == RunStatus::Partial && ended.energy == SAMPLE_ENERGY, "it is not one to go on with")?;
    expect(world.sent.get() == 0, "it sent something")?;
    to(CHARGED)
}

/// After that, and a reset: the sun has come out.
fn charged() -> Result<Next> {
    let world = &kept().world;
    hprintln!("the same after a reset, on a battery that was charged:");
    let ended = live(2, None, 2_000)?;
    tell(&ended);
    expect(ended.status == RunStatus::Resumed && ended.restored == 4, "it did not go on where it was")?;
    expect(ended.energy == SAMPLE_ENERGY + TRANSMIT_ENERGY, "what it had spent before does not count")?;
    check(&ended, 8)?;
    expect((world.asked.get(), world.sent.get()) == (1, 1), "it did something twice")?;
    to(AGE)
}

/// A life, with what it has to say if it stops.
fn live(run: u32, report: Option<u32>, energy: u64) -> Result<Ended> {
    life(run, report, energy, |halted| hprintln!("  {}", halted))
}

/// Uses the flash until the next report has to erase a page, and keeps an image of that.
fn age() -> Result<Next> {
    let Kept { chip, image, world, power, bench, .. } = kept();
    nor::erase_all();
    for run in 100..200 {
        copy(chip, image);
        new_world(world);
        new_power(power);
        let ended = live(run, Some(run), FULL)?;
        check(&ended, run)?;
        if power.erases.get() > 0 && run > 110 {
            bench.run.set(run);
            return to(CUT);
        }
    }
    Err("a page of the flash was never erased")
}

/// One run after the other, all of them the same one, and in each the power is cut at another step. The first one is left alone.
fn cut() -> Result<Next> {
    let Kept { chip, image, world, power, bench, .. } = kept();
    let run = bench.run.get();
    if bench.lives.bump() == 1 {
        copy(image, chip);
        new_world(world);
        let tear = power.tear.get();
        new_power(power);
        power.tear.set(tear);
        power.fuse.set(bench.step.get());
    }
    let ended = live(run, Some(run), FULL)?;
    check(&ended, run)?;
    bench.stack.set(bench.stack.get().max(memory::stack_used() as u32));

    if bench.step.get() == 0 {
        reference(world, power, bench)?;
    } else if power.failures.get() == 0 {
        expect(bench.step.get() > bench.steps.get(), "the power did not fail at a step that there was before")?;
        return done_cutting();
    } else {
        checkpoints_held(world, power, bench)?;
    }
    // A stage's step is one thing, which happens or does not; a word or a page may be left in any state.
    let stage = bench.step.get() > 0 && power.at.get() == Step::Stage as u32;
    let next = if bench.step.get() == 0 || stage { TEARS } else { power.tear.get() + 1 };
    if next == TEARS {
        power.tear.set(0);
        bench.step.bump();
    } else {
        power.tear.set(next);
    }
    bench.lives.set(0);
    Ok(Next::Reset)
}

/// Notes what the run comes to whose power is not cut.
fn reference(world: &World, power: &Power, bench: &Bench) -> Result<()> {
    expect(power.erases.get() > 0, "the run is not one in which a page is erased")?;
    expect(world.begun.iter().all(|begun| begun.get() == 1), "a stage did not run once")?;
    bench.steps.set(power.steps.get());
    copy(&power.last_word, &bench.last_word);
    copy(&power.first_step, &bench.first_step);
    hprintln!("power cut at each of {} steps of a run ({} pages erased in it):", power.steps.get(), power.erases.get());
    Ok(())
}

/// After a run whose power failed once: what ran again, and whether it had to.
fn checkpoints_held(world: &World, power: &Power, bench: &Bench) -> Result<()> {
    expect(power.failures.get() == 1 && bench.lives.get() == 2, "the power did not fail once")?;
    let step = bench.step.get();
    let (stage, tear) = (power.at_stage.get(), power.tear.get());
    let first = |stage| at(&bench.first_step, stage).map_or(u32::MAX, Word::get);
    // The run was the same up to here as the one that was left alone.
    expect((stage == 0 || step >= first(stage)) && step <= first(stage + 1), "the run was another one than before")?;

    for number in 1..=STAGES as u32 {
        let (Some(begun), Some(last), Some(settled)) = (
            at(&world.begun, number).map(Word::get),
            at(&bench.last_word, number).map(Word::get),
            bench.settled.get(tear as usize).and_then(|settled| at(settled, number)),
        ) else {
            continue;
        };
        if number != stage {
            expect(begun == 1, "a stage ran twice that the power did not fail in")?;
            continue;
        }
        let again = begun > 1;
        let kept = tear == Tear::After as u32 && power.at.get() == Step::Word as u32 && step >= last || step > last;
        expect(!(again && kept), "a stage ran twice whose checkpoint was written")?;
        // Once a checkpoint is there, it is there at every later step.
        expect(!again || settled.get() == 0, "a checkpoint was there, and at a later step it was not")?;
        if !again && settled.get() == 0 {
            settled.set(step);
        }
    }
    match power.at.get() {
        0 => &bench.stages_cut,
        1 => &bench.words_cut,
        _ => &bench.pages_cut,
    }
    .bump();
    sum_up(world, bench);
    Ok(())
}

fn sum_up(world: &World, bench: &Bench) {
    let World { begun, cut, repeated, .. } = world;
    for ((sum, cut), (again, begun)) in bench.cut.iter().zip(cut).zip(bench.again.iter().zip(begun)) {
        sum.add(cut.get());
        again.add(begun.get().saturating_sub(1));
    }
    bench.repeated.add(repeated.get());
    bench.runs.bump();
}

fn done_cutting() -> Result<Next> {
    let Kept { power, bench, .. } = kept();
    hprintln!(
        "  {} runs: {} cut in a stage, {} at a word of the flash and {} at a page of it (each before, within and after)",
        bench.runs.get(),
        bench.stages_cut.get(),
        bench.words_cut.get(),
        bench.pages_cut.get()
    );
    expect(bench.words_cut.get() >= 300 && bench.pages_cut.get() >= 3, "the power was cut too seldom")?;
    expect(bench.stages_cut.get() >= 14, "the power was not cut in each stage")?;
    tell_stages(bench);
    for (settled, last) in bench.settled[Tear::After as usize].iter().zip(&bench.last_word) {
        let there = (1..=last.get()).contains(&settled.get());
        expect(there, "the checkpoint of a stage was not there once its last word was written")?;
    }
    new_power(power);
    for word in [&bench.runs, &bench.repeated, &bench.lives, &bench.step] {
        word.set(0);
    }
    clear(&bench.cut);
    clear(&bench.again);
    nor::erase_all();
    to(STORM)
}

/// Runs whose power is cut again and again, on one and the same flash; sensor and radio have their faults as well.
fn storm() -> Result<Next> {
    let Kept { world, power, bench, .. } = kept();
    let number = bench.step.get();
    let run = 1_000 + number;
    if bench.lives.get() == 0 {
        new_world(world);
        new_power(power);
        world.busy.set(number % 2);
        world.deaf.set(number / 2 % 2);
    }
    // Each life is a little longer than the one before, so that there is an end to it.
    let lives = bench.lives.bump();
    power.steps.set(0);
    power.fuse.set(1 + random(bench) % (20 + 12 * lives));
    power.tear.set(random(bench) % TEARS);
    let ended = live(run, Some(run), FULL)?;
    power.fuse.set(0);
    check(&ended, run)?;
    for (ended, cut) in world.ended.iter().zip(&world.cut) {
        // (Begun it may have more often: what failed or took too long was tried again.)
        expect((1..=1 + cut.get()).contains(&ended.get()), "a stage came to its end more often than its power failed")?;
    }
    sum_up(world, bench);
    bench.most_lives.set(bench.most_lives.get().max(lives));
    bench.lives.set(0);
    if bench.step.bump() < STORMS {
        return Ok(Next::Reset);
    }
    hprintln!(
        "power cut again and again, on one flash, with a sensor and a radio that fail: {} runs, of up to {} lives:",
        bench.runs.get(),
        bench.most_lives.get()
    );
    tell_stages(bench);
    expect(bench.most_lives.get() >= 5, "the power was not cut again and again")?;
    let (used, room) = (memory::stack_used().max(bench.stack.get() as usize), memory::stack_room());
    expect(used < room, "the stack went into what lies below it")?;
    hprintln!(
        "no stage ran again whose checkpoint was written, in {} resets; stack: {} of {} bytes",
        bench.resets.get(),
        used,
        room
    );
    Ok(Next::End)
}

/// What has to hold of every run that came to its end, whatever happened to it.
fn check(ended: &Ended, report: u32) -> Result<()> {
    let world = &kept().world;
    let Outcome::Done(frame) = ended.outcome else { return Err("it stopped before its end") };
    let serial = frame.get(4..8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes);
    expect((1..=world.asked.get()).contains(&serial), "it reports a measurement that was never made")?;
    expect(frame == expected(measured(report, serial)), "the frame is not that of the measurement")?;
    expect(world.accepted.get() == 1, "the gateway did not take one frame and no more")?;
    expect(heard() == frame, "the gateway took another frame")?;
    expect(world.paid_twice.get() == 0, "a stage ran again after the one behind it had begun")?;
    expect(ended.energy >= u64::from(world.energy.get()), "the radio took more energy than the report says")
}

fn tell(ended: &Ended) {
    let world = &kept().world;
    match &ended.outcome {
        Outcome::Done(_) => hprintln!("  {} after {} ms and {} uJ", ended.status, ended.millis, ended.energy),
        Outcome::OutOfEnergy(node) => {
            hprintln!("  {} at {}: out of energy, after {} uJ", ended.status, node.unwrap_or("-"), ended.energy);
        }
        Outcome::Stopped => {}
    }
    hprintln!(
        "  restored {} stages; so far: sensor asked {} times, {} frames sent, {} taken by the gateway, {} known to it",
        ended.restored,
        world.asked.get(),
        world.sent.get(),
        world.accepted.get(),
        world.repeated.get()
    );
}

fn tell_stages(bench: &Bench) {
    hprintln!("  stage     power failed in it or its checkpoint   ran again");
    for (name, (cut, again)) in NAMES.iter().zip(bench.cut.iter().zip(&bench.again)) {
        hprintln!("  {:<10}{:>36}{:>12}", name, cut.get(), again.get());
    }
    hprintln!("  frames that went out again, and were known to the gateway by their key: {}", bench.repeated.get());
}

/// What is known about a failure.
pub(crate) fn explain() {
    let Kept { world, power, bench, .. } = kept();
    hprintln!(
        "  phase {}, run {}, step {}, life {}, failed {} times at {} in stage {}, tear {}",
        bench.phase.get(),
        bench.run.get(),
        bench.step.get(),
        bench.lives.get(),
        power.failures.get(),
        power.at.get(),
        power.at_stage.get(),
        power.tear.get()
    );
    for (name, (begun, (ended, cut))) in NAMES.iter().zip(world.begun.iter().zip(world.ended.iter().zip(&world.cut))) {
        hprintln!("  {}: begun {}, ended {}, cut {}", name, begun.get(), ended.get(), cut.get());
    }
}

fn to(phase: u32) -> Result<Next> {
    kept().bench.phase.set(phase);
    Ok(Next::Reset)
}

fn random(bench: &Bench) -> u32 {
    let mut random = bench.random.get();
    random ^= random << 13;
    random ^= random >> 17;
    random ^= random << 5;
    bench.random.set(random);
    random
}

fn copy(from: &[Word], to: &[Word]) {
    for (to, from) in to.iter().zip(from) {
        to.set(from.get());
    }
}

fn expect(holds: bool, otherwise: &'static str) -> Result<()> {
    if holds { Ok(()) } else { Err(otherwise) }
}
