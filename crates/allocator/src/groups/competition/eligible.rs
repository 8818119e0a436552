//! Which groups may win units of which agents.

/// For each agent of a competition, the groups that may win units of it.
#[derive(Clone, Debug, Default)]
pub struct Eligible {
    /// Words of bits for each agent.
    words: usize,
    bits: Vec<u64>,
}

impl Eligible {
    pub fn new(groups: usize) -> Eligible {
        Eligible { words: groups.div_ceil(64).max(1), bits: Vec::new() }
    }

    /// For each group by itself, the agents.
    pub fn of_groups(agents: usize, groups: &[Vec<u32>]) -> Eligible {
        let mut eligible = Eligible::new(groups.len());
        eligible.bits.resize(agents * eligible.words, 0);
        for (group, agents) in groups.iter().enumerate() {
            for agent in agents {
                if let Some(word) = eligible.bits.get_mut(*agent as usize * eligible.words + group / 64) {
                    *word |= 1 << (group % 64);
                }
            }
        }
        eligible
    }

    pub fn reserve(&mut self, agents: usize) {
        self.bits.reserve(agents * self.words);
    }

    /// The next agent: for which groups, as words of bits.
    pub fn push(&mut self, groups: impl IntoIterator<Item = u64>) {
        let to = self.bits.len() + self.words;
        self.bits.extend(groups.into_iter().take(self.words));
        self.bits.resize(to, 0);
    }

    /// The agents that a group may win units of, in their order.
    pub fn agents(&self, group: u32) -> impl Iterator<Item = u32> + '_ {
        let (word, bit) = (group as usize / 64, group % 64);
        let rows = self.bits.chunks_exact(self.words.max(1)).enumerate();
        rows.filter(move |(_, row)| row.get(word).is_some_and(|word| word >> bit & 1 == 1))
            .map(|(agent, _)| agent as u32)
    }
}
