//! `llmesh mock` as a process.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStderr, Command, Stdio},
    time::Duration,
};

/// Kills the process on drop, so that a failed assertion leaves none behind.
struct Mock(Child);

impl Drop for Mock {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spawn(args: &[&str]) -> (Mock, BufReader<ChildStderr>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_llmesh"))
        .arg("mock")
        .args(args)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    (Mock(child), stderr)
}

/// The address in `… listening on http://ADDRESS as LABEL`.
fn address(stderr: &mut BufReader<ChildStderr>, label: &str) -> String {
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let rest = line.trim().split("http://").nth(1);
    let (address, rest) = rest.and_then(|r| r.split_once(' ')).expect(&line);
    assert_eq!(rest, format!("as {label}"));
    address.to_owned()
}

fn get(address: &str, headers: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let head = format!("GET /x HTTP/1.1\r\nhost: m\r\nconnection: close\r\n{headers}\r\n");
    socket.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn listeners_share_sequences_name_themselves_and_end_on_sigterm() {
    let (mut mock, mut stderr) = spawn(&["--listen", "127.0.0.1:0=v1", "--listen", "0=v2"]);
    let (a, b) = (address(&mut stderr, "v1"), address(&mut stderr, "v2"));
    let sequence = "x-mock-sequence: 503,429\r\nx-mock-key: k\r\n";
    let first = get(&a, sequence);
    assert!(first.starts_with("HTTP/1.1 503 "), "{first}");
    assert!(first.contains("x-mock-version: v1"), "{first}");
    let second = get(&b, sequence);
    assert!(second.starts_with("HTTP/1.1 429 "), "{second}");
    assert!(
        second.contains(&format!("x-mock-listener: {b}")),
        "{second}"
    );
    let asked = Command::new("kill")
        .args(["-TERM", &mock.0.id().to_string()])
        .status()
        .unwrap();
    assert!(asked.success());
    assert_eq!(mock.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_default_answer_is_given_on_the_command_line() {
    let (_mock, mut stderr) = spawn(&["--listen", "0=v1", "--answer", "overloaded"]);
    let answer = get(&address(&mut stderr, "v1"), "");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("server_is_overloaded"), "{answer}");
}

#[test]
fn a_port_in_use_is_one_line_and_exit_code_2() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (mut mock, mut stderr) = spawn(&["--listen", &address]);
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(mock.0.wait().unwrap().code(), Some(2));
    let start = format!("llmesh mock: cannot listen on {address}: ");
    assert!(
        said.starts_with(&start) && said.lines().count() == 1,
        "{said}"
    );
}

#[test]
fn bad_flags_are_exit_code_2() {
    for args in [
        &["--listen", "nowhere"][..],
        &["--no-such-flag"],
        &["--log", "a=b=c"],
    ] {
        let (mut mock, mut stderr) = spawn(args);
        let mut said = String::new();
        stderr.read_to_string(&mut said).unwrap();
        assert_eq!(mock.0.wait().unwrap().code(), Some(2), "{args:?}");
        assert!(
            said.contains(args[args.len() - 1].trim_start_matches('-')),
            "{said}"
        );
    }
}

/// All that goes wrong with providers, at one address, with two retries, 30 s and one fallback. Takes a minute, since it
/// keeps real time: that the clocks are right is what it is about.
#[test]
fn the_fault_drill() {
    let done = Command::new(env!("CARGO_BIN_EXE_llmesh"))
        .args(["demo", "--scenario", "faults", "-o", "json"])
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&done.stdout);
    assert_eq!(done.status.code(), Some(0), "{report}");
    assert!(report.contains("\"ok\": true"), "{report}");
}
