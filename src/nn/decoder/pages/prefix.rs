//! Which pages hold the beginnings of texts that have been read: a tree whose nodes are pages.
//!
//! Full pages are found by their tokens' hash (and compared, so that a collision costs nothing but time), the last
//! part of a text by the longest common beginning. Pure: page numbers in, page numbers out.

use super::PAGE;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// A page's place in the tree.
pub type NodeId = usize;

struct Node {
    parent: Option<NodeId>,
    /// Its tokens, at most [`PAGE`].
    tokens: Vec<u32>,
    page: u32,
    children: Vec<NodeId>,
    used: u64,
}

/// The tree.
#[derive(Default)]
pub struct Prefixes {
    nodes: Vec<Option<Node>>,
    free: Vec<NodeId>,
    roots: Vec<NodeId>,
    /// Full pages by parent and hash.
    full: HashMap<(Option<NodeId>, u64), NodeId>,
    clock: u64,
}

/// The known beginning of a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub nodes: Vec<NodeId>,
    /// One for each node, all full.
    pub pages: Vec<u32>,
    /// A page whose first so many tokens go on.
    pub tail: Option<(u32, usize)>,
}

/// What became of a page that was to be noted.
#[derive(Debug, PartialEq, Eq)]
pub enum Noted {
    /// It stands in the tree now; pages that say less are out of it.
    New { node: NodeId, replaced: Vec<u32> },
    /// Another page with the same tokens stands there.
    Known { node: NodeId, page: u32 },
    /// One that says more stands there.
    Covered,
}

fn hash(tokens: &[u32]) -> u64 {
    let mut hasher = DefaultHasher::new();
    tokens.hash(&mut hasher);
    hasher.finish()
}

/// Tokens that two texts begin with alike.
pub fn shared(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

impl Prefixes {
    fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id).and_then(Option::as_ref)
    }

    fn touch(&mut self, id: NodeId) {
        self.clock += 1;
        let clock = self.clock;
        if let Some(Some(node)) = self.nodes.get_mut(id) {
            node.used = clock;
        }
    }

    fn children(&self, parent: Option<NodeId>) -> &[NodeId] {
        parent.map_or(&self.roots, |p| self.node(p).map_or(&[][..], |n| &n.children))
    }

    /// The full page of `tokens` that follows `parent`.
    pub fn next(&mut self, parent: Option<NodeId>, tokens: &[u32]) -> Option<(NodeId, u32)> {
        let id = *self.full.get(&(parent, hash(tokens)))?;
        let page = self.node(id).filter(|n| n.tokens == tokens)?.page;
        self.touch(id);
        Some((id, page))
    }

    /// As much of the beginning of `tokens` as is known.
    pub fn find(&mut self, tokens: &[u32]) -> Found {
        let mut found = Found::default();
        let mut rest = tokens;
        while let Some((page, after)) = rest.split_at_checked(PAGE) {
            let Some((id, number)) = self.next(found.nodes.last().copied(), page) else { break };
            found.nodes.push(id);
            found.pages.push(number);
            rest = after;
        }
        let parent = found.nodes.last().copied();
        let each = self.children(parent).iter().filter_map(|id| Some((*id, self.node(*id)?)));
        let best = each.map(|(id, n)| (shared(&n.tokens, rest), id, n.page)).max_by_key(|b| b.0);
        // One token is sooner read again than a page is copied.
        if let Some((count, id, page)) = best.filter(|b| b.0 > 1) {
            self.touch(id);
            found.tail = Some((page, count));
        }
        found
    }

    /// Notes that `page` holds `tokens` (at most a page of them) after `parent`.
    pub fn note(&mut self, parent: Option<NodeId>, tokens: &[u32], page: u32) -> Noted {
        if tokens.len() == PAGE
            && let Some((node, page)) = self.next(parent, tokens)
        {
            return Noted::Known { node, page };
        }
        let siblings = self.children(parent).to_vec();
        let covers = |id: &NodeId| self.node(*id).is_some_and(|n| n.tokens.starts_with(tokens));
        if tokens.len() < PAGE && siblings.iter().any(covers) {
            return Noted::Covered;
        }
        let is_less =
            |id: &NodeId| self.node(*id).is_some_and(|n| n.tokens.len() < PAGE && tokens.starts_with(&n.tokens));
        let less: Vec<NodeId> = siblings.into_iter().filter(is_less).collect();
        let replaced = less.into_iter().filter_map(|id| self.remove(id)).collect();
        let node = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(None);
            self.nodes.len() - 1
        });
        let fresh = Node { parent, tokens: tokens.to_vec(), page, children: Vec::new(), used: 0 };
        self.nodes[node] = Some(fresh);
        self.touch(node);
        match parent.and_then(|p| self.nodes.get_mut(p)).and_then(Option::as_mut) {
            Some(parent) => parent.children.push(node),
            None => self.roots.push(node),
        }
        if tokens.len() == PAGE {
            self.full.insert((parent, hash(tokens)), node);
        }
        Noted::New { node, replaced }
    }

    /// The least recently used page that nothing follows, of those that `is_free`.
    pub fn oldest(&self, is_free: &dyn Fn(u32) -> bool) -> Option<NodeId> {
        let each = self.nodes.iter().enumerate().filter_map(|(id, n)| Some((id, n.as_ref()?)));
        let leaves = each.filter(|(_, n)| n.children.is_empty() && is_free(n.page));
        leaves.min_by_key(|(_, n)| n.used).map(|(id, _)| id)
    }

    /// Takes a page that nothing follows out of the tree; its number.
    pub fn remove(&mut self, id: NodeId) -> Option<u32> {
        if !self.node(id)?.children.is_empty() {
            return None;
        }
        let node = self.nodes.get_mut(id)?.take()?;
        self.free.push(id);
        let key = (node.parent, hash(&node.tokens));
        if self.full.get(&key) == Some(&id) {
            self.full.remove(&key);
        }
        match node.parent.and_then(|p| self.nodes.get_mut(p)).and_then(Option::as_mut) {
            Some(parent) => parent.children.retain(|c| *c != id),
            None => self.roots.retain(|c| *c != id),
        }
        Some(node.page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(seed: u32, len: usize) -> Vec<u32> {
        (0..len as u32).map(|i| i.wrapping_mul(31).wrapping_add(seed * 1000)).collect()
    }

    #[test]
    fn a_beginning_is_found_page_by_page_and_then_token_by_token() {
        let mut tree = Prefixes::default();
        let tokens = text(1, 2 * PAGE + 10);
        let Noted::New { node, .. } = tree.note(None, &tokens[..PAGE], 7) else { unreachable!("new") };
        let Noted::New { node: next, .. } = tree.note(Some(node), &tokens[PAGE..2 * PAGE], 8) else { unreachable!() };
        tree.note(Some(next), &tokens[2 * PAGE..], 9);
        assert_eq!(tree.note(None, &tokens[..PAGE], 3), Noted::Known { node, page: 7 });

        let found = tree.find(&tokens);
        assert_eq!((found.pages, found.tail), (vec![7, 8], Some((9, 10))));
        let found = tree.find(&tokens[..2 * PAGE - 1]);
        assert_eq!((found.pages, found.tail), (vec![7], Some((8, PAGE - 1))));
        let mut other = tokens.clone();
        other[PAGE + 5] += 1;
        let found = tree.find(&other);
        assert_eq!((found.pages, found.tail), (vec![7], Some((8, 5))));
        assert_eq!(tree.find(&text(2, 100)), Found::default());
    }

    #[test]
    fn what_says_less_makes_way_and_leaves_go_first() {
        let mut tree = Prefixes::default();
        let tokens = text(1, PAGE);
        tree.note(None, &tokens[..10], 1);
        assert_eq!(tree.note(None, &tokens[..5], 2), Noted::Covered);
        let Noted::New { node, replaced } = tree.note(None, &tokens, 3) else { unreachable!("new") };
        assert_eq!(replaced, [1]);
        tree.note(Some(node), &[1, 2, 3], 4);
        tree.note(None, &text(5, 8), 5);
        tree.find(&tokens);
        let oldest = tree.oldest(&|_| true).expect("a leaf");
        assert_eq!(tree.remove(oldest), Some(4), "nothing follows it, and it is older than 5");
        assert_eq!(tree.oldest(&|page| page != 5), Some(node));
        assert_eq!(tree.remove(node), Some(3));
        assert_eq!(tree.find(&tokens), Found::default());
    }
}
