//! Ids as the cores keep them: one shared text each, cheap to clone and compare, and none mistaken for another.

use proto::v1;
use std::{borrow::Borrow, fmt, sync::Arc};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn new(text: impl Into<Arc<str>>) -> $name {
                $name(text.into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }

            pub fn to_proto(&self) -> v1::$name {
                v1::$name { value: self.0.as_ref().to_owned() }
            }
        }

        impl From<&v1::$name> for $name {
            fn from(id: &v1::$name) -> $name {
                $name(id.value.as_str().into())
            }
        }

        impl From<v1::$name> for $name {
            fn from(id: v1::$name) -> $name {
                $name(id.value.into())
            }
        }

        impl From<&$name> for v1::$name {
            fn from(id: &$name) -> v1::$name {
                id.to_proto()
            }
        }

        impl From<$name> for v1::$name {
            fn from(id: $name) -> v1::$name {
                id.to_proto()
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> $name {
                $name(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> $name {
                $name(text.into())
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl PartialEq<v1::$name> for $name {
            fn eq(&self, other: &v1::$name) -> bool {
                *self.0 == *other.value
            }
        }
    )+};
}

ids! {
    FrameworkId,
    AgentId,
    /// Unique within its framework only.
    TaskId,
    /// Unique within its framework and agent only.
    ExecutorId,
    /// An offer's or an inverse offer's.
    OfferId,
    /// Chosen by the framework; unique within it.
    OperationId,
    ResourceProviderId,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn an_id_goes_to_the_wire_and_back_and_is_found_by_its_text() {
        let id = TaskId::from("t-1");
        assert_eq!(TaskId::from(&id.to_proto()), id);
        assert_eq!(id, v1::TaskId { value: "t-1".into() });
        let map = BTreeMap::from([(id, 1)]);
        assert_eq!(map.get("t-1"), Some(&1));
    }
}
