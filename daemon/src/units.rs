//! The table of units: `[[credential]]`, which unit is handed what for which credential. Pure once it is read.
//!
//! The first rule that fits unit and credential decides; where none does, nothing is handed out. Who is asking is
//! `server::peer`'s to find out, whether that may be handed out now `agent::artifact`'s.

mod pattern;

use crate::vault::header::{CREDENTIAL_NAME_MAX, is_credential_name};
use bursar_proto::name::{Name, NameError, OrganizationName, Qualified, Reference};
use bursar_proto::time::parse_duration;
use pattern::Pattern;
use serde::{Deserialize, Deserializer};

/// The most rules, those of all drop-ins together: a server has some dozens of services, and each question looks at all.
const RULES_MAX: usize = 256;

/// The longest name of a unit, and pattern for one, in bytes: systemd's own limit.
const UNIT_MAX: usize = 255;

/// What ends the name of a unit that runs processes, and so can want a credential.
const KINDS: [&str; 4] = [".service", ".socket", ".mount", ".swap"];

/// What stands for the instance of a template's unit.
const INSTANCE: &str = "%i";

/// Whether that is the name of a unit that runs processes.
pub(crate) fn is_unit_name(name: &str) -> bool {
    let stem = KINDS.iter().find_map(|kind| name.strip_suffix(kind));
    name.len() <= UNIT_MAX && stem.is_some_and(|stem| !stem.is_empty() && stem.bytes().all(is_of_unit))
}

fn is_of_unit(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte)
}

/// The part of a unit's name that makes it one of a template's: `blue` of `web@blue.service`.
fn instance_of(unit: &str) -> Option<&str> {
    let (_, behind) = unit.split_once('@')?;
    behind.rsplit_once('.').map(|(instance, _)| instance).filter(|instance| !instance.is_empty())
}

/// The rules, in the order in which they are tried.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Units(Vec<Rule>);

/// What a unit is handed for a credential.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) value: Value,
    /// The field of a secret that has several.
    pub(crate) field: Option<String>,
    /// How long it must still be valid, in seconds.
    pub(crate) min_validity: Option<u64>,
}

/// Where a value comes from; bare names are the home organization's.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// A secret.
    Secret(Reference),
    /// What a data element stands for in an environment.
    Element(Reference, Reference),
}

impl Value {
    /// The full names of an element and its environment, which are of one organization: the one that either of them names.
    pub(crate) fn full(
        element: Reference,
        environment: Reference,
        home: &OrganizationName,
    ) -> (Qualified, Qualified) {
        let named = element.organization.clone().or_else(|| environment.organization.clone());
        let organization = named.unwrap_or_else(|| home.clone());
        (element.within(&organization), environment.within(&organization))
    }
}

impl Units {
    /// Whether there is no rule.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a rule names that unit, for whatever credential.
    pub(crate) fn name(&self, unit: &str) -> bool {
        self.0.iter().any(|rule| rule.unit.fits(unit))
    }

    /// What the first rule that fits hands that unit.
    ///
    /// # Errors
    /// In words: no rule fits, or the unit's instance makes no name.
    pub(crate) fn wanted(&self, unit: &str, credential: &str) -> Result<Wanted, Refused> {
        let rule = self.0.iter().find(|rule| rule.unit.fits(unit) && rule.credential.fits(credential));
        let rule = rule.ok_or(Refused::Rule)?;
        let value = match &rule.source {
            Source::Secret(secret) => Value::Secret(secret.of(unit)?),
            Source::Element(element, environment) => Value::Element(element.of(unit)?, environment.of(unit)?),
        };
        Ok(Wanted { value, field: rule.field.clone(), min_validity: rule.min_validity })
    }
}

/// Why a unit is handed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// No rule fits.
    #[error("no [[credential]] of the agent's config fits")]
    Rule,
    /// The rule says `%i`, and the unit is of no template.
    #[error("the [[credential]] that fits says {INSTANCE}, and the unit has no instance")]
    Instance,
    /// The instance is of other characters than names are.
    #[error(
        "the [[credential]] that fits says {INSTANCE}, and with the unit's instance that makes no name: {0}"
    )]
    Name(NameError),
}

/// One rule.
#[derive(Debug, Clone, PartialEq)]
struct Rule {
    unit: Pattern,
    credential: Pattern,
    source: Source,
    field: Option<String>,
    min_validity: Option<u64>,
}

#[derive(Debug, Clone, PartialEq)]
enum Source {
    Secret(Named),
    Element(Named, Named),
}

/// A name in which `%i` may stand for the instance.
#[derive(Debug, Clone, PartialEq)]
struct Named {
    organization: Option<OrganizationName>,
    name: String,
}

impl Named {
    fn of(&self, unit: &str) -> Result<Reference, Refused> {
        let name = if self.has_instance() {
            self.name.replace(INSTANCE, instance_of(unit).ok_or(Refused::Instance)?)
        } else {
            self.name.clone()
        };
        let name = name.parse::<Name>().map_err(Refused::Name)?;
        Ok(Reference { organization: self.organization.clone(), name })
    }

    fn has_instance(&self) -> bool {
        self.name.contains(INSTANCE)
    }
}

/// A rule as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    unit: String,
    credential: String,
    secret: Option<String>,
    element: Option<String>,
    environment: Option<String>,
    field: Option<String>,
    min_validity: Option<String>,
}

/// Why a rule cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("credential: at most {RULES_MAX} rules")]
    TooMany,
    #[error(
        "credential.unit: expected the name of a unit, as app.service or app@.service, of A-Z a-z 0-9 : - _ . \\ @ and, for any \
         text and any character, * and ?; it ends with .service, .socket, .mount, .swap or *"
    )]
    Unit,
    #[error(
        "credential.credential: expected 1 to {CREDENTIAL_NAME_MAX} visible ASCII characters without / and :, * and ? for any text and \
         any character; it is the name in the unit's LoadCredential= line"
    )]
    Credential,
    #[error("credential: give secret, or element and environment")]
    Source,
    #[error("credential.{0}: {1}")]
    Name(&'static str, NameError),
    #[error(
        "credential.{0}: {INSTANCE} is the unit's instance, and credential.unit can have none; name a template, as app@.service"
    )]
    NoInstance(&'static str),
    #[error("credential.environment: that is an environment of another organization than the element's")]
    Environment,
    #[error(
        "credential.field: expected the name of a field, of 1 to {CREDENTIAL_NAME_MAX} bytes and no control character"
    )]
    Field,
    #[error("credential.min_validity: expected a duration, as 90s, 10m or 4h")]
    MinValidity,
}

impl Written {
    fn rule(self) -> Result<Rule, Fault> {
        let unit = unit_pattern(&self.unit)?;
        // `*` and `?` may stand for the @
        let has_instance = self.unit.contains(['@', '*', '?']);
        let named = |key: &'static str, text: String| {
            let named = named(&text).map_err(|fault| Fault::Name(key, fault))?;
            if named.has_instance() && !has_instance { Err(Fault::NoInstance(key)) } else { Ok(named) }
        };
        let source = match (self.secret, self.element, self.environment) {
            (Some(secret), None, None) => Source::Secret(named("secret", secret)?),
            (None, Some(element), Some(environment)) => {
                let element = named("element", element)?;
                let environment = named("environment", environment)?;
                let both = element.organization.as_ref().zip(environment.organization.as_ref());
                if both.is_some_and(|(one, other)| one != other) {
                    return Err(Fault::Environment);
                }
                Source::Element(element, environment)
            }
            _ => return Err(Fault::Source),
        };
        let is_field = |field: &String| {
            (1..=CREDENTIAL_NAME_MAX).contains(&field.len()) && !field.contains(char::is_control)
        };
        if !self.field.as_ref().is_none_or(is_field) {
            return Err(Fault::Field);
        }
        let min_validity = self.min_validity.as_deref().map(parse_duration).transpose();
        Ok(Rule {
            unit,
            credential: credential_pattern(&self.credential)?,
            source,
            field: self.field,
            min_validity: min_validity.map_err(|_| Fault::MinValidity)?,
        })
    }
}

fn unit_pattern(text: &str) -> Result<Pattern, Fault> {
    let fits = |byte: u8| is_of_unit(byte) || b"*?".contains(&byte);
    let ends =
        text.ends_with('*') || KINDS.iter().any(|kind| text.len() > kind.len() && text.ends_with(kind));
    let whole = text.len() <= UNIT_MAX && text.bytes().all(fits) && ends;
    if whole { Ok(Pattern::of_units(text)) } else { Err(Fault::Unit) }
}

fn credential_pattern(text: &str) -> Result<Pattern, Fault> {
    // * and ? are characters that a name may have
    if is_credential_name(text) { Ok(Pattern::of_names(text)) } else { Err(Fault::Credential) }
}

fn named(text: &str) -> Result<Named, NameError> {
    let (organization, name) = match text.split_once('/') {
        Some((organization, name)) => (Some(organization.parse()?), name),
        None => (None, text),
    };
    // what it is with some instance
    name.replace(INSTANCE, "i").parse::<Name>()?;
    Ok(Named { organization, name: name.to_owned() })
}

impl<'de> Deserialize<'de> for Units {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Vec::<Written>::deserialize(deserializer)?;
        if written.len() > RULES_MAX {
            return Err(serde::de::Error::custom(Fault::TooMany));
        }
        let rules: Result<_, Fault> = written.into_iter().map(Written::rule).collect();
        rules.map(Self).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    struct Only {
        credential: Units,
    }

    fn read(text: &str) -> Result<Units, String> {
        toml::from_str::<Only>(text).map(|only| only.credential).map_err(|error| error.to_string())
    }

    /// A table of `unit credential rest`.
    fn table(rules: &[(&str, &str, &str)]) -> Result<Units, String> {
        let rule = |(unit, credential, rest): &(&str, &str, &str)| {
            format!("[[credential]]\nunit = '{unit}'\ncredential = '{credential}'\n{rest}\n")
        };
        read(&rules.iter().map(rule).collect::<String>())
    }

    fn secret(units: &Units, unit: &str, credential: &str) -> Result<String, Refused> {
        units.wanted(unit, credential).map(|wanted| match wanted.value {
            Value::Secret(secret) => secret.to_string(),
            Value::Element(element, environment) => format!("{element} in {environment}"),
        })
    }

    #[test]
    fn the_first_rule_that_fits_decides_and_nothing_is_handed_out_without_one() {
        let units = table(&[
            ("app.service", "db", "secret = 'acme/own'"),
            ("app*", "d*", "secret = 'acme/other'"),
            ("web@.service", "*", "secret = 'acme/web-%i'"),
            ("job@a*.service", "t", "element = 'db-%i'\nenvironment = 'acme/stage-%i'"),
        ])
        .unwrap();
        let told = |unit, credential| secret(&units, unit, credential);
        assert_eq!(told("app.service", "db"), Ok("acme/own".into()));
        assert_eq!(told("app.service", "dc"), Ok("acme/other".into()));
        assert_eq!(told("app-2.socket", "db"), Ok("acme/other".into()));
        assert_eq!(told("web@blue.service", "x"), Ok("acme/web-blue".into()));
        assert_eq!(told("job@ab.service", "t"), Ok("db-ab in acme/stage-ab".into()));
        for (unit, credential) in
            [("app.service", "x"), ("xapp.service", "db"), ("web.service", "x"), ("job@b.service", "t")]
        {
            assert_eq!(told(unit, credential), Err(Refused::Rule), "{unit} {credential}");
        }
        assert!(
            units.name("web@x.service") && !units.name("web.service") && !Units::default().name("a.service")
        );
        assert_eq!(Units::default().wanted("app.service", "db"), Err(Refused::Rule));
    }

    #[test]
    fn an_instance_makes_a_name_or_the_rule_refuses() {
        let units = table(&[("*", "*", "secret = 'acme/%i-%i.key'")]).unwrap();
        assert_eq!(secret(&units, "a@b_c.service", "x"), Ok("acme/b_c-b_c.key".into()));
        assert_eq!(secret(&units, "a@b.c.service", "x"), Ok("acme/b.c-b.c.key".into()));
        assert_eq!(secret(&units, "a.service", "x"), Err(Refused::Instance));
        assert_eq!(secret(&units, "a@.service", "x"), Err(Refused::Instance));
        for instance in ["a\\x2db", "b@c", "..", &"x".repeat(60)] {
            let told = secret(&units, &format!("a@{instance}.service"), "x");
            assert_eq!(told, Err(Refused::Name(NameError::Name)), "{instance}");
        }
    }

    #[test]
    fn element_and_environment_are_of_one_organization() {
        let full = |element: &str, environment: &str| {
            let home = OrganizationName::personal();
            let (element, environment) =
                Value::full(element.parse().unwrap(), environment.parse().unwrap(), &home);
            format!("{element} {environment}")
        };
        assert_eq!(full("db", "prod"), "personal/db personal/prod");
        assert_eq!(full("acme/db", "prod"), "acme/db acme/prod");
        assert_eq!(full("db", "acme/prod"), "acme/db acme/prod");
    }

    #[test]
    fn what_a_rule_adds_is_kept() {
        let rest = "secret = 'tls'\nfield = 'private_key'\nmin_validity = '10m'";
        let wanted = table(&[("a.mount", "tls.*", rest)]).unwrap().wanted("a.mount", "tls.key").unwrap();
        assert_eq!((wanted.field.as_deref(), wanted.min_validity), (Some("private_key"), Some(600)));
    }

    #[test]
    fn a_mistake_is_told_with_its_key_and_what_to_do() {
        let secret = "secret = 'acme/x'";
        let (long, too_long) =
            (format!("{}.service", "u".repeat(247)), format!("{}.service", "u".repeat(248)));
        assert!(table(&[(&long, &"c".repeat(255), secret)]).is_ok());
        for (unit, credential, rest, expected) in [
            ("app", "x", secret, "credential.unit: expected the name of a unit"),
            ("", "x", secret, "credential.unit: "),
            (".service", "x", secret, "credential.unit: "),
            ("app.timer", "x", secret, "credential.unit: "),
            ("a/b.service", "x", secret, "credential.unit: "),
            ("a b.service", "x", secret, "credential.unit: "),
            (&too_long, "x", secret, "credential.unit: "),
            ("app.service", "", secret, "credential.credential: expected 1 to 255"),
            ("app.service", "a/b", secret, "credential.credential: "),
            ("app.service", "..", secret, "credential.credential: "),
            ("app.service", &"c".repeat(256), secret, "credential.credential: "),
            ("app.service", "x", "", "credential: give secret, or element and environment"),
            ("app.service", "x", "element = 'e'", "give secret, or element and environment"),
            ("app.service", "x", "environment = 'e'", "give secret, or element and environment"),
            (
                "app.service",
                "x",
                "secret = 's'\nenvironment = 'e'",
                "give secret, or element and environment",
            ),
            ("app.service", "x", "element = 'a/e'\nenvironment = 'b/e'", "another organization"),
            ("app.service", "x", "secret = 'a/b/c'", "credential.secret: a name has"),
            ("app.service", "x", "secret = 'A/b'", "credential.secret: an organization's name has"),
            ("app.service", "x", "element = 'a/'\nenvironment = 'e'", "credential.element: a name has"),
            ("app.service", "x", "secret = 's-%i'", "credential.secret: %i is the unit's instance"),
            ("app@.service", "x", "secret = '%i/s'", "credential.secret: an organization's name has"),
            ("app@.service", "x", "secret = 's-%n'", "credential.secret: a name has"),
            ("app.service", "x", "secret = 's'\nfield = ''", "credential.field: expected"),
            (
                "app.service",
                "x",
                "secret = 's'\nmin_validity = '5 m'",
                "credential.min_validity: expected a duration",
            ),
            ("app.service", "x", "secret = 's'\nfeild = 'a'", "unknown field `feild`"),
        ] {
            let told = table(&[(unit, credential, rest)]).unwrap_err();
            assert!(told.contains(expected) && told.contains("line"), "{unit} {credential} {rest}: {told}");
        }
        let told = table(&vec![("a.service", "x", secret); RULES_MAX + 1]).unwrap_err();
        assert!(told.contains("credential: at most 256 rules"), "{told}");
        assert!(table(&vec![("a.service", "x", secret); RULES_MAX]).is_ok());
    }

    #[test]
    fn units_that_run_processes_have_plain_names() {
        for name in ["a.service", r"dev-x\x2dy.swap", "a@b:c.service", "home.mount", "f@1-2.socket"] {
            assert!(is_unit_name(name), "{name}");
        }
        for name in [
            "",
            ".service",
            "a.scope",
            "a.slice",
            "a",
            "a/b.service",
            "ä.service",
            "a b.service",
            "a.service\n",
        ] {
            assert!(!is_unit_name(name), "{name}");
        }
        assert!(!is_unit_name(&format!("{}.service", "a".repeat(248))));
    }

    proptest! {
        #[test]
        fn no_rule_panics_and_what_is_wanted_is_a_name(
            unit in r"[a-z@*?.]{0,12}(\.service|\.socket|\*)", credential in "[a-z.*?]{0,8}", name in "([a-z]{1,3}/)?[a-z%i.]{0,8}",
            asking in r"[a-z]{1,3}(@[a-z\\.@]{0,6})?\.service",
        ) {
            if let Ok(units) = table(&[(&unit, &credential, &format!("secret = '{name}'"))])
                && let Ok(wanted) = units.wanted(&asking, "tls.key")
            {
                prop_assert!(units.name(&asking));
                let Value::Secret(secret) = wanted.value else { unreachable!() };
                prop_assert!(secret.to_string().parse::<Reference>() == Ok(secret));
            }
        }
    }
}
