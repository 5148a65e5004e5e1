//! What a unit may have: what the table of units says, and nothing else.

use super::{Authorized, GrantedBy, Policy};
use crate::units::{Refused, Units, Wanted};
use bursar_proto::error::{CallError, ErrorName};

impl GrantedBy {
    /// A unit that a process runs in.
    pub(crate) fn unit(name: &str) -> Self {
        Self::Rule(format!("unit {name}").into())
    }
}

impl Policy {
    /// Lets a unit have what the table says for a credential; `None` is a process of no unit. The refusal tells the unit's own
    /// name and nothing of the vault.
    ///
    /// # Errors
    /// `denied`.
    pub(crate) fn unit(
        units: &Units,
        unit: Option<&str>,
        credential: &str,
    ) -> Result<Authorized<Wanted>, CallError> {
        let denied = |message: String| CallError::new(ErrorName::Denied, message);
        let unit = unit.ok_or_else(|| {
            denied(
                "credentials are for units, and this process is in no unit of a service manager".to_owned(),
            )
            .hint(
                "run it in a service, as ExecStart=bursar credential NAME, or ask for the secret: bursar get",
            )
        })?;
        let wanted = units.wanted(unit, credential).map_err(|refused| {
            let denied = denied(format!("{unit} is not handed {credential}: {refused}"));
            match refused {
                Refused::Rule => denied.hint(format!(
                    "add one to bursar.toml, with unit = \"{unit}\" and credential = \"{credential}\", and reload the agent"
                )),
                Refused::Instance | Refused::Name(_) => denied,
            }
        })?;
        Ok(Authorized { call: wanted, by: Some(GrantedBy::unit(unit)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_tells_the_unit_and_what_to_do() {
        let told = |unit| Policy::unit(&Units::default(), unit, "db").err().unwrap();
        let refused = told(Some("app.service"));
        assert_eq!(refused.name, ErrorName::Denied);
        assert_eq!(
            refused.message,
            "app.service is not handed db: no [[credential]] of the agent's config fits"
        );
        assert!(refused.hint.unwrap().contains("unit = \"app.service\" and credential = \"db\""));
        let outside = told(None);
        assert!(outside.name == ErrorName::Denied && outside.message.contains("no unit"), "{outside:?}");
    }
}
