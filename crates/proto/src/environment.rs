//! What a variable of an environment is set to, be it plain or secret.

use crate::v1::{environment::Variable, environment::variable::Type, secret};

/// The value of `variable`; `None` for one that is not set. A secret that is only referred to would have to be resolved
/// first: the error says so, and names the variable, never a value.
pub fn value_of(variable: &Variable) -> Result<Option<&[u8]>, String> {
    let name = &variable.name;
    match variable.r#type() {
        Type::Unknown | Type::Value => Ok(variable.value.as_deref().map(str::as_bytes)),
        Type::Secret => {
            let held = variable.secret.as_ref();
            match held.and_then(|secret| secret.value.as_ref()) {
                Some(value) if value.data.contains(&0) => {
                    Err(format!("The secret of the environment variable '{name}' holds a NUL"))
                }
                Some(value) => Ok(Some(&value.data)),
                None => match held.filter(|secret| secret.r#type() == secret::Type::Reference) {
                    Some(secret) => Err(format!(
                        "The environment variable '{name}' is set to the secret '{}' by reference, which nothing here \
                         resolves: agents have no --secret_resolver; give the secret's value",
                        secret.reference.as_ref().map_or("", |reference| &reference.name)
                    )),
                    None => Err(format!("The secret of the environment variable '{name}' has no value")),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::Secret;

    fn secret(secret: Secret) -> Variable {
        Variable { name: "V".into(), r#type: Some(Type::Secret as i32), secret: Some(secret), ..Default::default() }
    }

    #[test]
    fn values_are_found_wherever_they_are_and_nothing_is_left_out() {
        let plain = Variable { name: "V".into(), value: Some("x".into()), ..Default::default() };
        assert_eq!(value_of(&plain), Ok(Some(&b"x"[..])));
        assert_eq!(value_of(&Variable::default()), Ok(None));
        let value = |data: &'static [u8]| {
            secret(Secret {
                r#type: Some(secret::Type::Value as i32),
                value: Some(secret::Value { data: data.into() }),
                ..Default::default()
            })
        };
        assert_eq!(value_of(&value(b"s3cret")), Ok(Some(&b"s3cret"[..])));
        assert!(value_of(&value(b"a\0b")).unwrap_err().contains("'V' holds a NUL"));
        let reference = secret(Secret {
            r#type: Some(secret::Type::Reference as i32),
            reference: Some(secret::Reference { name: "vault/key".into(), ..Default::default() }),
            ..Default::default()
        });
        let why = value_of(&reference).unwrap_err();
        assert!(why.contains("'V'") && why.contains("'vault/key'") && why.contains("--secret_resolver"), "{why}");
        assert!(value_of(&secret(Secret::default())).is_err());
    }
}
