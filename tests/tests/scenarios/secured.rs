//! A cluster that minds who connects: who is let in works as anywhere; who is not, or may not, is told why
//! within seconds, by an error of its own and exit code 6; and nobody is ever shown a secret.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kurier::{
    ClientError, Context, DenialCause, Failure, Mechanism, Message, MessageDecoder,
    MessageProducer, NotAccepting, Received, Secret, Security, SendError, SingleMessageConsumer,
};
use kurier_tests::binary;
use kurier_tests::cluster::secured::{
    CLERK, LETTERS, LONER, LOOKOUT, Listener, NOVICE, PASSWORD, TOPIC, WORKER,
};
use kurier_tests::cluster::{Secured, secured};
use kurier_tests::waits::{until, within};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::not_run;

/// A run that is turned away ends by itself in this time; 3 s of it are the client's patience.
const SECONDS: Duration = Duration::from_secs(30);
/// Nobody's password.
const WRONG: &str = "battery-horse-correct";

/// The node, where there is one.
async fn node() -> Option<&'static Secured> {
    let node = within("the secured node", secured()).await.unwrap();
    if node.is_none() {
        not_run("the embedded cluster has no TLS, no SASL and no ACLs");
    }
    node
}

async fn send(address: &str, security: Security, count: usize) -> BTreeSet<String> {
    let producer = MessageProducer::builder(address).security(security).build().await.unwrap();
    let mut sent = BTreeSet::new();
    for number in 0..count {
        let message = Message::new(format!("message {number}")).unwrap().with_key("key");
        within("delivery", producer.send(TOPIC, &message).await.unwrap()).await.unwrap();
        sent.insert(message.id().to_string());
    }
    assert_eq!(producer.close(SECONDS).await.unsent, []);
    sent
}

async fn handle(address: &str, security: Security, group: &str) -> BTreeSet<String> {
    let handled = Arc::new(Mutex::new(BTreeSet::new()));
    let entering = Arc::clone(&handled);
    let handler = move |message: Arc<Received<Message>>, _: Context| {
        entering.lock().unwrap().extend(message.value().map(|message| message.id().to_string()));
        std::future::ready(Ok::<(), Failure>(()))
    };
    let run = SingleMessageConsumer::builder(address, TOPIC)
        .security(security)
        .group(group)
        .decoder(MessageDecoder::default())
        .exit_at_end(true)
        .run(handler, CancellationToken::new());
    within("the consumer", run).await.unwrap();
    std::mem::take(&mut *handled.lock().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_every_way_in_messages_go_out_and_come_back() {
    let Some(node) = node().await else { return };
    let folder = TempDir::new().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    let ways = [
        (Listener::Sasl, node.as_user(Mechanism::Plain, WORKER, PASSWORD)),
        (Listener::Sasl, node.as_user(Mechanism::ScramSha256, WORKER, PASSWORD)),
        (Listener::Sasl, node.as_user(Mechanism::ScramSha512, WORKER, PASSWORD)),
        (Listener::Certificate, node.with_certificate()),
    ];
    for (number, (listener, mut security)) in ways.into_iter().enumerate() {
        if let Some(sasl) = &mut security.sasl {
            sasl.password = Secret::from_file(&password);
        }
        let address = node.address(listener);
        let sent = send(&address, security.clone(), 20).await;
        let handled = handle(&address, security, &format!("way in {number}")).await;
        assert!(handled.is_superset(&sent), "{listener:?}: {} of {}", handled.len(), sent.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_accepted_before_the_client_is_turned_away_is_told_and_nothing_more_is_taken() {
    let Some(node) = node().await else { return };
    let security = node.as_user(Mechanism::ScramSha256, WORKER, WRONG);
    let address = node.address(Listener::Sasl);
    let producer = MessageProducer::builder(&address).security(security).build().await.unwrap();
    let mut deliveries = Vec::new();
    for number in 0..100 {
        let message = Message::new(format!("message {number}")).unwrap();
        deliveries.push(within("accepted", producer.send(TOPIC, &message)).await.unwrap());
    }
    for delivery in deliveries {
        let error = within("an outcome", delivery).await.unwrap_err();
        assert_eq!(error.code, RDKafkaErrorCode::Authentication, "{error}");
        assert!(!error.may_have_been_written() && error.reason.contains("wrong password"));
    }
    let late = Message::new("late").unwrap();
    let error = within("the refusal", producer.send(TOPIC, &late)).await.unwrap_err();
    let SendError::NotAccepting(NotAccepting::Refused(ClientError::Denied(denial))) = error else {
        panic!("{error}")
    };
    assert_eq!(denial.cause, DenialCause::Credentials);
    assert_eq!(producer.close(SECONDS).await.unsent, [], "all of it had its outcome");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_librdkafka_alone_says_nothing_of_a_message_when_the_password_is_wrong() {
    let Some(node) = node().await else { return };
    let producer: BaseProducer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", node.address(Listener::Sasl))
        .set("security.protocol", "sasl_ssl")
        .set("ssl.ca.location", node.file("ca.pem").display().to_string())
        .set("sasl.mechanism", "PLAIN")
        .set("sasl.username", WORKER)
        .set("sasl.password", WRONG)
        .create()
        .unwrap();
    producer.send(BaseRecord::<(), str>::to(TOPIC).payload("x")).unwrap();
    let begun = Instant::now();
    // Twice what kurier takes to be sure.
    while begun.elapsed() < 2 * Duration::from_secs(3) {
        producer.poll(Duration::from_millis(100));
    }
    assert_eq!(producer.in_flight_count(), 1, "it waits, and would for five minutes");
}

/// A profile of a kurier.toml.
struct Profile {
    name: &'static str,
    listener: Listener,
    ca: &'static str,
    certificate: Option<&'static str>,
    /// Mechanism, user, password.
    sasl: Option<(&'static str, &'static str, &'static str)>,
    /// What is said to whoever comes by it.
    words: &'static str,
}

impl Profile {
    fn sasl(
        name: &'static str,
        mechanism: &'static str,
        user: &'static str,
        password: &'static str,
        words: &'static str,
    ) -> Self {
        let sasl = Some((mechanism, user, password));
        Self { name, listener: Listener::Sasl, ca: "ca.pem", certificate: None, sasl, words }
    }

    fn write(&self, node: &Secured, text: &mut String, folder: &TempDir) {
        let (name, address) = (self.name, node.address(self.listener));
        let file = |name: &str| node.file(name).display().to_string();
        writeln!(text, "[profiles.{name}]\nbootstrap = {address:?}").unwrap();
        writeln!(text, "tls.ca_file = {:?}", file(self.ca)).unwrap();
        if let Some(certificate) = self.certificate {
            let (pem, key) = (format!("{certificate}.pem"), format!("{certificate}.key"));
            writeln!(text, "tls.certificate_file = {:?}", file(&pem)).unwrap();
            writeln!(text, "tls.key_file = {:?}", file(&key)).unwrap();
        }
        if let Some((mechanism, user, password)) = self.sasl {
            std::fs::write(folder.path().join(name), password).unwrap();
            writeln!(text, "sasl.mechanism = {mechanism:?}\nsasl.user = {user:?}").unwrap();
            // Relative to the kurier.toml beside it.
            writeln!(text, "sasl.password_file = {name:?}").unwrap();
        }
    }
}

/// A folder with a kurier.toml.
fn folder(node: &Secured, profiles: &[Profile]) -> TempDir {
    let folder = TempDir::new().unwrap();
    let mut text = String::new();
    for profile in profiles {
        profile.write(node, &mut text, &folder);
    }
    std::fs::write(folder.path().join("kurier.toml"), text).unwrap();
    folder
}

/// `kurier ARGS…` in that folder, which knows nothing of the settings of whoever runs the tests.
fn kurier(folder: &TempDir, args: &[&str]) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(binary::path().unwrap());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("KURIER_")) {
        command.env_remove(name);
    }
    command
        .args(args)
        .current_dir(folder.path())
        .env("HOME", folder.path())
        .env_remove("XDG_CONFIG_HOME")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Everything that it printed and said.
fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

/// Runs it to its own end, and looks at what was said for passwords.
async fn ended(folder: &TempDir, args: &[&str]) -> Output {
    let begun = Instant::now();
    let output = within("kurier's own end", kurier(folder, args).output()).await.unwrap();
    assert!(begun.elapsed() < SECONDS, "{args:?} took {:?}: {}", begun.elapsed(), said(&output));
    assert_no_secret(&said(&output));
    output
}

fn assert_no_secret(text: &str) {
    for secret in [PASSWORD, WRONG] {
        assert!(!text.contains(secret), "{secret} is in: {text}");
    }
}

async fn is_turned_away(folder: &TempDir, profile: &str, command: &[&str], words: &str) {
    let args = [&["--profile", profile], command].concat();
    let output = ended(folder, &args).await;
    let said = said(&output);
    assert_eq!(output.status.code(), Some(6), "{args:?}: {said}");
    assert!(said.contains(words), "{args:?} does not say {words:?}: {said}");
    let last = said.lines().rfind(|line| line.contains(words)).unwrap_or_default();
    eprintln!("{profile:<18} {command:?}: {last}");
}

const LIST: &[&str] = &["topic", "list"];
const PRODUCE: &[&str] = &["produce", TOPIC, "--sample", "2"];
const CONSUME: &[&str] = &["consume", "single", TOPIC];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_not_let_in_is_told_why_within_seconds_with_exit_code_6() {
    let Some(node) = node().await else { return };
    let right = || Profile::sasl("right", "PLAIN", WORKER, PASSWORD, "");
    let certificate = |name, certificate, words| {
        let (listener, sasl) = (Listener::Certificate, None);
        Profile { name, listener, ca: "ca.pem", certificate, sasl, words }
    };
    let wrong = "unknown user or wrong password";
    let another = "wants a client certificate";
    let profiles = [
        Profile::sasl("wrong-password", "PLAIN", WORKER, WRONG, wrong),
        Profile::sasl("wrong-password-256", "SCRAM-SHA-256", WORKER, WRONG, wrong),
        Profile::sasl("unknown-user", "SCRAM-SHA-512", "stranger", PASSWORD, wrong),
        Profile {
            name: "untrusted",
            ca: "rogue-ca.pem",
            words: "no authority known here vouches for it",
            ..right()
        },
        Profile {
            name: "other-host",
            listener: Listener::OtherHost,
            words: "is for another host name",
            ..right()
        },
        certificate("no-certificate", None, another),
        certificate("rogue-certificate", Some("rogue"), another),
    ];
    let folder = folder(node, &profiles);
    for profile in &profiles {
        // Together, for each waits for the same three seconds.
        tokio::join!(
            is_turned_away(&folder, profile.name, LIST, profile.words),
            is_turned_away(&folder, profile.name, PRODUCE, profile.words),
            is_turned_away(&folder, profile.name, CONSUME, profile.words),
        );
    }
}

/// Its standard input is a pipe in which nothing ever comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_nothing_to_send_yet_is_turned_away_too() {
    let Some(node) = node().await else { return };
    let wrong = Profile::sasl("wrong", "PLAIN", WORKER, WRONG, "");
    let folder = folder(node, &[wrong]);
    let mut command = kurier(&folder, &["--profile", "wrong", "produce", TOPIC]);
    let mut idle = command.stdin(Stdio::piped()).spawn().unwrap();
    let open = idle.stdin.take().unwrap();
    let output = within("its own end", idle.wait_with_output()).await.unwrap();
    drop(open);
    assert_eq!(output.status.code(), Some(6), "{}", said(&output));
    assert!(said(&output).contains("unknown user or wrong password"), "{}", said(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_missing_is_named_with_exit_code_6() {
    let Some(node) = node().await else { return };
    let profiles =
        [NOVICE, LOOKOUT, LONER].map(|user| Profile::sasl(user, "PLAIN", user, PASSWORD, ""));
    let folder = folder(node, &profiles);
    let group = "join group single_message_group_1 as user \"loner\"";
    is_turned_away(&folder, NOVICE, PRODUCE, "WRITE").await;
    is_turned_away(&folder, NOVICE, &["topic", "describe", TOPIC], "DESCRIBE to look").await;
    is_turned_away(&folder, LOOKOUT, PRODUCE, "WRITE to send").await;
    is_turned_away(&folder, LOOKOUT, CONSUME, "read orders as user \"lookout\"").await;
    is_turned_away(&folder, LONER, CONSUME, group).await;
    is_turned_away(&folder, LONER, &["group", "lag", "g"], "DESCRIBE to look").await;
}

/// The partition stops at the message; whoever may write the topic, in the same group, loses none of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_right_to_write_dead_letters_nothing_is_passed_and_the_right_is_named() {
    let Some(node) = node().await else { return };
    let users = [CLERK, WORKER].map(|user| Profile::sasl(user, "PLAIN", user, PASSWORD, ""));
    let folder = folder(node, &users);
    let security = node.as_user(Mechanism::Plain, WORKER, PASSWORD);
    let sent = send(&node.address(Listener::Sasl), security, 20).await;
    let reject = [
        &["consume", "single", TOPIC, "--group", "clerks", "--exec", "exit 65"][..],
        &["--dead-letter", LETTERS, "--exit-at-end", "--on-failure", "exit"],
    ];
    let output = ended(&folder, &[&["--profile", CLERK], &reject.concat()[..]].concat()).await;
    let told = said(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("WRITE") && told.contains(LETTERS), "{told}");

    let output = ended(&folder, &[&["--profile", WORKER], &reject.concat()[..]].concat()).await;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let list = ["--profile", WORKER, "dlq", "list", LETTERS, "-o", "json"];
    let output = ended(&folder, &list).await;
    let counted: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let letters = counted["dead_letters"].as_u64().unwrap();
    assert!(sent.len() as u64 <= letters, "{letters} of {}", sent.len());
}

/// A broker that ends the connection may also be one behind a proxy that is down: it is waited for as
/// long as was asked, and the guess is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_of_another_protocol_is_named_as_what_may_be_wrong() {
    let Some(node) = node().await else { return };
    let tls = Profile {
        name: "tls-to-plain",
        listener: Listener::Open,
        ca: "ca.pem",
        certificate: None,
        sasl: None,
        words: "is its listener one without TLS?",
    };
    let folder = folder(node, &[tls]);
    let sasl = node.address(Listener::Sasl);
    let cases: [(&[&str], &str); 2] = [
        (&["--profile", "tls-to-plain"], "is its listener one without TLS?"),
        (&["-b", &sasl], "does its listener want TLS?"),
    ];
    for (given, words) in cases {
        for command in [LIST, PRODUCE, CONSUME] {
            let output = ended(&folder, &[given, command, &["--timeout", "5s"]].concat()).await;
            let said = said(&output);
            assert_eq!(output.status.code(), Some(5), "{given:?} {command:?}: {said}");
            assert!(said.contains(words), "{given:?} {command:?}: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_printed_logged_or_among_the_arguments() {
    let Some(node) = node().await else { return };
    let profiles = [
        Profile::sasl("right", "SCRAM-SHA-256", WORKER, PASSWORD, ""),
        Profile::sasl("wrong", "PLAIN", WORKER, WRONG, ""),
    ];
    let folder = folder(node, &profiles);
    let loud = ["-vv", "-X", "debug=all", "--log-format", "json", "-o", "json"];
    for (profile, code) in [("right", 0), ("wrong", 6)] {
        let as_profile = ["--profile", profile];
        for command in [&["profile", "show"], &["profile", "list"]] {
            ended(&folder, &[&loud, &as_profile[..], command].concat()).await;
        }
        let output = ended(&folder, &[&loud, &as_profile[..], LIST].concat()).await;
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        ended(&folder, &[&as_profile[..], &["profile", "show"]].concat()).await;
    }
    ended(&folder, &["--help"]).await;
    ended(&folder, &["produce", "--help"]).await;
    let refused = format!("sasl.password={PASSWORD}");
    let output = ended(&folder, &["-X", &refused, "topic", "list"]).await;
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("KURIER_SASL_PASSWORD"), "it says how else: {}", said(&output));
    let misspelt = format!("sasl.pasword={PASSWORD}");
    let output = ended(&folder, &["-X", &misspelt, "topic", "list"]).await;
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    // By the environment, with a consumer that is at work.
    let args = [&loud[..], &["--profile", "right"], CONSUME, &["--idle-exit", "1s"]].concat();
    let running = kurier(&folder, &args).env("KURIER_SASL_PASSWORD", PASSWORD).spawn().unwrap();
    let id = running.id().unwrap();
    let arguments = || std::fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap();
    // A process that has just begun has none yet.
    until("it has arguments", || arguments().contains("consume")).await;
    assert_no_secret(&arguments());
    let output = within("its end", running.wait_with_output()).await.unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_no_secret(&said);
    // The control: what it says of the connection is all there to be searched.
    assert!(said.contains("SASL") && said.contains("[redacted]"), "{said}");
}
