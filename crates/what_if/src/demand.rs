//! What frameworks want beyond what they hold: assumed, because no document of a master tells it.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use resources::Quantities;

use crate::{
    portion::fitting,
    scenario::{Scenario, Wanted},
    state::quantities,
};

/// A framework, by its name or id, and what it wants more.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    pub framework: String,
    pub extra: Extra,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Extra {
    /// As many tasks as the whole cluster could run.
    Unlimited,
    /// That many; like its most frequent one if it is not said what each wants.
    Tasks { count: u32, each: Option<Quantities> },
}

impl FromStr for Demand {
    type Err = String;

    /// `FRAMEWORK=unlimited`, `FRAMEWORK=10` or `FRAMEWORK=10:cpus:1;mem:512`.
    fn from_str(text: &str) -> Result<Demand, String> {
        let wrong =
            |wrong: &str| format!("'{text}': {wrong}; such as spark=unlimited, spark=10 or spark=10:cpus:1;mem:512");
        let (framework, extra) = text.rsplit_once('=').ok_or_else(|| wrong("there is no '='"))?;
        let extra = match extra.trim().split_once(':') {
            None if extra.trim() == "unlimited" => Extra::Unlimited,
            None => Extra::Tasks {
                count: extra.trim().parse().map_err(|_| wrong("that is no number of tasks"))?,
                each: None,
            },
            Some((count, each)) => Extra::Tasks {
                count: count.trim().parse().map_err(|_| wrong("that is no number of tasks"))?,
                each: Some(
                    quantities(each).filter(|each| !each.is_empty()).ok_or_else(|| wrong("those are no resources"))?,
                ),
            },
        };
        match framework.trim() {
            "" => Err(wrong("there is no framework")),
            framework => Ok(Demand { framework: framework.to_owned(), extra }),
        }
    }
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = |each: &Option<Quantities>| match each {
            Some(each) => format!("of {each} each"),
            None => "like its most frequent one".to_owned(),
        };
        match &self.extra {
            Extra::Unlimited => write!(f, "{} wants as many more tasks as the cluster could run", self.framework),
            Extra::Tasks { count, each: shape } => {
                write!(f, "{} wants {count} tasks more, {}", self.framework, each(shape))
            }
        }
    }
}

impl Scenario {
    /// Adds what a framework wants from the beginning on, in each role in which it holds something, or in its first.
    pub fn assume(&mut self, demand: &Demand, task: Duration) -> Result<(), String> {
        let named =
            |row: &crate::ScenarioFramework| *row.name == *demand.framework || row.id.as_str() == demand.framework;
        let Some(number) = self.frameworks.iter().position(named) else {
            let known: Vec<&str> = self.frameworks.iter().map(|row| &*row.name).collect();
            return Err(format!("there is no framework '{}'; there are {}", demand.framework, known.join(", ")));
        };
        if !self.want_more(number, &demand.extra, task) {
            return Err(format!(
                "'{}' holds nothing, so it is not known what its tasks want; say it, such as {}=10:cpus:1;mem:512",
                demand.framework, demand.framework
            ));
        }
        self.notes.push(format!("{demand}."));
        Ok(())
    }

    /// Every framework wants as much as there is.
    pub fn assume_unlimited(&mut self, task: Duration) {
        self.notes.push(
            "Every framework wants as many more tasks as the cluster could run, like its most frequent one.".into(),
        );
        for number in 0..self.frameworks.len() {
            if !self.want_more(number, &Extra::Unlimited, task)
                && let Some(row) = self.frameworks.get(number)
                && row.active
                && !row.roles.is_empty()
            {
                self.notes.push(format!("{} holds nothing; it is taken to want nothing.", row.name));
            }
        }
    }

    /// False if nobody knows what its tasks look like.
    fn want_more(&mut self, framework: usize, extra: &Extra, task: Duration) -> bool {
        let capacity = self.capacity();
        let mut shapes: Vec<(Arc<str>, Quantities)> = Vec::new();
        let held: Vec<&crate::Held> = self.held.iter().filter(|held| held.framework == framework).collect();
        for holder in &held {
            if shapes.iter().all(|(role, _)| *role != holder.role) {
                let count = |demand: &Quantities| {
                    held.iter().filter(|other| other.role == holder.role && other.demand == *demand).count()
                };
                let shape =
                    held.iter().filter(|other| other.role == holder.role).max_by_key(|other| count(&other.demand));
                shapes.extend(shape.map(|shape| (shape.role.clone(), shape.demand.clone())));
            }
        }
        if let Extra::Tasks { each: Some(each), .. } = extra {
            if shapes.is_empty() {
                let first = self.frameworks.get(framework).and_then(|row| row.roles.first());
                shapes.extend(first.map(|role| (Arc::from(role.as_str()), each.clone())));
            }
            shapes.truncate(1);
            for (_, shape) in &mut shapes {
                *shape = each.clone();
            }
        }
        let known = !shapes.is_empty();
        for (role, demand) in shapes {
            let count = match extra {
                Extra::Unlimited => fitting(&capacity, &demand),
                Extra::Tasks { count, .. } => *count,
            };
            let arrival = Duration::ZERO;
            self.wanted.push(Wanted { framework, role, arrival, duration: task, count, demand, again: true });
        }
        known
    }
}
