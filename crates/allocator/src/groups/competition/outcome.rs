//! Who won how much where.

/// What came of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Result {
    pub wanted: u64,
    pub won: u64,
    /// Agents with room for a unit when the competition began.
    pub entrants: u64,
    /// The room these had, in units.
    pub supply: u64,
}

/// Who won how much where.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub results: Vec<Result>,
    /// By agent, the first of its entries in `entries`, and `NONE` for none.
    heads: Vec<u32>,
    entries: Vec<Win>,
    /// Units won and not yet entered: the agent and the group of each.
    log: Vec<(u32, u32)>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Win {
    group: u32,
    pub(super) units: u32,
    next: u32,
}

const NONE: u32 = u32::MAX;

/// So many units are entered together, at least.
const BATCH: usize = 1 << 17;

impl Outcome {
    pub(super) fn new(agents: usize) -> Outcome {
        Outcome { heads: vec![NONE; agents], ..Outcome::default() }
    }

    /// The groups that won units of an agent, the first winner first, and how many.
    pub fn wins(&self, agent: u32) -> impl Iterator<Item = (u32, u32)> + '_ {
        let mut at = self.heads.get(agent as usize).copied().unwrap_or(NONE);
        std::iter::from_fn(move || {
            let win = self.entries.get(at as usize)?;
            at = win.next;
            Some((win.group, win.units))
        })
        .filter(|(_, units)| *units > 0)
    }

    /// Notes a unit won.
    #[inline]
    pub(super) fn log(&mut self, agent: u32, group: u32) {
        self.log.push((agent, group));
        if self.log.len() >= BATCH.max(self.heads.len()) {
            self.settle();
        }
    }

    /// Enters what was logged, agent by agent: their entries lie together then.
    pub(super) fn settle(&mut self) {
        let log = std::mem::take(&mut self.log);
        if log.len() < self.heads.len() {
            log.iter().for_each(|(agent, group)| self.enter(*agent, *group));
            return;
        }
        let mut ends = vec![0u32; self.heads.len() + 1];
        for (agent, _) in &log {
            if let Some(end) = ends.get_mut(*agent as usize + 1) {
                *end += 1;
            }
        }
        for at in 1..ends.len() {
            ends[at] += ends[at - 1];
        }
        let mut sorted = vec![(0, 0); log.len()];
        for entry in log {
            if let Some(at) = ends.get_mut(entry.0 as usize)
                && let Some(place) = sorted.get_mut(*at as usize)
            {
                *place = entry;
                *at += 1;
            }
        }
        sorted.into_iter().for_each(|(agent, group)| self.enter(agent, group));
    }

    fn enter(&mut self, agent: u32, group: u32) {
        if let Some(win) = self.win_mut(agent, group) {
            win.units += 1;
        }
    }

    pub(super) fn win_mut(&mut self, agent: u32, group: u32) -> Option<&mut Win> {
        let head = self.heads.get_mut(agent as usize)?;
        let (mut at, mut last) = (*head, NONE);
        while let Some(win) = self.entries.get(at as usize) {
            if win.group == group {
                return self.entries.get_mut(at as usize);
            }
            last = at;
            at = win.next;
        }
        let new = self.entries.len() as u32;
        match self.entries.get_mut(last as usize) {
            Some(win) => win.next = new,
            None => *head = new,
        }
        self.entries.push(Win { group, units: 0, next: NONE });
        self.entries.last_mut()
    }
}
