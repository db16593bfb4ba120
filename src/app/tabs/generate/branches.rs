//! The texts that were written after one prompt: each begins where it left another.

use crate::tasks::Step;

/// Branches that are kept.
const MOST: usize = 24;

/// One text.
#[derive(Clone, Debug, Default)]
pub struct Branch {
    pub steps: Vec<Step>,
    /// The first token that is its own.
    pub from: usize,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    pub prompt: String,
    pub branches: Vec<Branch>,
    /// The branch that is shown.
    pub shown: usize,
    /// The token whose candidates are shown; `None` for the last.
    pub selected: Option<usize>,
}

impl Tree {
    /// Nothing written yet.
    pub fn new(prompt: &str) -> Self {
        Self { prompt: prompt.to_owned(), branches: vec![Branch::default()], shown: 0, selected: None }
    }

    /// Ids of the shown branch.
    pub fn ids(&self) -> Vec<u32> {
        self.branches.get(self.shown).map(|b| b.steps.iter().map(|s| s.id).collect()).unwrap_or_default()
    }

    /// Text of the shown branch.
    pub fn text(&self) -> String {
        self.branches.get(self.shown).map(|b| b.steps.iter().map(|s| s.text.as_str()).collect()).unwrap_or_default()
    }

    /// Adds tokens to a branch.
    pub fn extend(&mut self, branch: usize, steps: Vec<Step>) {
        if let Some(branch) = self.branches.get_mut(branch) {
            branch.steps.extend(steps);
        }
    }

    /// The token whose candidates are shown.
    pub fn token(&self) -> Option<(usize, &Step)> {
        let steps = &self.branches.get(self.shown)?.steps;
        let index = self.selected.filter(|i| *i < steps.len()).or(steps.len().checked_sub(1))?;
        Some((index, &steps[index]))
    }

    /// Begins a branch that takes candidate `candidate` at `token` of the shown one; false if it
    /// is the token that stands there already.
    pub fn fork(&mut self, token: usize, candidate: usize) -> bool {
        let Some(branch) = self.branches.get(self.shown) else { return false };
        let Some(step) = branch.steps.get(token) else { return false };
        let Some((id, text, probability)) = step.top.get(candidate).cloned() else { return false };
        if id == step.id {
            return false;
        }
        let mut steps = branch.steps[..=token].to_vec();
        if let Some(last) = steps.last_mut() {
            (last.id, last.text, last.probability) = (id, text, probability);
        }
        // The same choice twice is the same branch.
        let same =
            |b: &Branch| b.steps.len() > token && b.steps.iter().zip(&steps).take(token + 1).all(|(a, b)| a.id == b.id);
        if let Some(known) = self.branches.iter().position(same) {
            self.shown = known;
            self.selected = Some(token);
            return false;
        }
        if self.branches.len() >= MOST {
            let oldest = if self.shown == 0 { 1 } else { 0 };
            self.branches.remove(oldest);
        }
        self.branches.push(Branch { steps, from: token });
        self.shown = self.branches.len() - 1;
        self.selected = Some(token);
        true
    }

    /// Everything, for programs.
    pub fn to_json(&self) -> String {
        let branches: Vec<serde_json::Value> = self
            .branches
            .iter()
            .map(|b| {
                let text: String = b.steps.iter().map(|s| s.text.as_str()).collect();
                serde_json::json!({ "text": text, "from": b.from, "steps": b.steps })
            })
            .collect();
        let json = serde_json::json!({ "prompt": self.prompt, "shown": self.shown, "branches": branches });
        serde_json::to_string_pretty(&json).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(id: u32, others: &[u32]) -> Step {
        let top = others.iter().map(|i| (*i, format!(" t{i}"), 0.1)).collect();
        Step { id, text: format!(" t{id}"), probability: 0.5, entropy: 1.0, top }
    }

    #[test]
    fn a_branch_keeps_what_is_before_its_token_and_nothing_after() {
        let mut tree = Tree::new("p");
        tree.extend(0, vec![step(1, &[1, 9]), step(2, &[2, 8]), step(3, &[3, 7])]);
        assert!(tree.fork(1, 1));
        assert_eq!(tree.ids(), [1, 8]);
        assert_eq!((tree.shown, tree.branches[1].from, tree.text().as_str()), (1, 1, " t1 t8"));
        tree.extend(1, vec![step(4, &[])]);
        tree.shown = 0;
        assert!(!tree.fork(1, 1), "known already");
        assert_eq!((tree.shown, tree.ids().len()), (1, 3));
        tree.shown = 0;
        assert!(!tree.fork(1, 0) && !tree.fork(7, 0) && !tree.fork(1, 5));
    }
}
