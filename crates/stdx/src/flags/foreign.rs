//! Flags of the compatible program that this one does not act upon. None is passed over in silence: ignoring one could
//! run a cluster without the protection it asks for.

use super::switch;

/// One such flag.
#[derive(Clone, Copy, Debug)]
pub struct Foreign {
    pub name: &'static str,
    pub alias: Option<&'static str>,
    /// Whether it is written `--[no-]name`.
    pub is_switch: bool,
    pub accepts: Accepts,
    /// Why it is accepted, or what to do instead.
    pub why: &'static str,
}

/// Which values are accepted, with a note that they make no difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepts {
    /// None: it asks for what this program cannot do.
    Nothing,
    /// Those that ask for what this program does anyway.
    Only(&'static [&'static str]),
    /// All: it cannot matter here.
    Anything,
}

impl Foreign {
    /// A flag that asks for what is not there. `why` says what to do instead, if anything.
    pub const fn refused(name: &'static str, why: &'static str) -> Foreign {
        Foreign { name, alias: None, is_switch: false, accepts: Accepts::Nothing, why }
    }

    /// A flag that may only say what is so anyway.
    pub const fn fixed(name: &'static str, values: &'static [&'static str], why: &'static str) -> Foreign {
        Foreign { name, alias: None, is_switch: false, accepts: Accepts::Only(values), why }
    }

    /// A flag that cannot matter here.
    pub const fn idle(name: &'static str, why: &'static str) -> Foreign {
        Foreign { name, alias: None, is_switch: false, accepts: Accepts::Anything, why }
    }

    pub const fn alias(mut self, alias: &'static str) -> Foreign {
        self.alias = Some(alias);
        self
    }

    /// It is written `--[no-]name`.
    pub const fn switch(mut self) -> Foreign {
        self.is_switch = true;
        self
    }

    pub(super) fn find(table: &'static [Foreign], name: &str) -> Option<&'static Foreign> {
        table.iter().find(|foreign| foreign.name == name || foreign.alias == Some(name))
    }

    /// The note about an accepted value, or why it is refused. `shown` is the flag or variable as it was given.
    pub(super) fn judge(&self, shown: &str, value: &str) -> Result<String, String> {
        let note = || format!("{shown}={value} has no effect: {}", self.why);
        match self.accepts {
            Accepts::Anything => Ok(note()),
            Accepts::Only(values) if values.iter().any(|allowed| self.is_same(allowed, value)) => Ok(note()),
            Accepts::Only(values) => {
                let allowed = values.join(" or ");
                Err(format!("{shown}: '{value}' is not {allowed}{}; remove it", parenthesis(self.why)))
            }
            Accepts::Nothing => {
                let why = parenthesis(self.why);
                Err(format!("{shown}: Meseta does not implement this flag of Mesos{why}; remove it"))
            }
        }
    }

    fn is_same(&self, allowed: &str, value: &str) -> bool {
        match self.is_switch {
            true => switch(value).is_ok_and(|on| on.to_string() == allowed),
            false => allowed == value,
        }
    }
}

fn parenthesis(why: &str) -> String {
    if why.is_empty() { String::new() } else { format!(" ({why})") }
}
