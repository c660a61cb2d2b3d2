//! Where settings come from, and which of them wins: flags, -X, --config, the environment, a profile,
//! kurier.toml, the user's own file, in this order.
//!
//! Everything becomes librdkafka's properties, each with its source; a secret is read when nothing above
//! it wins. The only file that reads the environment.

mod file;
mod keys;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kurier::{canonical_name, is_secret, shown};

use self::file::File;
pub use self::file::nearest;
use self::keys::{BOOTSTRAP, KEYS, Key, Kind, TIMEOUT, VERIFY};
use crate::args::{Global, patience, property};
use crate::exit::UsageError;

const BOOTSTRAP_DEFAULT: &str = "localhost:9092";

/// What librdkafka takes before a broker's address: a security protocol.
const SCHEMES: &[&str] = &["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"];

/// What is in effect where nothing is set, to be shown.
const DEFAULTS: &[(&str, &str, Source)] = &[
    (BOOTSTRAP, BOOTSTRAP_DEFAULT, Source::Default("default")),
    ("security.protocol", "plaintext", Source::Default("default")),
    (TIMEOUT, "10s", Source::Default("default; produce, consume and outbox drain wait for ever")),
];

/// What is in effect.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The profile that was chosen.
    pub profile: Option<String>,
    /// The profiles that there are, with the file of each.
    pub profiles: Vec<(String, PathBuf)>,
    /// By name: librdkafka's, or one of kurier's own.
    effective: BTreeMap<String, Setting>,
    /// Variables that a kurier.toml names as those with a secret in them, in whatever profile.
    secret_variables: Vec<String>,
}

/// A value, and where it is from.
#[derive(Debug, Clone)]
pub struct Setting {
    value: Raw,
    pub source: Source,
}

/// A value before a secret is read.
#[derive(Clone)]
enum Raw {
    Text(String),
    SecretFile(PathBuf),
    SecretVariable(String),
}

/// Where a setting is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A flag, or -X.
    Flag(&'static str),
    /// Line of a file that --config names.
    Config(PathBuf, usize),
    /// A variable of the environment.
    Variable(String),
    /// Line of a kurier.toml, in a profile or for all.
    File(PathBuf, usize, Option<String>),
    /// What else is set.
    Follows,
    /// Nowhere; in words.
    Default(&'static str),
}

/// Settings of one place. They win over those below, whatever alias these use.
type Layer = Vec<(String, Setting)>;

impl Settings {
    /// Reads everything there is.
    ///
    /// # Errors
    /// What makes no sense, with its file and line.
    pub fn read(global: &Global) -> Result<Self, UsageError> {
        let flags = flags(global)?;
        let files = [user_file(), project_file()?];
        let files: Vec<File> =
            files.into_iter().flatten().map(|path| File::read(&path)).collect::<Result<_, _>>()?;
        let mut settings = Self::default();
        for file in &files {
            let named = file.profiles.keys().map(|name| (name.clone(), file.path.clone()));
            settings.profiles.extend(named);
            let layers = file.profiles.values().chain([&file.base]).flatten();
            settings.secret_variables.extend(layers.filter_map(|(_, it)| it.secret_variable()));
        }
        settings.profile = settings.choose(global, &files)?;
        for file in &files {
            settings.overlay(file.base.clone());
        }
        if let Some(profile) = &settings.profile.clone() {
            for file in &files {
                settings.overlay(file.profiles.get(profile).cloned().unwrap_or_default());
            }
        }
        settings.warn_of_misspelt();
        settings.overlay(environment());
        if let Some(path) = &global.config {
            settings.overlay(properties_file(path)?);
        }
        settings.overlay(flags);
        settings.derive_protocol();
        settings.read_secrets()?;
        Ok(settings)
    }

    /// The profile that is named by flag, environment or file; an empty name is none.
    fn choose(&self, global: &Global, files: &[File]) -> Result<Option<String>, UsageError> {
        let by_file = || files.iter().rev().find_map(|file| file.profile.clone());
        let chosen = global.profile.clone().or_else(|| variable("KURIER_PROFILE")).or_else(by_file);
        let Some(chosen) = chosen.filter(|name| !name.is_empty()) else { return Ok(None) };
        let known: Vec<&str> = self.profiles.iter().map(|(name, _)| name.as_str()).collect();
        if known.contains(&chosen.as_str()) {
            return Ok(Some(chosen));
        }
        let hint = nearest(&chosen, &known).map_or_else(String::new, |near| format!("{near:?}? "));
        let mut known: Vec<String> = known.iter().map(|name| format!("{name:?}")).collect();
        known.sort();
        known.dedup();
        let there_are = match &known[..] {
            [] => "no kurier.toml has any".to_owned(),
            known => format!("there are {}", known.join(", ")),
        };
        Err(UsageError(format!("there is no profile {chosen:?}; {hint}{there_are}")))
    }

    fn warn_of_misspelt(&self) {
        let given = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        let given = given.filter(|name| !self.secret_variables.contains(name));
        for (name, near) in misspelt(given) {
            tracing::warn!("{name} has no effect: kurier knows no such variable; {near}?");
        }
    }

    fn overlay(&mut self, layer: Layer) {
        let canonical: Vec<String> =
            layer.iter().map(|(name, _)| canonical_name(name).to_owned()).collect();
        self.effective.retain(|name, _| !canonical.iter().any(|new| new == canonical_name(name)));
        self.effective.extend(layer);
    }

    /// Whoever names an authority wants TLS, and whoever names a user SASL.
    fn derive_protocol(&mut self) {
        let has = |family: &str| self.effective.keys().any(|name| name.starts_with(family));
        let protocol = match (has("ssl.") || has(VERIFY), has("sasl.")) {
            (false, false) => return,
            (true, false) => "ssl",
            (false, true) => "sasl_plaintext",
            (true, true) => "sasl_ssl",
        };
        let setting = Setting { value: Raw::Text(protocol.to_owned()), source: Source::Follows };
        self.effective.entry("security.protocol".to_owned()).or_insert(setting);
    }

    fn read_secrets(&mut self) -> Result<(), UsageError> {
        for (name, setting) in &mut self.effective {
            let source = &setting.source;
            let secret = match &setting.value {
                Raw::Text(_) => continue,
                Raw::SecretFile(path) => {
                    warn_of_readers(path);
                    kurier::Secret::from_file(path).read()
                }
                Raw::SecretVariable(variable) => std::env::var(variable)
                    .map_err(|_| format!("the environment has no variable {variable}")),
            };
            let secret =
                secret.map_err(|reason| UsageError(format!("{source}: {name}: {reason}")))?;
            setting.value = Raw::Text(secret);
        }
        Ok(())
    }

    /// The cluster's addresses.
    pub fn bootstrap(&self) -> Option<&str> {
        self.text(BOOTSTRAP)
    }

    /// The same, or where one's own machine has it.
    pub fn bootstrap_or_default(&self) -> &str {
        self.bootstrap().unwrap_or(BOOTSTRAP_DEFAULT)
    }

    /// The cluster, if it was named for this one command or in this shell, not in a file.
    pub fn bootstrap_at_hand(&self) -> Option<(&str, &Source)> {
        let setting = self.effective.get(BOOTSTRAP).filter(|it| it.is_at_hand())?;
        Some((setting.text()?, &setting.source))
    }

    /// True when TLS or SASL was asked for, for this one command or in this shell.
    pub fn is_secured_at_hand(&self) -> bool {
        self.effective.iter().any(|(name, setting)| {
            setting.is_at_hand() && (name.starts_with("ssl.") || name.starts_with("sasl."))
                || is_secured(name, setting)
        })
    }

    /// Looks for addresses of which librdkafka would say too little, or nothing.
    ///
    /// # Errors
    /// When one is a URL, or only a port.
    pub fn check_bootstrap(&self) -> Result<(), UsageError> {
        let Some(setting) = self.effective.get(BOOTSTRAP) else { return Ok(()) };
        for address in setting.text().unwrap_or_default().split(',').map(str::trim) {
            let known = |scheme: &str| SCHEMES.iter().any(|one| scheme.eq_ignore_ascii_case(one));
            let expected = match address.split_once("://") {
                Some((scheme, _)) if !known(scheme) => format!("HOST:PORT without {scheme}://"),
                None if address.parse::<u16>().is_ok() => {
                    format!("HOST:PORT, such as localhost:{address}")
                }
                _ => continue,
            };
            let reason = format!("{}: {address}: expected {expected}", setting.source);
            return Err(UsageError(reason));
        }
        Ok(())
    }

    /// How long to wait for the cluster.
    ///
    /// # Errors
    /// When it is no time.
    pub fn timeout(&self) -> Result<Option<Duration>, UsageError> {
        let Some(setting) = self.effective.get(TIMEOUT) else { return Ok(None) };
        let parsed = patience(setting.text().unwrap_or_default());
        parsed
            .map(Some)
            .map_err(|reason| UsageError(format!("{}: timeout: {reason}", setting.source)))
    }

    /// What of certificates is checked.
    ///
    /// # Errors
    /// When it is none of the possible values.
    pub fn verify(&self) -> Result<kurier::Verify, UsageError> {
        let Some(setting) = self.effective.get(VERIFY) else { return Ok(kurier::Verify::Full) };
        match setting.text().unwrap_or_default() {
            "full" => Ok(kurier::Verify::Full),
            "insecure-any-host" => Ok(kurier::Verify::InsecureAnyHost),
            "insecure-nothing" => Ok(kurier::Verify::InsecureNothing),
            other => Err(UsageError(format!(
                "{}: tls.verify: {other:?}: full, insecure-any-host and insecure-nothing are possible",
                setting.source
            ))),
        }
    }

    /// librdkafka's properties.
    pub fn properties(&self) -> Vec<(String, String)> {
        let own = [BOOTSTRAP, TIMEOUT, VERIFY];
        let kafka = self.effective.iter().filter(|(name, _)| !own.contains(&name.as_str()));
        kafka.filter_map(|(name, one)| Some((name.clone(), one.text()?.to_owned()))).collect()
    }

    /// Variables of the environment that a command does not inherit: kurier's secrets, what a kurier
    /// above this one says of its message, and the trace that belongs to that.
    pub fn withheld(&self) -> Vec<OsString> {
        let secrets = secret_variables().chain(self.secret_variables.iter().cloned());
        let trace = ["TRACEPARENT", "TRACESTATE"].map(str::to_owned);
        let above = std::env::vars_os().map(|(name, _)| name);
        let above = above.filter(|name| name.as_encoded_bytes().starts_with(b"KURIER_MSG_"));
        secrets.chain(trace).map(OsString::from).chain(above).collect()
    }

    /// Everything, to be shown: name, value (never a secret) and source.
    pub fn shown(&self) -> impl Iterator<Item = (&str, &str, &Source)> {
        let unset = DEFAULTS.iter().filter(|(name, ..)| !self.effective.contains_key(*name));
        let unset = unset.map(|(name, value, source)| (*name, *value, source));
        let set = self.effective.iter().map(|(name, setting)| {
            (name.as_str(), shown(name, setting.text().unwrap_or_default()), &setting.source)
        });
        unset.chain(set)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.effective.get(name).and_then(Setting::text)
    }
}

fn is_secured(name: &str, setting: &Setting) -> bool {
    let plain = |text: &str| text.eq_ignore_ascii_case("plaintext");
    name == "security.protocol" && setting.is_at_hand() && !setting.text().is_some_and(plain)
}

impl Setting {
    fn text(&self) -> Option<&str> {
        match &self.value {
            Raw::Text(text) => Some(text),
            Raw::SecretFile(_) | Raw::SecretVariable(_) => None,
        }
    }

    fn secret_variable(&self) -> Option<String> {
        match &self.value {
            Raw::SecretVariable(name) => Some(name.clone()),
            Raw::Text(_) | Raw::SecretFile(_) => None,
        }
    }

    fn is_at_hand(&self) -> bool {
        matches!(self.source, Source::Flag(_) | Source::Config(..) | Source::Variable(_))
    }
}

/// A text may be a secret.
impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(…)"),
            Self::SecretFile(path) => f.debug_tuple("SecretFile").field(path).finish(),
            Self::SecretVariable(name) => f.debug_tuple("SecretVariable").field(name).finish(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => f.write_str(flag),
            Self::Config(path, line) => write!(f, "--config {}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::File(path, line, None) => write!(f, "{}:{line}", path.display()),
            Self::File(path, line, Some(profile)) => {
                write!(f, "{}:{line} (profile {profile})", path.display())
            }
            Self::Follows => f.write_str("follows from the others"),
            Self::Default(words) => f.write_str(words),
        }
    }
}

/// -b, --timeout and -X.
fn flags(global: &Global) -> Result<Layer, UsageError> {
    let flag = |text: &str, flag| Setting {
        value: Raw::Text(text.to_owned()),
        source: Source::Flag(flag),
    };
    let mut layer = Layer::new();
    for given in &global.given {
        // The text is not repeated: it may be a secret.
        let (name, value) =
            property(given).map_err(|reason| UsageError(format!("-X: {reason}")))?;
        if is_secret(&name) {
            return Err(UsageError(secret_in_arguments(&name)));
        }
        layer.push((name, flag(&value, "-X")));
    }
    if let Some(bootstrap) = &global.bootstrap {
        layer.push((BOOTSTRAP.to_owned(), flag(bootstrap, "--bootstrap")));
    }
    if let Some(timeout) = &global.timeout {
        layer.push((TIMEOUT.to_owned(), flag(&format!("{}ms", timeout.as_millis()), "--timeout")));
    }
    Ok(layer)
}

fn secret_in_arguments(name: &str) -> String {
    let key = KEYS.iter().find(|key| key.property == name && key.kind == Kind::SecretFile);
    let ways = key.map_or_else(String::new, |key| {
        let variable = key.variable();
        let plain = variable.trim_end_matches("_FILE");
        format!("in a file that {variable} or {} in kurier.toml names, as {plain}, or ", key.name)
    });
    format!(
        "-X {name}: the arguments of a process can be read by everybody on the machine; give it {ways}in a file for --config"
    )
}

/// KURIER_… for every key of kurier.toml, and the secrets themselves.
fn environment() -> Layer {
    let mut layer = Layer::new();
    let mut add = |property: &str, value: Raw, name: String| {
        layer.push((property.to_owned(), Setting { value, source: Source::Variable(name) }));
    };
    for key in KEYS.iter().filter(|key| key.kind != Kind::SecretVariable) {
        let name = key.variable();
        if key.kind == Kind::SecretFile {
            let plain = name.trim_end_matches("_FILE").to_owned();
            if variable(&plain).is_some() {
                add(key.property, Raw::SecretVariable(plain.clone()), plain);
                continue;
            }
        }
        let Some(value) = variable(&name) else { continue };
        let value = match key.kind {
            Kind::SecretFile => Raw::SecretFile(value.into()),
            _ => Raw::Text(value),
        };
        add(key.property, value, name);
    }
    layer
}

/// Variables that are none of kurier's and much like one that is, each with that one. Others are somebody
/// else's, such as those that Kubernetes makes for a service called kurier.
fn misspelt(given: impl Iterator<Item = String>) -> Vec<(String, String)> {
    /// More than [`nearest`] asks for, which looks at names that are wrong for certain.
    const ALIKE: f64 = 0.85;
    /// What all have in common makes none alike.
    const COMMON: &str = "KURIER_";
    let keys = KEYS.iter().filter(|key| key.kind != Kind::SecretVariable).map(Key::variable);
    let known = keys.chain(secret_variables()).chain(["KURIER_PROFILE".to_owned()]);
    let known: Vec<String> = known.collect();
    let known: Vec<&str> = known.iter().filter_map(|name| name.strip_prefix(COMMON)).collect();
    let alike = |name: String| {
        let given = name.strip_prefix(COMMON)?;
        let near = nearest(given, &known)?;
        let is_alike = near != given && ALIKE <= strsim::jaro_winkler(given, near);
        is_alike.then(|| (name.clone(), format!("{COMMON}{near}")))
    };
    given.filter_map(alike).collect()
}

/// Those with a secret in them.
fn secret_variables() -> impl Iterator<Item = String> {
    let secrets = KEYS.iter().filter(|key| key.kind == Kind::SecretFile);
    secrets.map(|key| key.variable().trim_end_matches("_FILE").to_owned())
}

/// Whether standard output is a terminal whose user has nothing against colour
/// (<https://no-color.org>).
pub fn wants_colour() -> bool {
    variable("NO_COLOR").is_none() && std::io::stdout().is_terminal()
}

/// A variable that is set and not empty.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A file of properties, one KEY=VALUE a line.
fn properties_file(path: &Path) -> Result<Layer, UsageError> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| UsageError(format!("--config {name}: {error}")))?;
    let mut layer = Layer::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = property(line)
            .map_err(|reason| UsageError(format!("--config {name}:{number}: {reason}")))?;
        if is_secret(&key) {
            warn_of_readers(path);
        }
        let key = if key == "bootstrap.servers" { BOOTSTRAP.to_owned() } else { key };
        let value = Raw::Text(value.trim().to_owned());
        layer.push((key, Setting { value, source: Source::Config(path.to_owned(), number) }));
    }
    Ok(layer)
}

/// Warns of a file with a secret in it that is not only its owner's.
pub fn warn_of_readers(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    // What can't be looked at can't be read either, which is told where it is read.
    if std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o004 != 0) {
        tracing::warn!(
            "{} holds a secret and can be read by everybody on this machine",
            path.display()
        );
    }
}

/// The nearest kurier.toml from here up to the root of the git repository, outside of one only here.
fn project_file() -> Result<Option<PathBuf>, UsageError> {
    let here = std::env::current_dir()
        .map_err(|error| UsageError(format!("the current folder: {error}")))?;
    let root = here.ancestors().find(|folder| folder.join(".git").exists()).unwrap_or(&here);
    let within = here.ancestors().take_while(|folder| folder.starts_with(root));
    Ok(within.map(|folder| folder.join("kurier.toml")).find(|path| path.is_file()))
}

/// $XDG_CONFIG_HOME/kurier/config.toml, or that of ~/.config.
fn user_file() -> Option<PathBuf> {
    let of_home = || Some(PathBuf::from(variable("HOME")?).join(".config"));
    let folder = variable("XDG_CONFIG_HOME").map(PathBuf::from).or_else(of_home)?;
    Some(folder.join("kurier/config.toml")).filter(|path| path.is_file())
}
