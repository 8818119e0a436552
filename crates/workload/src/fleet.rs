//! The agents of a replay: from a CSV, or in short as `100:cpus:8;mem:32768`.

use proto::v1::{
    Attribute, DomainInfo,
    domain_info::{
        FaultDomain,
        fault_domain::{RegionInfo, ZoneInfo},
    },
};
use resources::{Resource, Resources, attributes};

use crate::sheet::{Sheet, SheetError};

#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    pub hostname: String,
    pub resources: Resources,
    pub attributes: Vec<Attribute>,
    pub domain: Option<DomainInfo>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fleet {
    pub agents: Vec<Agent>,
}

const KNOWN: [&str; 10] =
    ["count", "hostname", "cpus", "mem", "disk", "gpus", "resources", "attributes", "region", "zone"];
const COUNT_MAX: usize = 1_000_000;
const RESOURCES_RIGHT: &str = "resources as an agent's flag has them, such as cpus:8;mem:32768";

impl Fleet {
    /// Reads the CSV of a fleet; `file` is its name, for errors.
    pub fn parse(file: &str, text: &str) -> Result<Fleet, SheetError> {
        let sheet = Sheet::read(file, text, &[], &KNOWN)?;
        let mut fleet = Fleet::default();
        for row in sheet.rows() {
            let count =
                row.number("count", Some(1), |count| (1..=COUNT_MAX).contains(count), "1 to 1,000,000 agents")?;
            let mut total = Resources::default();
            for (name, amount) in row.amounts()?.iter() {
                total.add_one(Resource::scalar_of(name.clone(), amount));
            }
            if let Some(text) = row.text("resources") {
                let more = Resources::parse(text, "*");
                total += more.map_err(|error| row.error("resources", error.to_string(), RESOURCES_RIGHT))?;
            }
            if total.is_empty() {
                return Err(row.error("resources", "the agent has nothing", RESOURCES_RIGHT));
            }
            let text = row.text("attributes").unwrap_or_default();
            let attributes = attributes::parse(text)
                .map_err(|error| row.error("attributes", error.to_string(), "such as rack:r1;ssd:true"))?;
            let domain = match (row.text("region"), row.text("zone")) {
                (None, None) => None,
                (Some(region), Some(zone)) => Some(domain(region, zone)),
                _ => return Err(row.error("region", "a region or a zone alone", "both of them, or neither")),
            };
            fleet.add(count, row.text("hostname"), &total, &attributes, &domain);
        }
        if fleet.agents.is_empty() {
            return Err(SheetError::new(file, "it holds no agents", "a line for each kind of agent after the header"));
        }
        Ok(fleet)
    }

    /// `N:RESOURCES`, or resources alone for one agent.
    pub fn of_spec(text: &str) -> Result<Fleet, SheetError> {
        let (count, resources) = match text.split_once(':') {
            Some((count, resources)) if count.trim().bytes().all(|byte| byte.is_ascii_digit()) => {
                (count.trim(), resources)
            }
            _ => ("1", text),
        };
        let wrong = |wrong: String| SheetError::new(format!("'{text}'"), wrong, "such as 10:cpus:8;mem:32768");
        let count = count.parse().ok().filter(|count| (1..=COUNT_MAX).contains(count));
        let count = count.ok_or_else(|| wrong("the number of agents is not in 1 to 1,000,000".to_owned()))?;
        let total = Resources::parse(resources, "*").map_err(|error| wrong(error.to_string()))?;
        if total.is_empty() {
            return Err(wrong("the agents have nothing".to_owned()));
        }
        let mut fleet = Fleet::default();
        fleet.add(count, None, &total, &[], &None);
        Ok(fleet)
    }

    /// Adds equal agents; without a name they are called `agent-N`.
    fn add(
        &mut self,
        count: usize,
        hostname: Option<&str>,
        resources: &Resources,
        attributes: &[Attribute],
        domain: &Option<DomainInfo>,
    ) {
        for number in 1..=count {
            let hostname = match (hostname, count) {
                (Some(name), 1) => name.to_owned(),
                (Some(name), _) => format!("{name}-{number}"),
                (None, _) => format!("agent-{}", self.agents.len() + 1),
            };
            let agent = Agent {
                hostname,
                resources: resources.clone(),
                attributes: attributes.to_vec(),
                domain: domain.clone(),
            };
            self.agents.push(agent);
        }
    }

    /// What all agents have together.
    pub fn total(&self) -> Resources {
        self.agents.iter().map(|agent| agent.resources.clone()).sum()
    }
}

fn domain(region: &str, zone: &str) -> DomainInfo {
    let region = RegionInfo { name: region.to_owned() };
    let zone = ZoneInfo { name: zone.to_owned() };
    DomainInfo { fault_domain: Some(FaultDomain { region, zone }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_reads_kinds_of_agents() {
        let text = "count,hostname,cpus,mem,resources,attributes,region,zone\n\
                    2,big,32,131072,ports:[31000-32000],rack:r1;ssd:true,eu,a\n\
                    1,,4,8192,cpus(ads):2,,,\n";
        let fleet = Fleet::parse("f.csv", text).expect("a fleet");
        let names: Vec<&str> = fleet.agents.iter().map(|agent| agent.hostname.as_str()).collect();
        assert_eq!(names, ["big-1", "big-2", "agent-3"]);
        assert_eq!(fleet.total().cpus().map(|cpus| cpus.as_f64()), Some(70.0));
        assert_eq!(fleet.agents[0].attributes.len(), 2);
        assert!(fleet.agents[0].domain.is_some() && fleet.agents[2].domain.is_none());
    }

    #[test]
    fn short_forms_and_their_errors() {
        assert_eq!(Fleet::of_spec("10:cpus:8;mem:1024").map(|fleet| fleet.agents.len()), Ok(10));
        assert_eq!(Fleet::of_spec("cpus:8").map(|fleet| fleet.agents.len()), Ok(1));
        for text in ["0:cpus:1", "99999999:cpus:1", "3:cpus", "3:", "x"] {
            let error = Fleet::of_spec(text).expect_err(text).to_string();
            assert!(error.contains("such as 10:cpus:8;mem:32768"), "{error}");
        }
        let error = Fleet::parse("f.csv", "cpus,zone\n1,a\n").expect_err("half a domain").to_string();
        assert!(error.starts_with("f.csv, line 2, column region: a region or a zone alone"), "{error}");
    }
}
