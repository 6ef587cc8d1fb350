//! What an uninterrupted run comes to.

use super::*;

/// What an uninterrupted run comes to, one node after the other.
pub(crate) struct Model<'c> {
    pub(crate) case: &'c Case,
    pub(crate) ended: [usize; NODES],
    pub(crate) kept: [Option<u64>; NODES],
    pub(crate) effects: [usize; NODES],
    /// Branches failed, and how far the others came is not for this model to say.
    pub(crate) unsure: bool,
}

impl<'c> Model<'c> {
    pub(crate) fn new(case: &'c Case) -> Self {
        Self { case, ended: [0; NODES], kept: [None; NODES], effects: [0; NODES], unsure: false }
    }

    pub(crate) fn resumable(&self, tree: &Tree) -> bool {
        match tree {
            Tree::Node { node, stored, .. } => *stored && self.kept[*node].is_some(),
            Tree::Map(_) => false,
            Tree::Seq(parts) => parts.iter().any(|part| self.resumable(part)),
            Tree::Par { branches, .. } => branches.iter().all(|branch| self.resumable(branch)),
            Tree::Retry { body, .. } => self.resumable(body),
        }
    }

    /// Runs a part, without an input where it can be gone on with.
    pub(crate) fn run(&mut self, tree: &Tree, input: Option<u64>) -> Result<u64, Fail> {
        match tree {
            Tree::Node { node, stored, patience } => {
                let node = *node;
                if let Some(kept) = self.kept[node].filter(|_| *stored && input.is_none()) {
                    return Ok(kept);
                }
                let input = input.unwrap();
                let mut tally = Tally::default();
                loop {
                    let Call { outcome, .. } = call(&self.case.calls, node, self.ended[node]);
                    self.ended[node] += 1;
                    match outcome {
                        Outcome::Succeeds => {
                            self.effects[node] += 1;
                            let out = yielded_by(node, input);
                            self.kept[node] = stored.then_some(out);
                            return Ok(out);
                        }
                        Outcome::Fails(class) if tally.again(class, *patience) => {}
                        Outcome::Fails(class) => return Err(Fail { node, class }),
                    }
                }
            }
            Tree::Map(by) => Ok(mapped(*by, input.unwrap())),
            Tree::Seq(parts) => {
                let from = parts.iter().rposition(|part| self.resumable(part));
                let mut value = if from.is_some() { None } else { input };
                for part in &parts[from.unwrap_or(0)..] {
                    value = Some(self.run(part, value)?);
                }
                Ok(value.unwrap())
            }
            Tree::Par { branches, settle } => {
                let ends: Vec<_> = branches
                    .iter()
                    .map(|branch| if self.resumable(branch) { self.run(branch, None) } else { self.run(branch, input) })
                    .collect();
                let failed = ends.iter().filter(|end| end.is_err()).count();
                self.unsure |= if *settle { failed > 1 } else { failed > 0 };
                let outs = ends.into_iter().collect::<Result<Vec<_>, _>>()?;
                Ok(outs.into_iter().reduce(joined).unwrap())
            }
            Tree::Retry { body, patience, from_start } => {
                let mut tally = Tally::default();
                let mut end = self.run(body, input);
                while let Err(fail) = end {
                    if !tally.again(fail.class, *patience) {
                        return Err(fail);
                    }
                    if *from_start && input.is_some() {
                        each_node(body, &mut |node, _, _, _| self.kept[node] = None);
                    }
                    end = if self.resumable(body) { self.run(body, None) } else { self.run(body, input) };
                }
                end
            }
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally(pub(crate) u32, pub(crate) u32);

impl Tally {
    pub(crate) fn again(&mut self, class: FailureClass, patience: Patience) -> bool {
        let count = match class {
            FailureClass::Recoverable => &mut self.0,
            FailureClass::Ambiguous => &mut self.1,
            _ => return false,
        };
        *count += 1;
        *count <= patience.of(class)
    }
}

pub(crate) fn each_node(tree: &Tree, visit: &mut impl FnMut(usize, bool, Patience, bool)) {
    fn walk(tree: &Tree, restarts: bool, visit: &mut impl FnMut(usize, bool, Patience, bool)) {
        match tree {
            Tree::Node { node, stored, patience } => visit(*node, *stored, *patience, restarts),
            Tree::Map(_) => {}
            Tree::Seq(parts) | Tree::Par { branches: parts, .. } => {
                parts.iter().for_each(|part| walk(part, restarts, visit));
            }
            Tree::Retry { body, from_start, .. } => walk(body, restarts || *from_start, visit),
        }
    }
    walk(tree, false, visit);
}

/// What the pipeline yields when all goes well.
pub(crate) fn result(tree: &Tree, x: u64) -> u64 {
    match tree {
        Tree::Node { node, .. } => yielded_by(*node, x),
        Tree::Map(by) => mapped(*by, x),
        Tree::Seq(parts) => parts.iter().fold(x, |x, part| result(part, x)),
        Tree::Par { branches, .. } => branches.iter().map(|branch| result(branch, x)).reduce(joined).unwrap(),
        Tree::Retry { body, .. } => result(body, x),
    }
}
