//! Attributes of agents: `rack:abc;zone:west;level:10;keys:[1000-1500];tags:{a,b}`. Names may repeat; the order is
//! kept.

use crate::{
    parse::{Parsed, parse_value},
    quantity::Quantity,
};
use proto::v1::{self, Attribute, value};

/// Why a text is no list of attributes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    #[error("Invalid attribute key:value pair '{0}'")]
    Pair(String),
    #[error("Failed to parse attribute {name} text {text} error {why}")]
    Value { name: String, text: String, why: String },
}

/// Reads `name:value` pairs, parted by semicolons or line ends. A value may itself contain colons.
pub fn parse(text: &str) -> Result<Vec<Attribute>, AttributeError> {
    let mut all = Vec::new();
    for pair in text.split([';', '\n']).filter(|pair| !pair.is_empty()) {
        let (name, value) = match pair.split_once(':') {
            Some((name, value)) if !name.is_empty() && !value.is_empty() => (name, value),
            _ => return Err(AttributeError::Pair(pair.into())),
        };
        let parsed =
            parse_value(value).map_err(|why| AttributeError::Value { name: name.into(), text: value.into(), why })?;
        let mut attribute = Attribute { name: name.to_owned(), ..Default::default() };
        match parsed {
            Parsed::Scalar(value) => {
                attribute.set_type(value::Type::Scalar);
                attribute.scalar = Some(value::Scalar { value });
            }
            Parsed::Ranges(ranges) => {
                attribute.set_type(value::Type::Ranges);
                let range = ranges.iter().map(|range| value::Range { begin: range.begin, end: range.end }).collect();
                attribute.ranges = Some(value::Ranges { range });
            }
            Parsed::Set(set) => {
                attribute.set_type(value::Type::Set);
                attribute.set = Some(value::Set { item: set.iter().map(str::to_owned).collect() });
            }
            Parsed::Text(value) => {
                attribute.set_type(value::Type::Text);
                attribute.text = Some(value::Text { value });
            }
        }
        all.push(attribute);
    }
    Ok(all)
}

/// One attribute's value as Mesos prints it.
pub fn print_value(attribute: &Attribute) -> String {
    let proto = v1::Resource {
        r#type: attribute.r#type,
        scalar: attribute.scalar,
        ranges: attribute.ranges.clone(),
        set: attribute.set.clone(),
        ..Default::default()
    };
    match attribute.r#type() {
        value::Type::Text => attribute.text.as_ref().map(|text| text.value.clone()).unwrap_or_default(),
        value::Type::Scalar => Quantity::from_f64(attribute.scalar.unwrap_or_default().value).to_string(),
        // A resource without a name prints as a colon and its value.
        _ => crate::print::Proto(&proto).to_string().trim_start_matches(':').to_owned(),
    }
}

/// Whether two lists say the same, whatever their order.
pub fn is_equal(a: &[Attribute], b: &[Attribute]) -> bool {
    let key = |attribute: &Attribute| (attribute.name.clone(), attribute.r#type, print_value(attribute));
    let sorted = |list: &[Attribute]| {
        let mut all: Vec<_> = list.iter().map(key).collect();
        all.sort_unstable();
        all
    };
    sorted(a) == sorted(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_read_and_printed_in_order() {
        let all =
            parse("rack:abc;level:10.5;keys:[1000-1500, 3-4];tags:{b,a};url:http://x:80/;rack:d\n").expect("valid");
        let said: Vec<_> = all.iter().map(|a| (a.name.as_str(), a.r#type(), print_value(a))).collect();
        assert_eq!(
            said,
            [
                ("rack", value::Type::Text, "abc".to_owned()),
                ("level", value::Type::Scalar, "10.5".to_owned()),
                ("keys", value::Type::Ranges, "[3-4, 1000-1500]".to_owned()),
                ("tags", value::Type::Set, "{a, b}".to_owned()),
                ("url", value::Type::Text, "http://x:80/".to_owned()),
                ("rack", value::Type::Text, "d".to_owned()),
            ]
        );
    }

    #[test]
    fn a_pair_needs_a_name_and_a_value() {
        for bad in ["a", "a:", ":b", "a:1;b"] {
            assert!(matches!(parse(bad), Err(AttributeError::Pair(_))), "{bad}");
        }
        assert!(matches!(parse("a:[1-2"), Err(AttributeError::Value { .. })));
        assert_eq!(parse(""), Ok(vec![]));
    }

    #[test]
    fn negative_numbers_are_words() {
        assert_eq!(parse("a:-1").expect("valid").first().map(Attribute::r#type), Some(value::Type::Text));
    }

    #[test]
    fn order_does_not_matter_to_equality() {
        let (a, b) = (parse("a:1;b:x").expect("valid"), parse("b:x;a:1").expect("valid"));
        assert!(is_equal(&a, &b));
        assert!(!is_equal(&a, &parse("a:1;b:y").expect("valid")));
    }
}
