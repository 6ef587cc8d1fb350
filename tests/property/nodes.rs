//! What nodes do, and what is written down.

use super::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Succeeds,
    Fails(FailureClass),
}

/// What a node does when it is called: it waits some polls, then succeeds or fails.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) yields: u8,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    Started {
        node: usize,
        attempt: u32,
    },
    Effect {
        node: usize,
    },
    Failed {
        node: usize,
        class: FailureClass,
    },
    /// The store has it, whether the run knows it yet or not. `None` for the input.
    Committed {
        node: Option<usize>,
    },
    Discarded {
        node: usize,
    },
    Killed,
    Halted,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct World(pub(crate) Rc<RefCell<Inside>>);

#[derive(Debug, Default)]
pub(crate) struct Inside {
    pub(crate) calls: Vec<Vec<Call>>,
    /// How many calls of each node came to their end.
    pub(crate) ended: [usize; NODES],
    pub(crate) paces: Vec<Pace>,
    /// How many operations of the store there were.
    pub(crate) operations: usize,
    pub(crate) log: Vec<Entry>,
}

impl World {
    pub(crate) fn begin(&self, case: &Case) {
        *self.0.borrow_mut() = Inside { calls: case.calls.clone(), paces: case.paces.clone(), ..Inside::default() };
    }

    pub(crate) fn write(&self, entry: Entry) {
        self.0.borrow_mut().log.push(entry);
    }

    pub(crate) fn call(&self, node: usize) -> Call {
        let inside = self.0.borrow();
        call(&inside.calls, node, inside.ended[node])
    }

    pub(crate) fn pace(&self) -> Pace {
        let mut inside = self.0.borrow_mut();
        inside.operations += 1;
        let at = inside.operations % inside.paces.len();
        inside.paces[at]
    }

    /// The nodes whose output the store has by now, and whether it has the input.
    pub(crate) fn committed(&self) -> (BTreeSet<usize>, bool) {
        let mut nodes = BTreeSet::new();
        let mut input = false;
        for entry in &self.0.borrow().log {
            match *entry {
                Entry::Committed { node: Some(node) } => {
                    nodes.insert(node);
                }
                Entry::Committed { node: None } => input = true,
                Entry::Discarded { node } => {
                    nodes.remove(&node);
                }
                _ => {}
            }
        }
        (nodes, input)
    }
}

/// A call that comes to no end (the run was killed) is the same again the next time; after the last of a script all succeed.
pub(crate) fn call(calls: &[Vec<Call>], node: usize, ended: usize) -> Call {
    calls[node].get(ended).copied().unwrap_or(Call { yields: 0, outcome: Outcome::Succeeds })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fail {
    pub(crate) node: usize,
    pub(crate) class: FailureClass,
}

impl Failure for Fail {
    fn class(&self) -> FailureClass {
        self.class
    }
}

pub(crate) fn number(id: &str) -> Option<usize> {
    id.strip_prefix('n').map(|number| number.parse().unwrap())
}

pub(crate) async fn work(x: u64, cx: NodeCx<'_, World>) -> Result<u64, Fail> {
    let node = number(cx.node()).unwrap();
    let world = cx.context();
    world.write(Entry::Started { node, attempt: cx.attempt() });
    let Call { yields, outcome } = world.call(node);
    for _ in 0..yields {
        yield_once().await;
    }
    world.0.borrow_mut().ended[node] += 1;
    match outcome {
        Outcome::Succeeds => {
            world.write(Entry::Effect { node });
            Ok(yielded_by(node, x))
        }
        Outcome::Fails(class) => {
            world.write(Entry::Failed { node, class });
            Err(Fail { node, class })
        }
    }
}

pub(crate) fn yielded_by(node: usize, x: u64) -> u64 {
    (x ^ (node as u64 + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17)
}

pub(crate) fn mapped(by: u32, x: u64) -> u64 {
    x.rotate_left(by).wrapping_add(u64::from(by))
}

pub(crate) fn joined(a: u64, b: u64) -> u64 {
    a.wrapping_mul(31).wrapping_add(b)
}
