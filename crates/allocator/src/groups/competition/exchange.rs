//! Room for a guaranteed unit where there is none left: a group that won a unit on an agent moves it to another, or
//! takes it from a third group that moves one of its own. The shortest such chain is looked for, which with units of
//! one size finds room whenever the agents can give all groups what they are guaranteed. Exclusive groups keep what
//! they have.

use std::collections::VecDeque;

use super::{Contender, Eligible, Outcome, Supply};

/// How many looks at agents all exchanges of a competition may cost.
pub(super) const EFFORT: u64 = 1_000_000;

/// Moves units until `group` has won one more. False if no chain of moves brings that about.
pub(super) fn exchange(
    group: u32,
    (contenders, eligible): (&[Contender], &Eligible),
    supply: &mut Supply,
    outcome: &mut Outcome,
    effort: &mut u64,
) -> bool {
    outcome.settle();
    // For each group that is asked to move: who asks, and on which agent.
    let mut asked: Vec<Option<(u32, u32)>> = vec![None; contenders.len()];
    let mut waiting = VecDeque::from([group]);
    while let Some(mover) = waiting.pop_front() {
        let Some(contender) = contenders.get(mover as usize).filter(|contender| !contender.exclusive) else { continue };
        for agent in eligible.agents(mover) {
            if *effort == 0 {
                return false;
            }
            *effort -= 1;
            if !supply.is_drawn(agent) || !supply.admits(agent, mover, false) {
                continue;
            }
            if supply.has_room(agent, &contender.unit) {
                let chain = chain_to(mover, group, &asked);
                if chain.iter().all(|(_, _, at)| *at != agent) {
                    win(mover, agent, contenders, supply, outcome, 1);
                    for (loser, winner, at) in chain {
                        win(loser, at, contenders, supply, outcome, -1);
                        win(winner, at, contenders, supply, outcome, 1);
                    }
                    return true;
                }
                continue;
            }
            let holders: Vec<u32> = outcome.wins(agent).map(|(holder, _)| holder).collect();
            for holder in holders {
                let Some(other) = contenders.get(holder as usize).filter(|other| !other.exclusive) else { continue };
                if holder == group || holder == mover || asked.get(holder as usize).is_none_or(|by| by.is_some()) {
                    continue;
                }
                let mut after = supply.free(agent).iter().zip(&other.unit).zip(&contender.unit);
                let suffices = after.all(|((free, back), amount)| *amount <= 0 || free + back >= *amount);
                let is_on_the_way = chain_to(mover, group, &asked).iter().any(|(_, _, at)| *at == agent);
                if suffices
                    && !is_on_the_way
                    && let Some(by) = asked.get_mut(holder as usize)
                {
                    *by = Some((mover, agent));
                    waiting.push_back(holder);
                }
            }
        }
    }
    false
}

/// The moves from the last group that was asked back to the first that asks: who loses a unit to whom, and where.
fn chain_to(last: u32, first: u32, asked: &[Option<(u32, u32)>]) -> Vec<(u32, u32, u32)> {
    let mut chain = Vec::new();
    let mut at = last;
    while at != first && chain.len() <= asked.len() {
        let Some((by, agent)) = asked.get(at as usize).copied().flatten() else { break };
        chain.push((at, by, agent));
        at = by;
    }
    chain
}

fn win(group: u32, agent: u32, contenders: &[Contender], supply: &mut Supply, outcome: &mut Outcome, units: i64) {
    let Some(contender) = contenders.get(group as usize) else { return };
    supply.move_unit(agent, &contender.unit, units);
    if units > 0 {
        supply.book(agent, group, false);
    }
    if let Some(win) = outcome.win_mut(agent, group) {
        win.units = win.units.saturating_add_signed(units as i32);
    }
}
