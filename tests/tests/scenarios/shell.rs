//! `kurier consume --exec`: a command for each message, which is committed once the command has ended well.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kurier_tests::binary::{Ended, Kurier};
use kurier_tests::follow::{Follower, Sampler};
use kurier_tests::process::Signal;
use kurier_tests::scene::{Scene, TOPIC};
use serde_json::Value;

use crate::{until, within};

/// How long a `kurier` may take after the second signal, on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(10);

/// A scene, and a folder where commands leave what they have done.
struct Workshop {
    scene: Scene,
    folder: tempfile::TempDir,
}

impl Workshop {
    async fn set(group: &str, partitions: u32) -> Self {
        Self { scene: Scene::set(group, partitions).await, folder: tempfile::tempdir().unwrap() }
    }

    /// Starts `kurier consume KIND orders --exec SCRIPT MORE…`, where the script knows the folder as `$D`.
    fn start(&self, kind: &str, name: &str, script: &str, more: &[&str]) -> Kurier {
        let script = format!("D={}; {script}", self.folder.path().display());
        let mut args = vec!["consume", kind, TOPIC, "--group", &self.scene.group];
        args.extend(["--instance", name, "--commit-interval", "100ms", "--exec", &script]);
        args.extend(["-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=300"]);
        args.extend(more);
        Kurier::start(self.scene.bootstrap(), &args).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The lines of a file that commands write, as far as they are whole.
    fn lines(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.path(name)).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(str::to_owned).collect()
    }

    /// The same as envelopes.
    fn done(&self) -> Vec<Value> {
        self.lines("done").iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    async fn until_lines(&self, name: &str, count: usize) {
        until(&format!("{count} lines in {name}"), || count <= self.lines(name).len()).await;
    }

    /// Processes that commands named in a file, and that are still there.
    fn alive(&self, name: &str) -> Vec<String> {
        let named = self.lines(name).into_iter();
        named.filter(|pid| is_alive(&Path::new("/proc").join(pid.trim()))).collect()
    }
}

/// One that has ended and that nobody has waited for is not.
fn is_alive(process: &Path) -> bool {
    let stat = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
}

async fn end(process: Kurier) -> Ended {
    within("the end of kurier", process.wait()).await.unwrap()
}

/// By partition.
fn all(committed: &[(i32, i64)]) -> BTreeMap<i32, i64> {
    committed.iter().copied().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_killed_amid_its_commands_has_committed_what_they_had_done_and_no_more() {
    let shop = Workshop::set("commands", 2).await;
    let scene = &shop.scene;
    scene.fill(0..2, 50).await;
    let follower = Follower::new(&scene.books, &scene.group, "killed");
    let samples = Sampler::start(scene.bootstrap(), &scene.books, &scene.group).unwrap();
    // Amid the work: begun, and not done.
    let script = "
        if [ $KURIER_MSG_OFFSET = 20 ] && ! [ -e $D/go ]; then echo $$ >> $D/held; exec sleep 1000; fi
        cat >> $D/done";
    let mut killed = shop.start("single", "killed", script, &["--envelope"]);
    shop.until_lines("held", 2).await;
    scene.until_committed(&all(&[(0, 20), (1, 20)])).await;
    killed.kill().unwrap();
    assert_eq!(scene.committed().await, all(&[(0, 20), (1, 20)]), "{}", killed.talk());
    let first = shop.done();
    assert_eq!(first.len(), 40, "the work of neither was done");
    follower.end(&first).unwrap();

    // Nobody ends the commands of a process that is killed.
    for pid in shop.lines("held") {
        assert!(is_alive(&Path::new("/proc").join(&pid)));
        std::process::Command::new("kill").arg(&pid).status().unwrap();
    }
    std::fs::write(shop.path("go"), "").unwrap();
    let follower = Follower::new(&scene.books, &scene.group, "next");
    let next = end(shop.start("single", "next", script, &["--envelope", "--exit-at-end"])).await;
    assert_eq!(next.status.code(), Some(0), "{}", next.talk);
    let done = shop.done();
    follower.end(&done[first.len()..]).unwrap();
    samples.finish().await.unwrap();
    assert_eq!(done.len(), 100, "each once");
    scene.until_committed(&all(&[(0, 50), (1, 50)])).await;
    scene.judge("killed with two commands at work, which were run again").await;
}

/// The control: a command that ends well before its work is done. Nothing else knows of that work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_a_command_that_ends_before_its_work_is_done_loses() {
    let shop = Workshop::set("hasty", 1).await;
    let scene = &shop.scene;
    scene.fill(0..1, 20).await;
    let follower = Follower::new(&scene.books, &scene.group, "hasty");
    let samples = Sampler::start(scene.bootstrap(), &scene.books, &scene.group).unwrap();
    // The work goes on in the background, which ends with the command.
    let script = "exec 3<&0; (sleep 5; cat <&3 >> $D/done) & exit 0";
    let hasty = end(shop.start("single", "hasty", script, &["--envelope", "--exit-at-end"])).await;
    assert_eq!(hasty.status.code(), Some(0), "{}", hasty.talk);
    follower.end(&shop.done()).unwrap();
    samples.finish().await.unwrap();
    scene.judge_careless().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_fails_or_rejects_stops_its_partition_there_and_no_other() {
    let shop = Workshop::set("failing", 2).await;
    let scene = &shop.scene;
    scene.fill(0..2, 12).await;
    let script = |code: &str| {
        format!(
            "grep -q '\"partition\":0,\"offset\":5,' || exit 0; echo tried >> $D/{code}; echo no such customer; exit {code}"
        )
    };
    // How it ends, how often it is tried, and where the partition stops: a batch fails as one.
    let table = [
        ("single", "7", 3, 5, &["--envelope"][..]),
        ("single", "65", 1, 5, &["--envelope"]),
        ("batch", "8", 3, 4, &["--batch-size", "4"]),
        ("batch", "65", 1, 4, &["--batch-size", "4"]),
    ];
    for (kind, code, tries, stop, more) in table {
        let group = format!("failing-{kind}-{code}");
        let file = format!("{code}-{kind}");
        let script = script(code).replace(&format!("$D/{code}"), &format!("$D/{file}"));
        let more = [more, &["--group", &group, "--retries", "3", "--exit-at-end"]].concat();
        let ended = end(started(&shop, kind, &script, &more)).await;
        assert_eq!(ended.status.code(), Some(1), "{file}: {}", ended.talk);
        assert_eq!(shop.lines(&file).len(), tries, "{file}");
        let place = if kind == "single" { "orders-0@5: " } else { "orders-0@4..7: " };
        assert!(ended.talk.contains(&format!("{place}no such customer\n")), "{}", ended.talk);
        let reason = format!("exit code {code}: no such customer");
        assert!(ended.talk.contains(&reason), "{file}: {}", ended.talk);
        scene.until_committed_by(&group, &all(&[(0, stop), (1, 12)])).await;
    }
    eprintln!("{:?}: exit codes 7, 8: three attempts, 65: one", scene.cluster.kind());
}

/// As [`Workshop::start`], with a group of its own.
fn started(shop: &Workshop, kind: &str, script: &str, more: &[&str]) -> Kurier {
    let script = format!("D={}; {script}", shop.folder.path().display());
    let args = ["consume", kind, TOPIC, "--commit-interval", "100ms", "--exec", &script];
    Kurier::start(shop.scene.bootstrap(), &[&args, more].concat()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_overtime_and_odd_exit_codes_are_tried_again_and_nothing_is_left_behind() {
    let shop = Workshop::set("retried", 1).await;
    shop.scene.fill(0..1, 7).await;
    let script = "
        begun() { echo $1 >> $D/begun; }
        case $KURIER_MSG_OFFSET-$KURIER_MSG_ATTEMPT in
            0-1) kill -9 $$ ;;
            1-1) begun $$; sleep 1000 & begun $!; wait ;;
            2-1) begun $$; trap '' TERM; (begun $$; while :; do sleep 0.1; done) ;;
            3-1) exit 127 ;;
            4-1) exec >&- 2>&-; sleep 1000 & begun $!; exec sleep 1000 ;;
            5-1) kill -TERM $$ ;;
        esac
        cat >> $D/done";
    let more = ["--envelope", "--exit-at-end", "--handler-timeout", "1s"];
    let ended = end(shop.start("single", "one", script, &more)).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.talk);
    let done: Vec<i64> = shop.done().iter().map(|line| line["offset"].as_i64().unwrap()).collect();
    assert_eq!(done, [0, 1, 2, 3, 4, 5, 6], "in order, each once");
    assert_eq!(shop.lines("begun").len(), 5);
    assert_eq!(shop.alive("begun"), [""; 0], "{}", ended.talk);
    shop.scene.until_committed(&all(&[(0, 7)])).await;
    eprintln!("{:?}: two signals, three overtimes, exit code 127", shop.scene.cluster.kind());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_lets_the_command_end_and_commits_what_it_has_done() {
    let shop = Workshop::set("drained", 1).await;
    shop.scene.fill(0..1, 5).await;
    let script = "echo $$ >> $D/begun; while ! [ -e $D/go ]; do sleep 0.05; done; cat >> $D/done";
    let process = shop.start("single", "one", script, &["--envelope"]);
    shop.until_lines("begun", 1).await;
    process.signal(Signal::Terminate).unwrap();
    until("it closes", || process.talk().contains("closing")).await;
    std::fs::write(shop.path("go"), "").unwrap();
    let ended = end(process).await;
    assert_eq!(ended.status.code(), Some(143), "{}", ended.talk);
    assert_eq!(shop.done().len(), 1);
    assert_eq!(shop.alive("begun"), [""; 0]);
    assert_eq!(shop.scene.committed().await, all(&[(0, 1)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_does_not_end_is_ended_with_all_it_has_started_and_nothing_is_committed() {
    let shop = Workshop::set("stubborn", 1).await;
    shop.scene.fill(0..1, 5).await;
    let script = "trap '' TERM; echo $$ >> $D/begun; sleep 1000 & echo $! >> $D/begun; \
                  while :; do sleep 0.1; done";
    for (signals, more) in [(1, &["--shutdown-deadline", "3s"][..]), (2, &[])] {
        let before = shop.lines("begun").len();
        let mut process = shop.start("single", &format!("signalled-{signals}"), script, more);
        shop.until_lines("begun", before + 2).await;
        match signals {
            1 => process.signal(Signal::Terminate).unwrap(),
            _ => process.hurry().await.unwrap(),
        }
        let begun = Instant::now();
        let ended = end(process).await;
        let took = begun.elapsed();
        assert_eq!(ended.status.code(), Some(4), "{}", ended.talk);
        assert!(ended.talk.contains("incomplete"), "{}", ended.talk);
        assert!(took < AT_ONCE, "{took:?}");
        until("the end of what was started", || shop.alive("begun").is_empty()).await;
        eprintln!("{:?}: ended {took:.1?} after {signals}", shop.scene.cluster.kind());
    }
    assert_eq!(shop.scene.committed().await, all(&[]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_commands_leave_no_process_and_no_open_file() {
    const MESSAGES: usize = 2_000;
    let shop = Workshop::set("many", 4).await;
    shop.scene.fill(0..4, MESSAGES / 4).await;
    let begun = Instant::now();
    // What is open at the first command and at the last; none reads what it is given.
    let script =
        "echo $KURIER_MSG_OFFSET >> $D/offsets; ls -l /proc/self/fd | grep -c ' -> ' >> $D/open
        ! ls -l /proc/self/fd | grep socket:";
    let process = shop.start("single", "one", script, &[]);
    let files = || {
        let folder = format!("/proc/{}/fd", process.pid());
        std::fs::read_dir(folder).map_or(0, Iterator::count)
    };
    shop.until_lines("offsets", 100).await;
    let early = files();
    let each = i64::try_from(MESSAGES / 4).unwrap();
    shop.scene.until_committed(&(0..4).map(|partition| (partition, each)).collect()).await;
    let took = begun.elapsed();
    // Four commands at work have three pipes each at most.
    let late = files();
    assert!(late <= early + 12, "{early} files were open, and {late} are");
    let children = format!("/proc/{0}/task/{0}/children", process.pid());
    let children = std::fs::read_to_string(children).unwrap_or_default();
    let ended = within("the end", process.stop()).await.unwrap();
    assert_eq!(ended.status.code(), Some(143), "{}", ended.talk);
    assert_eq!(children.split_whitespace().count(), 0, "of the main thread");
    assert_eq!(shop.lines("offsets").len(), MESSAGES);
    // librdkafka lets its pipes be inherited, and never a socket: a broker would take it for a client.
    let open: Vec<usize> =
        shop.lines("open").iter().map(|count| count.trim().parse().unwrap()).collect();
    let (first, last) = (open[..100].iter().max(), open[MESSAGES - 100..].iter().max());
    assert!(last <= first, "a command has {last:?} files open, and had {first:?}");
    eprintln!(
        "{:?}: {MESSAGES} commands in {took:.1?}; {early} files open after a hundred, {late} at the end",
        shop.scene.cluster.kind()
    );
}
