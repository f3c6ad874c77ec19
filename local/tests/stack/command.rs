//! The command line, tested with the real binary.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use domain::time;
use local::{
    aws::dynamodb::Engine,
    samples,
    template::{TableDefinition, Template},
};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use crate::{campaign_path, exchange};

const BINARY: &str = env!("CARGO_BIN_EXE_local");
const TIMEOUT: Duration = Duration::from_mins(1);

/// Creates a folder with a copy of the template. The stack keeps its data next to the template.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(Template::default_path(), folder.path().join("template.yaml")).unwrap();
    folder
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.arg("--template").arg(folder.join("template.yaml")).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Starts a stack and returns its process and its URL.
async fn start(folder: &Path, arguments: &[&str]) -> (Child, String) {
    ready(command(folder, arguments).stderr(Stdio::null()).spawn().unwrap()).await
}

/// Waits until a stack is ready, and returns its process and its URL.
async fn ready(mut child: Child) -> (Child, String) {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut url = None;
    while let Some(line) = tokio::time::timeout(TIMEOUT, lines.next_line()).await.unwrap().unwrap() {
        url = url.or_else(|| line.strip_prefix("API").map(|rest| rest.trim().to_owned()));
        if line.contains("Ctrl-C") {
            return (child, url.expect("it prints its URL"));
        }
    }
    panic!("it ended before it was ready");
}

/// Runs a command to its end. Returns whether it succeeded, its standard output and its standard error.
async fn output(folder: &Path, arguments: &[&str]) -> (bool, String, String) {
    let output = tokio::time::timeout(TIMEOUT, command(folder, arguments).output()).await.unwrap().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

/// Runs a command that must fail without output, and returns its standard error.
async fn failure(folder: &Path, arguments: &[&str]) -> String {
    let (is_ok, stdout, stderr) = output(folder, arguments).await;
    assert!(!is_ok && stdout.is_empty() && !stderr.contains("panicked"), "{stdout}{stderr}");
    stderr.trim_end().to_owned()
}

/// Returns `X-Total` of the campaign's listing: exact if one page of `per_page` holds everything, else from the counts.
async fn total(url: &str, per_page: u32) -> String {
    let request = format!(
        "GET {}?per_page={per_page} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ZGVtbzpkZW1v\r\nConnection: close\r\n\r\n",
        campaign_path()
    );
    let answer = exchange(url, &request).await;
    answer.lines().find_map(|line| line.strip_prefix("X-Total: ")).unwrap_or(&answer).to_owned()
}

async fn post_events(url: &str, events: &serde_json::Value) -> String {
    let body = events.to_string();
    let request = format!(
        "POST /v2/registration_events HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ZGVtbzpkZW1v\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    exchange(url, &request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_was_answered_as_applied_survives_a_kill() {
    let folder = folder();
    let (mut stack, url) = start(folder.path(), &["--port", "0"]).await;
    assert_eq!(total(&url, 1000).await, "3");
    let event = |number: u32| {
        json!({
            "event": "installed", "campaign_id": "bd69162b-8995-4c89-bdca-898fae6050d0", "campaign_type": "coupons",
            "pass_id": "00000000-0000-4000-9000-000000000001", "event_at": "2016-11-09T00:00:00Z",
            "event_extra": {
                "registration_id": format!("00000000-0000-4000-8000-{number:012x}"),
                "device_os": "ios", "device_app_vendor": "passbook",
            },
        })
    };
    let answered = post_events(&url, &json!((0..50).map(event).collect::<Vec<_>>())).await;
    assert_eq!(answered.matches(r#"{"result":"applied"}"#).count(), 50, "{answered}");
    // The stack is killed while it handles more events.
    let more = json!((50..550).map(event).collect::<Vec<_>>());
    let load = tokio::spawn({
        let url = url.clone();
        async move {
            let mut stream = tokio::net::TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
            let body = more.to_string();
            let head = "POST /v2/registration_events HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ZGVtbzpkZW1v\r\nContent-Type: application/json\r\n";
            let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
            tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
        }
    });
    load.await.unwrap();
    stack.kill().await.unwrap();

    let (mut stack, url) = start(folder.path(), &["--port", "0"]).await;
    let kept: usize = total(&url, 1000).await.parse().unwrap();
    assert!(kept >= 53, "{kept}");
    // The counting function was killed too, but its counts reach the same number.
    let begin = Instant::now();
    while total(&url, 1).await != kept.to_string() {
        assert!(begin.elapsed() < TIMEOUT, "{} of {kept}", total(&url, 1).await);
    }
    stack.kill().await.unwrap();
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_the_stack_cleanly_and_releases_the_data() {
    let folder = folder();
    let (mut stack, url) = start(folder.path(), &["--port", "0"]).await;
    let held = failure(folder.path(), &["--port", "0"]).await;
    assert!(held.contains("is held by a local stack that is running"), "{held}");
    let event = samples::folder().join("sqs/uninstall.json");
    let held = failure(folder.path(), &["invoke", "registration-ingest", event.to_str().unwrap()]).await;
    assert!(held.contains("is held by a local stack that is running"), "{held}");

    let id = stack.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
    assert!(tokio::time::timeout(TIMEOUT, stack.wait()).await.unwrap().unwrap().success());
    assert!(tokio::net::TcpStream::connect(url.strip_prefix("http://").unwrap()).await.is_err());

    let (is_ok, stdout, _) = output(folder.path(), &["invoke", "registration-ingest", event.to_str().unwrap()]).await;
    assert!(is_ok);
    assert_eq!(stdout, "{\"batchItemFailures\":[]}\n");
}

/// With 128 descriptors the stack accepts some of 200 connections. It answers again when they are closed.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_stack_without_file_descriptors_logs_that_once_and_recovers() {
    let folder = folder();
    let stack = command(folder.path(), &["--ephemeral", "--port", "0"]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 128 && exec \"$@\"", "sh", BINARY]).args(stack.as_std().get_args());
    limited.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let (mut stack, url) = ready(limited.spawn().unwrap()).await;
    let mut log = BufReader::new(stack.stderr.take().unwrap()).lines();

    let address = url.strip_prefix("http://").unwrap();
    let mut connections = Vec::new();
    for _ in 0..200 {
        connections.push(tokio::net::TcpStream::connect(address).await.unwrap());
    }
    let said = async {
        while !log.next_line().await.unwrap().expect("it still runs").contains("connections cannot be accepted") {}
    };
    tokio::time::timeout(TIMEOUT, said).await.unwrap();
    drop(connections);
    assert_eq!(tokio::time::timeout(TIMEOUT, total(&url, 1000)).await.unwrap(), "3");

    stack.kill().await.unwrap();
    while let Some(line) = log.next_line().await.unwrap() {
        assert!(!line.contains("connections cannot be accepted"), "{line}");
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn an_ephemeral_stack_leaves_nothing_even_if_it_is_killed() {
    let (folder, temporary) = (folder(), tempfile::tempdir().unwrap());
    let mut stack = command(folder.path(), &["--ephemeral", "--port", "0"]);
    let (mut stack, url) = ready(stack.env("TMPDIR", temporary.path()).stderr(Stdio::null()).spawn().unwrap()).await;
    assert_eq!(total(&url, 1000).await, "3");
    stack.kill().await.unwrap();
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
    assert!(!folder.path().join(".local").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_data_file_is_not_taken_for_a_new_one() {
    let folder = folder();
    let data = folder.path().join(".local");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("registrations.db"), "").unwrap();
    let event = samples::folder().join("sqs/uninstall.json").display().to_string();
    for arguments in [&["--port", "0"][..], &["invoke", "registration-ingest", &event]] {
        let said = failure(folder.path(), arguments).await;
        assert!(said.contains("registrations.db is empty") && said.contains("delete it to start"), "{said}");
    }
    std::fs::remove_file(data.join("registrations.db")).unwrap();
    // A start that was killed while it created the file left this.
    std::fs::create_dir(data.join("new")).unwrap();
    std::fs::write(data.join("new/registrations.db"), "").unwrap();
    let (mut stack, url) = start(folder.path(), &["--port", "0"]).await;
    assert_eq!(total(&url, 1000).await, "3");
    assert!(!data.join("new").exists());
    stack.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn invoke_prints_the_answer_and_nothing_else() {
    let folder = folder();
    let event = |name: &str| samples::folder().join(name).display().to_string();
    let invoke = async |function: &str, name: &str| {
        let (is_ok, stdout, stderr) = output(folder.path(), &["invoke", function, &event(name)]).await;
        assert!(is_ok, "{stderr}");
        serde_json::from_str::<serde_json::Value>(&stdout).unwrap()
    };
    let failed = invoke("registration-ingest", "sqs/bad-message-among-good.json").await;
    assert_eq!(failed, json!({"batchItemFailures": [{"itemIdentifier": "00000002-0000-4000-8000-000000000000"}]}));
    let listed = invoke("campaign-registrations", "http/list-campaign.json").await;
    assert_eq!((&listed["statusCode"], &listed["headers"]["x-total"]), (&json!(200), &json!("5")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_fails_says_why_in_one_sentence() {
    let folder = folder();
    let event = samples::folder().join("sqs/uninstall.json").display().to_string();

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let said = failure(folder.path(), &["--ephemeral", "--port", &port]).await;
    assert!(said.contains(&format!("error: port {port} cannot be used")) && said.contains("--port 0"), "{said}");

    let said = failure(folder.path(), &["--ephemeral", "invoke", "no-such-function", &event]).await;
    assert!(
        said.contains(
            "there is no function no-such-function; expected one of account-admin, api-contract, campaign-recount,"
        ),
        "{said}"
    );
    let said = failure(folder.path(), &["--ephemeral", "invoke", "registration-ingest", "no-such-file.json"]).await;
    assert!(said.contains("no-such-file.json cannot be read"), "{said}");
    let said = failure(folder.path(), &["--ephemeral", "invoke", "campaign-registrations", &event]).await;
    assert!(said.contains("the function does not accept this event"), "{said}");
    let said = failure(folder.path(), &["--dynamodb-endpoint", "http://127.0.0.1:1", "--port", "0"]).await;
    assert!(said.contains("the engine at http://127.0.0.1:1 does not answer as DynamoDB does"), "{said}");

    std::fs::create_dir(folder.path().join(".local")).unwrap();
    std::fs::write(folder.path().join(".local/registrations.db"), "this is no database, ".repeat(100)).unwrap();
    let said = failure(folder.path(), &["--port", "0"]).await;
    assert!(said.contains("registrations.db cannot be used as a database"), "{said}");

    let template = folder.path().join("template.yaml");
    let whole = std::fs::read_to_string(&template).unwrap();
    for (from, to, expected) in [
        ("TABLE_NAME: !Ref RegistrationTable", "TABLE_NAME: !Join [A, [B]]", ", line "),
        ("TABLE_NAME: !Ref RegistrationTable", "TABLE_NAME: !Join [A, [B]]", "!Join is not understood here"),
        ("TABLE_NAME: !Ref RegistrationTable", "TABLE_NAME: !If [HasCors, B]", "expected a list of 3"),
        ("TABLE_NAME: !Ref RegistrationTable", "TABLE_NAME: !If [Nothing, B, C]", "expected the field Nothing"),
        ("HasCors: !Not [!Equals", "HasCors: !Not [!Or", "!Or is not understood here"),
        ("TABLE_NAME: !Ref RegistrationTable", "TABLE_NAME: !Ref Nothing", "there is no parameter or resource Nothing"),
        ("TABLE_NAME: !Ref RegistrationTable", "TABLES: x", "the variable TABLE_NAME is not set"),
        ("Queue: !GetAtt EventQueue.Arn", "Queue: !GetAtt EventQueue.Name", "Name of EventQueue, a AWS::SQS::Queue"),
        ("  RegistrationTable:", "  RegistrationTable: [", "is not YAML"),
        ("Type: AWS::DynamoDB::Table", "Type: AWS::DynamoDB::Tables", "RegistrationTable"),
    ] {
        std::fs::write(&template, whole.replacen(from, to, 1)).unwrap();
        let said = failure(folder.path(), &["--ephemeral", "--port", "0"]).await;
        assert!(said.contains(expected), "{to}: {said}");
    }
    std::fs::remove_file(&template).unwrap();
    let said = failure(folder.path(), &["--ephemeral"]).await;
    assert!(said.contains("template.yaml cannot be read"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stack_runs_over_another_engine() {
    let engine = Engine::temporary().await.unwrap();
    let folder = folder();
    for _ in 0..2 {
        let (mut stack, url) = start(folder.path(), &["--port", "0", "--dynamodb-endpoint", engine.endpoint()]).await;
        assert_eq!(total(&url, 1000).await, "3");
        stack.kill().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_can_be_exported_into_another_table_repeatedly() {
    let (folder, engine) = (folder(), Engine::temporary().await.unwrap());
    let Template { table, .. } = Template::read(&Template::default_path()).unwrap();
    engine.ensure_table(&table).await.unwrap();
    let export = async |table: &str, without: &str, more: &[&str]| {
        let mut command = command(folder.path(), &[&["export", table], more].concat());
        command.env_remove("AWS_DEFAULT_REGION");
        command.envs(engine.variables().into_iter().filter(|(name, _)| *name != without)).env_remove(without);
        let output = tokio::time::timeout(TIMEOUT, command.output()).await.unwrap().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success(), said)
    };
    let (is_ok, said) = export(&table.name, "", &[]).await;
    assert!(!is_ok && said.contains(".local has no data"), "{said}");
    let (mut stack, _) = start(folder.path(), &["--port", "0"]).await;
    let (is_ok, said) = export(&table.name, "", &[]).await;
    assert!(!is_ok && said.contains("is held by a local stack that is running"), "{said}");
    stack.kill().await.unwrap();
    for variable in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"] {
        let (is_ok, said) = export(&table.name, variable, &[]).await;
        assert!(!is_ok && said.contains(&format!("the variable {variable} is not set")), "{said}");
    }
    let (is_ok, said) = export("no-such-table", "", &[]).await;
    assert!(!is_ok && said.contains("ResourceNotFoundException"), "{said}");

    let (is_ok, said) = export(&table.name, "", &[]).await;
    assert!(is_ok, "{said}");
    assert!(said.contains("account demo: 0 new keys"), "{said}");
    assert!(said.contains("wrote 3 items and their earlier counts; 0 unchanged"), "{said}");
    let store = engine.store(&table).unwrap();
    assert_eq!(store.key(samples::demo_key(), time::now()).await.unwrap(), None, "the key demo is public");
    let (is_ok, said) = export(&table.name, "", &[]).await;
    assert!(is_ok && said.contains("wrote 0 items; 3 unchanged"), "{said}");

    let restored = TableDefinition { name: "registrations-restored".to_owned(), ..table.clone() };
    engine.ensure_table(&restored).await.unwrap();
    let (is_ok, said) = export(&restored.name, "", &["--from", &table.name]).await;
    assert!(is_ok && said.contains("wrote 3 items and their earlier counts"), "{said}");
}

#[tokio::test]
async fn passes_come_from_the_given_origin() {
    let folder = folder();
    let request =
        "GET /wallet/demo/v1/passes/pass.com.example.coupon/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    // Nothing listens on this port.
    for (options, expected) in
        [(&[][..], "HTTP/1.1 404 "), (&["--pass-origin", "http://127.0.0.1:9/"], "HTTP/1.1 503 ")]
    {
        let (mut child, url) = start(folder.path(), &[&["--port", "0", "--ephemeral"], options].concat()).await;
        let answer = exchange(&url, request).await;
        assert!(answer.starts_with(expected), "{answer}");
        child.kill().await.unwrap();
    }
    let refusal = failure(folder.path(), &["--pass-origin", "http://user@example.com"]).await;
    assert!(refusal.contains("without user, query and fragment"), "{refusal}");
}
