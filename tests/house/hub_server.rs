//! A small server that plays the hub, on this machine alone, with faults on demand.

use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What goes wrong with one answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// A status, and how long it asks to wait, if it says so.
    Status(u16, Option<u64>),
    /// The connection breaks after so many bytes of the body.
    Cut(usize),
    /// Nothing comes any more after so many bytes.
    Stall(usize),
    /// The body never ends.
    Endless,
    /// A byte is another.
    Wrong,
    /// The whole file comes whatever part was asked for.
    NoRange,
    /// A few bytes at a time.
    Slow,
    /// The file lies on another server.
    Elsewhere(String),
    /// The body is this.
    Text(String),
}

#[derive(Default)]
struct State {
    /// Contents by path in the repository `o/n`; large ones are kept as the hub keeps large files.
    files: BTreeMap<String, Vec<u8>>,
    /// What goes wrong, each once: for which address, and how.
    faults: Mutex<VecDeque<(String, Fault)>>,
    /// First lines of requests, with range and authorization.
    log: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

pub struct FakeHub {
    pub endpoint: String,
    state: Arc<State>,
}

impl Drop for FakeHub {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.endpoint.trim_start_matches("http://"));
    }
}

impl FakeHub {
    /// Has these files in whatever repository is asked for, but one that is called `gone`.
    pub fn start(files: &[(&str, Vec<u8>)]) -> Self {
        let files = files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone())).collect();
        let state = Arc::new(State { files, ..State::default() });
        let listener = TcpListener::bind("127.0.0.1:0").expect("port");
        let endpoint = format!("http://{}", listener.local_addr().expect("address"));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.is_over.load(Ordering::Acquire) {
                    return;
                }
                let state = Arc::clone(&shared);
                std::thread::spawn(move || drop(answer(&state, stream)));
            }
        });
        Self { endpoint, state }
    }

    /// All files of a folder.
    pub fn of_folder(folder: &Path) -> Self {
        let files = std::fs::read_dir(folder).expect("folder").flatten().map(|f| {
            let name = f.file_name().to_string_lossy().into_owned();
            (name, std::fs::read(f.path()).expect("file"))
        });
        let files: Vec<(String, Vec<u8>)> = files.collect();
        let named: Vec<(&str, Vec<u8>)> = files.iter().map(|(n, b)| (n.as_str(), b.clone())).collect();
        Self::start(&named)
    }

    /// The next answer to an address that contains `part` goes wrong so.
    pub fn fault(&self, part: &str, fault: Fault) {
        self.state.faults.lock().expect("faults").push_back((part.to_owned(), fault));
    }

    /// The requests so far.
    pub fn log(&self) -> Vec<String> {
        self.state.log.lock().expect("log").clone()
    }

    /// Those that asked for a file's bytes.
    pub fn downloads(&self) -> Vec<String> {
        self.log().into_iter().filter(|l| l.contains("/resolve/")).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// What the hub calls a file's content.
pub fn name_of(bytes: &[u8]) -> String {
    if bytes.len() > 10_000 {
        return hex(&Sha256::digest(bytes));
    }
    hex(&Sha1::new().chain_update(format!("blob {}\0", bytes.len())).chain_update(bytes).finalize())
}

fn listing(state: &State) -> String {
    let siblings: Vec<_> = state.files.iter().map(|(name, bytes)| {
        let size = bytes.len();
        if size > 10_000 {
            serde_json::json!({ "rfilename": name, "size": size, "blobId": "c".repeat(40), "lfs": { "sha256": name_of(bytes), "size": size, "pointerSize": 134 } })
        } else {
            serde_json::json!({ "rfilename": name, "size": size, "blobId": name_of(bytes) })
        }
    }).collect();
    serde_json::json!({ "id": "o/n", "sha": COMMIT, "siblings": siblings }).to_string()
}

fn answer(state: &State, mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let (mut range, mut token) = (0usize, String::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        let lower = line.to_lowercase();
        if let Some(from) = lower.strip_prefix("range: bytes=") {
            range = from.trim().trim_end_matches('-').parse().unwrap_or(0);
        }
        if lower.starts_with("authorization:") {
            token = line.trim().to_owned();
        }
    }
    let address = first.split(' ').nth(1).unwrap_or("").to_owned();
    state.log.lock().expect("log").push(format!("{address} {range} {token}"));
    let fault = {
        let mut faults = state.faults.lock().expect("faults");
        let at = faults.iter().position(|f| address.contains(&f.0));
        at.and_then(|i| faults.remove(i)).map(|f| f.1)
    };
    let body = match address.split("/resolve/").nth(1).and_then(|rest| rest.split_once('/')) {
        Some((_, name)) => {
            let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned();
            state.files.get(&name).cloned()
        }
        None if address.starts_with("/api/models/")
            && !address.contains("/gone/")
            && address.contains("/revision/") =>
        {
            Some(listing(state).into_bytes())
        }
        None if address.starts_with("/api/models?search=") => {
            Some(br#"[{"id":"o/n","downloads":7,"pipeline_tag":"text-classification"}]"#.to_vec())
        }
        None => None,
    };
    respond(state, &mut stream, body, range, fault)
}

fn head(stream: &mut TcpStream, status: u16, more: &str) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {status} x\r\nConnection: close\r\n{more}\r\n")
}

fn respond(
    state: &State,
    stream: &mut TcpStream,
    body: Option<Vec<u8>>,
    range: usize,
    fault: Option<Fault>,
) -> std::io::Result<()> {
    match &fault {
        Some(Fault::Status(status, wait)) => {
            let wait = wait.map(|s| format!("Retry-After: {s}\r\n")).unwrap_or_default();
            return head(stream, *status, &format!("Content-Length: 0\r\n{wait}"));
        }
        Some(Fault::Elsewhere(address)) => {
            return head(stream, 302, &format!("Location: {address}\r\nContent-Length: 0\r\n"));
        }
        Some(Fault::Text(text)) => {
            head(stream, 200, &format!("Content-Length: {}\r\n", text.len()))?;
            return stream.write_all(text.as_bytes());
        }
        _ => {}
    }
    let Some(mut body) = body else { return head(stream, 404, "Content-Length: 0\r\n") };
    let from = if matches!(fault, Some(Fault::NoRange)) { 0 } else { range.min(body.len()) };
    if let Some(byte) = body.get_mut(from).filter(|_| matches!(fault, Some(Fault::Wrong))) {
        *byte ^= 1;
    }
    let part = if from > 0 {
        format!("Content-Range: bytes {from}-{}/{}\r\n", body.len() - 1, body.len())
    } else {
        String::new()
    };
    let length = if matches!(fault, Some(Fault::Endless)) {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len() - from)
    };
    head(stream, if from > 0 { 206 } else { 200 }, &format!("{part}{length}"))?;
    let body = &body[from..];
    match fault {
        Some(Fault::Cut(n)) => stream.write_all(&body[..n.min(body.len())]),
        Some(Fault::Stall(n)) => {
            stream.write_all(&body[..n.min(body.len())])?;
            while !state.is_over.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(())
        }
        Some(Fault::Endless) => {
            stream.write_all(body)?;
            // Until the other side hangs up.
            while !state.is_over.load(Ordering::Acquire) {
                stream.write_all(&[0; 4096])?;
            }
            Ok(())
        }
        Some(Fault::Slow) => {
            for piece in body.chunks(1 + body.len() / 200) {
                stream.write_all(piece)?;
                stream.flush()?;
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(())
        }
        _ => stream.write_all(body),
    }
}
