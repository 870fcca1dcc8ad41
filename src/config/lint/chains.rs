//! Chains of calls, and what their retries multiply to.

use super::{
    call::{Call, Terms},
    mesh::Mesh,
};

/// What llmesh lets through of retries where no budget is written: retries for each request.
pub(super) const OWN_BUDGET: f64 = 0.2;

/// The worst chain that leads to each call.
pub(super) struct Chains<'m, 'a> {
    mesh: &'m Mesh<'a>,
    /// By call: the one before it.
    before: Vec<Option<usize>>,
}

/// One call of a chain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Hop {
    pub(super) call: usize,
    /// Sends of one request when the end of the chain fails.
    pub(super) sends: f64,
    /// The same on average where a written budget bounds them.
    pub(super) bounded: f64,
    /// Calls for each request.
    pub(super) times: f64,
}

// === impl Chains ===

impl<'m, 'a> Chains<'m, 'a> {
    pub(super) fn of(mesh: &'m Mesh<'a>) -> Self {
        let mut chains = Self {
            mesh,
            before: vec![None; mesh.calls.len()],
        };
        let mut known = vec![None; mesh.nodes.len()];
        for node in 0..mesh.nodes.len() {
            chains.worst(node, &mut known, &mut Vec::new());
        }
        for (index, call) in mesh.calls.iter().enumerate() {
            chains.before[index] = known[call.caller].flatten().map(|(before, _)| before);
        }
        chains
    }

    /// The call into a node whose chain multiplies most, and by how much. A chain that comes back to itself ends there.
    fn worst(
        &self,
        node: usize,
        known: &mut Vec<Option<Option<(usize, f64)>>>,
        way: &mut Vec<usize>,
    ) -> Option<(usize, f64)> {
        if let Some(found) = known[node] {
            return found;
        }
        if way.contains(&node) || way.len() > 64 {
            return None;
        }
        way.push(node);
        let mut best: Option<(usize, f64)> = None;
        for index in self.mesh.calls_to(node) {
            let call = &self.mesh.calls[*index];
            let before = self
                .worst(call.caller, known, way)
                .map_or(1.0, |(_, product)| product);
            let product = before * hop(*index, call, false).sends;
            if best.is_none_or(|(_, most)| product > most) {
                best = Some((*index, product));
            }
        }
        way.pop();
        known[node] = Some(best);
        best
    }

    /// The worst chain that ends with a call.
    pub(super) fn to(&self, index: usize) -> Vec<Hop> {
        let calls = &self.mesh.calls;
        let mut chain = vec![hop(index, &calls[index], true)];
        let mut at = index;
        while let Some(before) = self.before[at] {
            if chain.iter().any(|hop| hop.call == before) {
                break;
            }
            chain.push(hop(before, &calls[before], false));
            at = before;
        }
        chain.reverse();
        chain
    }
}

/// The terms of a call that multiply most when something fails: here, or behind it.
pub(super) fn worst_terms<'c, 'a>(call: &'c Call<'a>, here: bool) -> Option<&'c Terms<'a>> {
    let all = call.terms.iter();
    // Of equals the first.
    all.rev().max_by_key(|terms| {
        if here {
            terms.sends()
        } else {
            terms.sends_on_error()
        }
    })
}

fn hop(index: usize, call: &Call<'_>, here: bool) -> Hop {
    let terms = worst_terms(call, here);
    let sends = terms.map_or(1, |terms| {
        if here {
            terms.sends()
        } else {
            terms.sends_on_error()
        }
    });
    let sends = f64::from(sends);
    let budget = terms.and_then(Terms::budget);
    Hop {
        call: index,
        sends,
        bounded: budget.map_or(sends, |share| sends.min(1.0 + share)),
        times: f64::from(call.times),
    }
}
