//! Where settings come from and which of them wins, as `kurier profile show` says. Needs no cluster.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A home and a project in it, with a file of settings each.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(TempDir::new().unwrap());
        for folder in ["home/.config/kurier", "project/.git", "project/deep/down"] {
            std::fs::create_dir_all(place.0.path().join(folder)).unwrap();
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// `kurier ARGS…` deep in the project.
    fn kurier(&self, args: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kurier"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("KURIER_")) {
            command.env_remove(name);
        }
        command
            .args(args)
            .current_dir(self.path("project/deep/down"))
            .env("HOME", self.path("home"))
            .env_remove("XDG_CONFIG_HOME")
            .envs(variables.iter().copied())
            .output()
            .unwrap()
    }

    /// What is in effect for `name`, and where it is from.
    fn shown(&self, name: &str, args: &[&str], variables: &[(&str, &str)]) -> (String, String) {
        let args = [&["-o", "json", "profile", "show"], args].concat();
        let output = self.kurier(&args, variables);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
        let settings = shown["settings"].as_array().unwrap();
        let found = settings.iter().find(|one| one["name"] == name).unwrap_or(&Value::Null);
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        (text("value"), text("source"))
    }

    /// What a run that makes no sense says.
    fn wrong(&self, args: &[&str], variables: &[(&str, &str)]) -> String {
        let output = self.kurier(args, variables);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        said(&output)
    }
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

/// As a shell reads paths: with what is linked resolved.
fn plain(path: &Path) -> String {
    path.canonicalize().unwrap().display().to_string()
}

#[test]
fn the_nearest_place_wins_from_flag_to_the_users_own_file() {
    let place = Place::new();
    let (user, project) = ("home/.config/kurier/config.toml", "project/kurier.toml");
    let shown = |args: &[&str], variables: &[(&str, &str)]| {
        let (value, source) = place.shown("bootstrap", args, variables);
        (value, source.replace(&plain(place.0.path()), ""))
    };
    let is = |value: &str, source: &str| (value.to_owned(), source.to_owned());
    assert_eq!(shown(&[], &[]), is("localhost:9092", "default"), "nothing is set");
    place.write(user, "bootstrap = \"user:1\"\n[profiles.p]\nbootstrap = \"user-profile:1\"\n");
    assert_eq!(shown(&[], &[]), is("user:1", "/home/.config/kurier/config.toml:1"));
    place.write(project, "\nbootstrap = \"project:1\"\n");
    assert_eq!(shown(&[], &[]), is("project:1", "/project/kurier.toml:2"));
    let profile = ["--profile", "p"];
    let of_user = is("user-profile:1", "/home/.config/kurier/config.toml:3 (profile p)");
    assert_eq!(shown(&profile, &[]), of_user);
    assert_eq!(shown(&[], &[("KURIER_PROFILE", "p")]), of_user);
    place.write(project, "profile = \"p\"\n[profiles.p]\nbootstrap = \"project-profile:1\"\n");
    let of_project = is("project-profile:1", "/project/kurier.toml:3 (profile p)");
    assert_eq!(shown(&[], &[]), of_project, "the file names the profile to take");
    let none = is("user:1", "/home/.config/kurier/config.toml:1");
    assert_eq!(shown(&["--profile", ""], &[]), none, "an empty name is none");
    let variables = [("KURIER_BOOTSTRAP", "variable:1")];
    assert_eq!(shown(&profile, &variables), is("variable:1", "KURIER_BOOTSTRAP"));
    place.write("project/deep/down/p.properties", "# comment\nbootstrap.servers=properties:1\n");
    let config = ["--config", "p.properties"];
    assert_eq!(shown(&config, &variables), is("properties:1", "--config p.properties:2"));
    let flag = ["--config", "p.properties", "-b", "flag:1"];
    assert_eq!(shown(&flag, &variables), is("flag:1", "--bootstrap"));
}

#[test]
fn a_property_wins_by_any_of_its_names() {
    let place = Place::new();
    place.write("project/kurier.toml", "[properties]\n\"queue.buffering.max.ms\" = 7\n");
    assert_eq!(place.shown("queue.buffering.max.ms", &[], &[]).0, "7");
    let given = ["-X", "linger.ms=9"];
    assert_eq!(place.shown("linger.ms", &given, &[]), ("9".to_owned(), "-X".to_owned()));
    assert_eq!(place.shown("queue.buffering.max.ms", &given, &[]).0, "", "it is gone");
}

#[test]
fn secrets_come_from_files_and_variables_and_are_not_shown() {
    let place = Place::new();
    let toml = "[sasl]\nmechanism = \"PLAIN\"\nuser = \"orders\"\npassword_env = \"ORDERS\"\n";
    place.write("project/kurier.toml", toml);
    let missing = place.wrong(&["topic", "list"], &[]);
    assert!(missing.contains("kurier.toml:4") && missing.contains("ORDERS"), "{missing}");
    let variables = [("ORDERS", "s3cret")];
    assert_eq!(place.shown("sasl.password", &[], &variables).0, "(hidden)");
    let (protocol, source) = place.shown("security.protocol", &[], &variables);
    assert_eq!((protocol.as_str(), source.as_str()), ("sasl_plaintext", "follows from the others"));
    // What wins is read, and nothing below it: ORDERS is not set here.
    place.write("secret", "s3cret\n");
    let file = place.path("secret");
    let by_file = [("KURIER_SASL_PASSWORD_FILE", file.to_str().unwrap())];
    let (value, source) = place.shown("sasl.password", &[], &by_file);
    assert_eq!((value.as_str(), source.as_str()), ("(hidden)", "KURIER_SASL_PASSWORD_FILE"));
    let by_value = [("KURIER_SASL_PASSWORD", "s3cret")];
    assert_eq!(place.shown("sasl.password", &[], &by_value).1, "KURIER_SASL_PASSWORD");
    let open = said(&place.kurier(&["profile", "show"], &by_file));
    assert!(open.contains("can be read by everybody"), "{open}");
    assert!(!open.contains("s3cret"), "{open}");
}

#[test]
fn what_makes_no_sense_is_named_with_its_place_and_what_is_near() {
    let place = Place::new();
    let wrong = place.wrong(&["topic", "list"], &[("KURIER_BOOTSTRAP", "http://a:1")]);
    assert!(wrong.contains("KURIER_BOOTSTRAP: http://a:1: expected HOST:PORT without"), "{wrong}");
    let protocol = ["-b", "PLAINTEXT://a:1"];
    assert_eq!(place.shown("bootstrap", &protocol, &[]).0, "PLAINTEXT://a:1");
    place.write("project/kurier.toml", "[profiles.staging]\ntls.ca_fil = \"ca.pem\"\n");
    let wrong = place.wrong(&["topic", "list"], &[]);
    assert!(wrong.contains("kurier.toml:2: there is no key tls.ca_fil; tls.ca_file?"), "{wrong}");
    place.write("project/kurier.toml", "[profiles.staging]\nbootstrap = \"a:1\"\n");
    let wrong = place.wrong(&["--profile", "stagin", "topic", "list"], &[]);
    assert!(wrong.contains("no profile \"stagin\"; \"staging\"? there are \"staging\""), "{wrong}");
    let wrong = place.wrong(&["--profile", "x", "topic", "list"], &[]);
    assert!(wrong.contains("no profile \"x\"; there are \"staging\""), "{wrong}");
    assert!(place.wrong(&["--timeout", "0s", "topic", "list"], &[]).contains("1ms or more"));
    place.write("project/kurier.toml", "timeout = \"0s\"\n");
    assert!(place.wrong(&["topic", "list"], &[]).contains("kurier.toml:1: timeout: expected 1ms"));
    place.write("project/ca.pem", "no certificate\n");
    place.write("project/kurier.toml", "[tls]\nca_file = \"ca.pem\"\n");
    let wrong = place.wrong(&["topic", "list"], &[]);
    assert!(wrong.contains("ssl.ca.location = ") && wrong.contains("project/ca.pem"), "{wrong}");
    place.write("project/kurier.toml", "timeout = \"soon\"\n");
    assert!(
        place.wrong(&["topic", "list"], &[]).contains("kurier.toml:1: timeout: expected a time")
    );
    let version = place.kurier(&["version"], &[]);
    assert_eq!(version.status.code(), Some(0), "it needs no settings: {}", said(&version));
    place.write("project/kurier.toml", "tls.verify = \"no\"\n");
    assert!(place.wrong(&["topic", "list"], &[]).contains("insecure-any-host"));
}

#[test]
fn a_variable_that_is_misspelt_is_warned_of_and_those_of_others_are_not() {
    let place = Place::new();
    let said = |variables: &[&str]| {
        let variables: Vec<_> = variables.iter().map(|name| (*name, "s3cret")).collect();
        let output = place.kurier(&["profile", "show"], &variables);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert!(!said(&output).contains("s3cret"), "{}", said(&output));
        said(&output)
    };
    for (name, near) in [
        ("KURIER_BOOTSTRAP_SERVERS", "KURIER_BOOTSTRAP"),
        ("KURIER_SASL_USERNAME", "KURIER_SASL_USER"),
        ("KURIER_SASL_PASSWRD", "KURIER_SASL_PASSWORD"),
        ("KURIER_SASL_PASSWORD_ENV", "KURIER_SASL_PASSWORD"),
        ("KURIER_PROFIL", "KURIER_PROFILE"),
    ] {
        let told = format!("{name} has no effect: kurier knows no such variable; {near}?");
        assert!(said(&[name]).contains(&told), "{}", said(&[name]));
    }
    let others = said(&[
        "KURIER_SASL_PASSWORD",
        "KURIER_MSG_KEY",
        "KURIER_MSG_TOPIC",
        "KURIER_PORT",
        "KURIER_PORT_9092_TCP_PROTO",
        "KURIER_SERVICE_HOST",
        "KURIER_TEST_CLUSTER",
    ]);
    assert!(!others.contains("no effect"), "{others}");
    place.write("project/kurier.toml", "sasl.password_env = \"KURIER_SASL_PASS\"\n");
    let named = said(&["KURIER_SASL_PASS"]);
    assert!(!named.contains("no effect"), "a file names it: {named}");
}

#[test]
fn a_cluster_in_a_file_is_not_what_a_demo_writes_to() {
    let place = Place::new();
    // Nobody answers there: a demo that went there would not end well.
    place.write("project/kurier.toml", "bootstrap = \"127.0.0.1:1\"\n");
    let output = place.kurier(&["demo", "--for", "2s", "-o", "json"], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn the_embedded_cluster_and_the_demo_refuse_tls_and_sasl_in_words() {
    let place = Place::new();
    let tls = ["-X", "security.protocol=ssl"];
    let wrong = place.wrong(&[&["cluster", "run"], &tls[..]].concat(), &[]);
    assert!(wrong.contains("the embedded cluster has no TLS, no SASL and no ACLs"), "{wrong}");
    let wrong = place.wrong(&[&["demo", "-b", "127.0.0.1:1"], &tls[..]].concat(), &[]);
    assert!(wrong.contains("the demo speaks neither TLS nor SASL"), "{wrong}");
}
