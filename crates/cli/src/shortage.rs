//! What quotas have to do with it when something does not start: limits that are reached, and resources that are free
//! but kept for others. Pure; for `meseta run` and `meseta why`.

use std::collections::BTreeMap;

use proto::v1::{
    master::response::{GetAgents, get_agents},
    quota::QuotaConfig,
    value::Scalar,
};
use resources::{Quantities, Quantity, Resources};

use crate::output::amount;

/// The quotas of a cluster, and what roles hold.
#[derive(Debug, Default)]
pub struct Quotas {
    configs: Vec<QuotaConfig>,
    /// What is allocated or offered to each role, without the roles below it.
    held: BTreeMap<String, Quantities>,
}

impl Quotas {
    pub fn new(configs: Vec<QuotaConfig>, agents: &GetAgents) -> Quotas {
        let mut held: BTreeMap<String, Quantities> = BTreeMap::new();
        for agent in &agents.agents {
            for resource in agent.allocated_resources.iter().chain(&agent.offered_resources) {
                let Some(role) = resource.allocation_info.as_ref().and_then(|info| info.role.clone()) else { continue };
                let quantities =
                    Resources::from_protos(std::slice::from_ref(resource)).unwrap_or_default().scalar_quantities();
                let sum = held.remove(&role).unwrap_or_default() + &quantities;
                held.insert(role, sum);
            }
        }
        Quotas { configs, held }
    }

    /// One sentence for each limit, of the role or of one above it, that needs of this size would break.
    pub fn limits_in_the_way(&self, role: &str, needs: &Quantities) -> Vec<String> {
        let mut sentences = Vec::new();
        for config in self.configs.iter().filter(|config| is_within(role, &config.role)) {
            let held = self.held_within(&config.role);
            for (name, limit) in scalars(&config.limits) {
                let (has, need) = (held.named(&name), needs.named(&name));
                if !need.is_positive() || has + need <= limit {
                    continue;
                }
                let [limit_text, has_text, need_text] = [limit, has, need].map(|it| amount(&name, it.as_f64()));
                let of = &config.role;
                sentences.push(match need > limit {
                    true => format!(
                        "{need_text} {name} are needed, and the quota of role '{of}' limits it to {limit_text} in all; ask for \
                         less, or raise it with `meseta quota set {of} --limit`"
                    ),
                    false => format!(
                        "{need_text} {name} are needed, and the quota of role '{of}' limits it to {limit_text}, of which it \
                         holds {has_text}"
                    ),
                });
            }
        }
        sentences
    }

    /// Why needs that would fit into what is free get nothing: it is kept for roles that hold less than they are
    /// guaranteed.
    pub fn guarantees_in_the_way(&self, role: &str, needs: &Quantities, free: &Quantities) -> Option<String> {
        for (name, need) in needs.iter() {
            let unmet = |config: &QuotaConfig| {
                let guaranteed = config.guarantees.get(name.as_str()).map_or(0.0, |scalar| scalar.value);
                let guaranteed = Quantity::from_f64(guaranteed);
                guaranteed.minus(self.held_within(&config.role).named(name.as_str()).min(guaranteed))
            };
            let own = self
                .configs
                .iter()
                .filter(|config| is_within(role, &config.role))
                .any(|config| unmet(config).is_positive());
            let others: Vec<(&QuotaConfig, Quantity)> = self
                .configs
                .iter()
                .filter(|config| !is_within(role, &config.role) && !config.role.contains('/'))
                .map(|config| (config, unmet(config)))
                .filter(|(_, unmet)| unmet.is_positive())
                .collect();
            let kept = others.iter().fold(Quantity::default(), |sum, (_, unmet)| sum + *unmet);
            let has = free.named(name.as_str());
            if own || need > has || need + kept <= has {
                continue;
            }
            let text = |quantity: Quantity| amount(name.as_str(), quantity.as_f64());
            let (largest, unmet) = others.into_iter().max_by_key(|(_, unmet)| *unmet)?;
            return Some(format!(
                "{} {name} are free, but {} are kept for role '{}', which its quota guarantees {} and which holds {}",
                text(has),
                text(unmet.min(has)),
                largest.role,
                text(Quantity::from_f64(largest.guarantees.get(name.as_str()).map_or(0.0, |scalar| scalar.value))),
                text(self.held_within(&largest.role).named(name.as_str()))
            ));
        }
        None
    }

    /// The quotas that bind a role, with what is held of them: of the role itself and of those above it.
    pub fn of(&self, role: &str) -> Vec<String> {
        let of = |config: &QuotaConfig| {
            let held = self.held_within(&config.role);
            let list = |amounts: &BTreeMap<String, Scalar>| {
                let each = scalars(amounts).map(|(name, bound)| {
                    let has = amount(&name, held.named(&name).as_f64());
                    format!("{name} {} (holds {has})", amount(&name, bound.as_f64()))
                });
                each.collect::<Vec<_>>().join(", ")
            };
            let parts = [("limit", &config.limits), ("guarantee", &config.guarantees)];
            let parts = parts.iter().filter(|(_, amounts)| !amounts.is_empty());
            parts
                .map(|(what, amounts)| format!("quota of role '{}': {what} {}", config.role, list(amounts)))
                .collect::<Vec<_>>()
        };
        self.configs.iter().filter(|config| is_within(role, &config.role)).flat_map(of).collect()
    }

    fn held_within(&self, role: &str) -> Quantities {
        let within = self.held.iter().filter(|(holder, _)| is_within(holder, role)).map(|(_, held)| held);
        within.fold(Quantities::default(), |sum, next| sum + next)
    }
}

/// What is neither allocated nor offered on an agent, of what `role` may have.
pub fn free_on(agent: &get_agents::Agent, role: &str) -> Quantities {
    let ours = |resources: &[proto::v1::Resource]| {
        let all = Resources::from_protos(resources).unwrap_or_default().allocatable_to(role);
        all.filter(|resource| !resource.is_revocable() && resource.disk().is_none()).scalar_quantities()
    };
    let taken = ours(&agent.allocated_resources) + &ours(&agent.offered_resources);
    let total = ours(&agent.total_resources);
    total.iter().map(|(name, has)| (name.clone(), has.minus(taken.get(name).min(has)))).collect()
}

/// Whether a role is another or below it.
fn is_within(role: &str, of: &str) -> bool {
    role.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn scalars(amounts: &BTreeMap<String, Scalar>) -> impl Iterator<Item = (String, Quantity)> {
    amounts.iter().map(|(name, scalar)| (name.clone(), Quantity::from_f64(scalar.value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit;

    fn amounts(text: &[(&str, f64)]) -> BTreeMap<String, Scalar> {
        text.iter().map(|(name, value)| ((*name).to_owned(), Scalar { value: *value })).collect()
    }

    fn agents(total: &str, allocated: &str, role: &str) -> GetAgents {
        let read = |text: &str| Resources::parse(text, "*").expect(text);
        let agent = get_agents::Agent {
            total_resources: read(total).to_protos(),
            allocated_resources: read(allocated).allocate(role).to_protos(),
            ..Default::default()
        };
        GetAgents { agents: vec![agent], ..Default::default() }
    }

    #[test]
    fn a_limit_is_told_with_whose_it_is_and_both_figures() {
        let config = QuotaConfig {
            role: "ads".into(),
            limits: amounts(&[("cpus", 1.0), ("mem", 2048.0)]),
            ..Default::default()
        };
        let quotas = Quotas::new(vec![config], &agents("cpus:4;mem:4096", "cpus:0.5;mem:1536", "ads/east"));
        let told = quotas.limits_in_the_way("ads/west", &fit::quantities([("cpus", 1.0), ("mem", 128.0)]));
        let expected = "1 cpus are needed, and the quota of role 'ads' limits it to 1, of which it holds 0.5";
        assert_eq!(told, [expected]);
        let told = quotas.limits_in_the_way("ads", &fit::quantities([("mem", 4096.0)])).join("");
        assert!(told.contains("4 GiB mem are needed") && told.contains("2 GiB in all"), "{told}");
        assert!(quotas.limits_in_the_way("adsx", &fit::quantities([("cpus", 9.0)])).is_empty());
        assert_eq!(quotas.of("ads").len(), 1);
    }

    #[test]
    fn what_is_kept_for_a_guarantee_is_told_with_its_role() {
        let config = QuotaConfig { role: "web".into(), guarantees: amounts(&[("cpus", 4.0)]), ..Default::default() };
        let all = agents("cpus:4", "cpus:1", "web");
        let free = free_on(&all.agents[0], "*");
        let quotas = Quotas::new(vec![config], &all);
        let told = quotas.guarantees_in_the_way("batch", &fit::quantities([("cpus", 1.0)]), &free).expect("kept");
        assert_eq!(
            told,
            "3 cpus are free, but 3 are kept for role 'web', which its quota guarantees 4 and which holds 1"
        );
        assert_eq!(quotas.guarantees_in_the_way("web", &fit::quantities([("cpus", 1.0)]), &free), None);
    }
}
