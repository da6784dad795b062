//! The yardsticks: the least that a program can do for the same job.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};

const ROLE: &str = "SOCKETCHAT_BENCH_ROLE";

/// What a round trip of the floor carries.
pub const PING: &[u8; 6] = b"hello\n";

/// Plays the role that this process was started for, if it was for one; to be called first.
pub fn play() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match role.as_str() {
        "floor-server" => floor(accept(), arguments[0].parse().unwrap(), false),
        "floor-client" => floor(connect(&arguments[1]), arguments[0].parse().unwrap(), true),
        "lines-server" => line_chat(accept(), false),
        "lines-client" => line_chat(connect(&arguments[0]), true),
        "echo-server" => echo(),
        "listen" => {
            let port = arguments[0].parse().unwrap();
            let _client = TcpListener::bind(("127.0.0.1", port)).unwrap().accept();
        }
        "say" => connect(&arguments[0]).write_all(PING).unwrap(),
        role => panic!("no such role: {role}"),
    }
    std::process::exit(0);
}

/// This program in another role.
pub fn role(role: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(arguments)
        .env(ROLE, role)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

fn accept() -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    eprintln!("{}", listener.local_addr().unwrap());
    let (stream, _) = listener.accept().unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn connect(port: &str) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Two blocking processes that send six bytes to and fro.
fn floor(mut stream: TcpStream, turns: usize, first: bool) {
    let mut buffer = *PING;
    for _ in 0..turns {
        if first {
            stream.write_all(PING).unwrap();
        }
        stream.read_exact(&mut buffer).unwrap();
        if !first {
            stream.write_all(PING).unwrap();
        }
    }
}

/// The same with a line read from stdin and a line written to stdout in each turn.
fn line_chat(stream: TcpStream, first: bool) {
    let mut input = BufReader::with_capacity(64 * 1024, std::io::stdin().lock());
    // Our own handle, since that of std would look for newlines.
    let output = std::io::stdout().as_fd().try_clone_to_owned().unwrap();
    let mut output = std::fs::File::from(output);
    let mut incoming = BufReader::new(stream.try_clone().unwrap());
    let mut outgoing = stream;
    let (mut line, mut reply) = (Vec::new(), Vec::new());
    let mut ours = first;
    loop {
        if ours {
            line.clear();
            if input.read_until(b'\n', &mut line).unwrap() == 0 {
                return;
            }
            outgoing.write_all(&line).unwrap();
        } else {
            reply.clear();
            if incoming.read_until(b'\n', &mut reply).unwrap() == 0 {
                return;
            }
            output.write_all(&reply).unwrap();
        }
        ours = !ours;
    }
}

/// A server that answers each client with what it says, each in a thread of its own.
fn echo() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    eprintln!("{}", listener.local_addr().unwrap());
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        stream.set_nodelay(true).unwrap();
        std::thread::Builder::new()
            .stack_size(64 * 1024)
            .spawn(move || {
                let mut buffer = [0; 1024];
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    if stream.write_all(&buffer[..count]).is_err() {
                        return;
                    }
                }
            })
            .unwrap();
    }
}
