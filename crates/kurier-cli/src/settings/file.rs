//! One kurier.toml: read whole, and wrong as a whole when one of its keys is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kurier::is_secret;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{KEYS, Key, Kind};
use super::{Layer, Raw, Setting, Source};
use crate::exit::UsageError;

/// What a file says.
pub struct File {
    pub path: PathBuf,
    /// The profile to take when none is named.
    pub profile: Option<String>,
    /// For all profiles.
    pub base: Layer,
    pub profiles: BTreeMap<String, Layer>,
}

impl File {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong, with its line. No line is repeated: a secret may stand in it.
    pub fn read(path: &Path) -> Result<Self, UsageError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| UsageError(format!("{}: {error}", path.display())))?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, UsageError> {
        let reader = Reader { path, text };
        let table = DeTable::parse(text).map_err(|error| {
            reader.wrong(error.span().map_or(0, |span| span.start), error.message())
        })?;
        let mut file = Self {
            path: path.to_owned(),
            profile: None,
            base: Layer::new(),
            profiles: BTreeMap::new(),
        };
        for (key, value) in table.get_ref() {
            match key.get_ref().as_ref() {
                "profile" => file.profile = Some(reader.text(key, value)?),
                "profiles" => {
                    for (name, table) in reader.table(key, value)? {
                        let profile = name.get_ref().to_string();
                        let mut layer = Layer::new();
                        for (key, value) in reader.table(name, table)? {
                            reader.setting(Some(&profile), "", key, value, &mut layer)?;
                        }
                        file.profiles.insert(profile, layer);
                    }
                }
                _ => reader.setting(None, "", key, value, &mut file.base)?,
            }
        }
        Ok(file)
    }
}

type Name<'t> = Spanned<std::borrow::Cow<'t, str>>;
type Value<'t> = Spanned<DeValue<'t>>;

/// A file with what it takes to say where something stands in it.
struct Reader<'f> {
    path: &'f Path,
    text: &'f str,
}

impl Reader<'_> {
    /// Adds what `key` within `table` says to `layer`.
    fn setting(
        &self,
        profile: Option<&String>,
        table: &str,
        key: &Name<'_>,
        value: &Value<'_>,
        layer: &mut Layer,
    ) -> Result<(), UsageError> {
        let name = format!("{table}{}", key.get_ref());
        if name == "properties" {
            return self.properties(profile, key, value, layer);
        }
        let inner = format!("{name}.");
        if KEYS.iter().any(|known| known.name.starts_with(&inner)) {
            for (key, value) in self.table(key, value)? {
                self.setting(profile, &inner, key, value, layer)?;
            }
            return Ok(());
        }
        let Some(known) = KEYS.iter().find(|known| known.name == name) else {
            return Err(self.unknown(&name, key.span().start));
        };
        let text = self.text(key, value)?;
        layer.push((known.property.to_owned(), self.found(profile, key, self.raw(known, text))));
        Ok(())
    }

    fn raw(&self, key: &Key, text: String) -> Raw {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        match key.kind {
            Kind::Text => Raw::Text(text),
            Kind::Path => Raw::Text(folder.join(text).display().to_string()),
            Kind::SecretFile => Raw::SecretFile(folder.join(text)),
            Kind::SecretVariable => Raw::SecretVariable(text),
        }
    }

    fn properties(
        &self,
        profile: Option<&String>,
        key: &Name<'_>,
        value: &Value<'_>,
        layer: &mut Layer,
    ) -> Result<(), UsageError> {
        for (key, value) in self.table(key, value)? {
            let name = key.get_ref();
            if is_secret(name) {
                let reason = format!("{name} is not taken here: {NO_SECRETS}");
                return Err(self.wrong(key.span().start, &reason));
            }
            let text = match value.get_ref() {
                DeValue::String(text) => text.to_string(),
                DeValue::Integer(number) => number.as_str().to_owned(),
                DeValue::Float(number) => number.as_str().to_owned(),
                DeValue::Boolean(truth) => truth.to_string(),
                _ => {
                    let reason = format!(
                        "{name} is a text, a number, true or false (a name with dots needs quotes)"
                    );
                    return Err(self.wrong(value.span().start, &reason));
                }
            };
            layer.push((name.to_string(), self.found(profile, key, Raw::Text(text))));
        }
        Ok(())
    }

    fn found(&self, profile: Option<&String>, key: &Name<'_>, value: Raw) -> Setting {
        let line = self.line(key.span().start);
        Setting { value, source: Source::File(self.path.to_owned(), line, profile.cloned()) }
    }

    fn text(&self, key: &Name<'_>, value: &Value<'_>) -> Result<String, UsageError> {
        let text = value.get_ref().as_str().map(str::to_owned);
        text.ok_or_else(|| {
            let reason = format!("{} is a text in quotes", key.get_ref());
            self.wrong(value.span().start, &reason)
        })
    }

    fn table<'v, 't>(
        &self,
        key: &Name<'_>,
        value: &'v Value<'t>,
    ) -> Result<&'v DeTable<'t>, UsageError> {
        value.get_ref().as_table().ok_or_else(|| {
            let reason = format!("{} is a table", key.get_ref());
            self.wrong(value.span().start, &reason)
        })
    }

    fn unknown(&self, name: &str, at: usize) -> UsageError {
        if ["pass", "secret"].iter().any(|part| name.contains(part)) {
            return self.wrong(at, &format!("{name} is not taken here: {NO_SECRETS}"));
        }
        let known: Vec<&str> =
            KEYS.iter().map(|key| key.name).chain(["profile", "profiles", "properties"]).collect();
        let hint = nearest(name, &known).map_or_else(String::new, |near| format!("; {near}?"));
        self.wrong(at, &format!("there is no key {name}{hint}"))
    }

    fn wrong(&self, at: usize, reason: &str) -> UsageError {
        UsageError(format!("{}:{}: {reason}", self.path.display(), self.line(at)))
    }

    fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
    }
}

const NO_SECRETS: &str = "a file of settings is shown and shared; \
    name a file (password_file) or a variable (password_env) that holds the secret";

/// The known name that a misspelt one most likely stands for.
pub fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    /// Below it two names have little in common.
    const ALIKE: f64 = 0.7;
    let alike = |known: &&'k str| (strsim::jaro_winkler(name, known), *known);
    let best = known.iter().map(alike).max_by(|one, other| one.0.total_cmp(&other.0))?;
    (ALIKE <= best.0).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        let read = File::parse(Path::new("/etc/kurier.toml"), text);
        read.err().expect("it is wrong").to_string()
    }

    #[test]
    fn what_is_wrong_is_named_with_its_file_and_line_and_no_secret() {
        let misspelt = "bootstrap = \"a:1\"\n\n[profiles.x.sasl]\nusr = \"orders\"\n";
        assert_eq!(wrong(misspelt), "/etc/kurier.toml:4: there is no key sasl.usr; sasl.user?");
        let misspelt = "bootstrp = \"a:1\"";
        assert_eq!(wrong(misspelt), "/etc/kurier.toml:1: there is no key bootstrp; bootstrap?");
        assert_eq!(wrong("timeout = 3"), "/etc/kurier.toml:1: timeout is a text in quotes");
        assert_eq!(wrong("\nsasl = 3"), "/etc/kurier.toml:2: sasl is a table");
        for secret in [
            "sasl.password = \"s3cret\"",
            "sasl.passwort = \"s3cret\"",
            "[properties]\n\"sasl.password\" = \"s3cret\"",
            "sasl.password = \"s3cret",
        ] {
            let wrong = wrong(secret);
            assert!(!wrong.contains("s3cret") && wrong.contains("kurier.toml:"), "{wrong}");
        }
        assert!(wrong("properties.linger.ms = 5").contains("needs quotes"));
    }

    #[test]
    fn paths_are_relative_to_their_file() {
        let text = "[tls]\nca_file = \"ca.pem\"\n[profiles.x]\nbootstrap = \"a:1\"";
        let Ok(file) = File::parse(Path::new("/etc/kurier.toml"), text) else { panic!("right") };
        let [(name, setting)] = &file.base[..] else { panic!("{}", file.base.len()) };
        assert_eq!((name.as_str(), setting.text()), ("ssl.ca.location", Some("/etc/ca.pem")));
        assert_eq!(setting.source.to_string(), "/etc/kurier.toml:2");
        let (_, setting) = &file.profiles["x"][0];
        assert_eq!(setting.source.to_string(), "/etc/kurier.toml:4 (profile x)");
    }
}
