//! Fields of a JSON document, found by name; an error says which one is wrong and what would be right.

use serde_json::Value;

/// Where in a document something is wrong, what, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {wrong}; {right}")]
pub struct DocumentError {
    /// Such as `state.json, slaves[3].resources.cpus`.
    pub place: String,
    pub wrong: String,
    pub right: String,
}

/// A value and the way to it.
#[derive(Clone, Debug)]
pub(crate) struct Field<'a> {
    file: &'a str,
    path: String,
    value: &'a Value,
}

pub(crate) fn parse(file: &str, text: &str) -> Result<Value, DocumentError> {
    serde_json::from_str(text).map_err(|error| DocumentError {
        place: file.to_owned(),
        wrong: format!("it is no JSON: {error}"),
        right: "the whole answer of the master, as curl prints it".to_owned(),
    })
}

impl<'a> Field<'a> {
    pub fn root(file: &'a str, value: &'a Value) -> Field<'a> {
        Field { file, path: String::new(), value }
    }

    pub fn error(&self, wrong: impl Into<String>, right: impl Into<String>) -> DocumentError {
        let place = if self.path.is_empty() { self.file.to_owned() } else { format!("{}, {}", self.file, self.path) };
        DocumentError { place, wrong: wrong.into(), right: right.into() }
    }

    /// A field that may be missing.
    pub fn find(&self, name: &str) -> Option<Field<'a>> {
        let value = self.value.get(name).filter(|value| !value.is_null())?;
        Some(Field { file: self.file, path: self.below(name), value })
    }

    pub fn get(&self, name: &str) -> Result<Field<'a>, DocumentError> {
        self.find(name).ok_or_else(|| self.error(format!("there is no field '{name}'"), "the document of a master"))
    }

    pub fn text(&self) -> Result<&'a str, DocumentError> {
        self.value.as_str().ok_or_else(|| self.error(format!("it is {}", kind(self.value)), "a text"))
    }

    pub fn number(&self) -> Result<f64, DocumentError> {
        let number = self.value.as_f64().filter(|number| number.is_finite());
        number.ok_or_else(|| self.error(format!("it is {}", kind(self.value)), "a number"))
    }

    /// An amount of a resource; `None` for ranges and sets, which are texts.
    pub fn amount(&self) -> Result<Option<f64>, DocumentError> {
        match self.value {
            Value::String(_) => Ok(None),
            _ => match self.number()? {
                amount if (0.0..=1e15).contains(&amount) => Ok(Some(amount)),
                amount => Err(self.error(format!("{amount} is no amount of a resource"), "0 or more")),
            },
        }
    }

    pub fn flag(&self) -> Result<bool, DocumentError> {
        self.value.as_bool().ok_or_else(|| self.error(format!("it is {}", kind(self.value)), "true or false"))
    }

    pub fn items(&self) -> Result<Vec<Field<'a>>, DocumentError> {
        let items = self.value.as_array().ok_or_else(|| self.error(format!("it is {}", kind(self.value)), "a list"))?;
        let item = |(at, value)| Field { file: self.file, path: format!("{}[{at}]", self.path), value };
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// The fields of an object and their names.
    pub fn entries(&self) -> Result<Vec<(&'a str, Field<'a>)>, DocumentError> {
        let object = self.value.as_object();
        let object = object.ok_or_else(|| self.error(format!("it is {}", kind(self.value)), "an object"))?;
        let entry = |(name, value): (&'a String, &'a Value)| {
            (name.as_str(), Field { file: self.file, path: self.below(name), value })
        };
        Ok(object.iter().map(entry).collect())
    }

    /// The value as text.
    pub fn json(&self) -> String {
        self.value.to_string()
    }

    fn below(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(value) => format!("the text '{}'", value.chars().take(40).collect::<String>()),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}
