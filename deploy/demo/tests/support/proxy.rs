//! A TCP relay between a hub and its database that can be cut in the worst moment: the sockets stay open, and nothing crosses any more.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

use super::{database::Database, free_port};

/// Where the next transaction that stores events is to be caught.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trap {
    /// Nowhere.
    Open,
    /// Its COMMIT never reaches the server.
    BeforeCommit,
    /// The server commits, and the hub never hears of it.
    AfterCommit,
    /// It was caught.
    Sprung,
}

/// The relay. Dropping it closes all its sockets.
pub struct Proxy {
    pub port: u16,
    cut: Arc<AtomicBool>,
    trap: watch::Sender<Trap>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Between the port that it opens and the server of `database`. `mark` is a word that only transactions with events hold.
    pub async fn start(database: &Database, mark: &'static str) -> Self {
        let port = free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let (cut, trap, server) = (Arc::new(AtomicBool::new(false)), watch::channel(Trap::Open).0, database.server_address());
        let task = tokio::spawn({
            let (cut, trap) = (cut.clone(), trap.clone());
            async move {
                // Ends with the relay, and the connections with it.
                let mut relays = tokio::task::JoinSet::new();
                while let Ok((hub, _)) = listener.accept().await {
                    let line = Line { cut: cut.clone(), trap: trap.clone(), mark };
                    relays.spawn(line.relay(hub, server.clone()));
                }
            }
        });
        Self { port, cut, trap, task }
    }

    /// From now on nothing crosses in either direction, and nobody is told. With `false` everything that waits goes on.
    pub fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::SeqCst);
    }

    /// Catches the next transaction that stores events; waits until it is caught.
    pub async fn catch(&self, trap: Trap) {
        self.trap.send_replace(trap);
        let mut sprung = self.trap.subscribe();
        let caught = sprung.wait_for(|trap| *trap == Trap::Sprung);
        tokio::time::timeout(super::crash::PATIENCE, caught).await.expect("no transaction with events came to be caught").unwrap();
    }

    /// The trap is open again.
    pub fn release(&self) {
        self.trap.send_replace(Trap::Open);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Line {
    cut: Arc<AtomicBool>,
    trap: watch::Sender<Trap>,
    mark: &'static str,
}

impl Line {
    async fn relay(self, hub: TcpStream, server: String) {
        let Ok(server) = TcpStream::connect(server).await else { return };
        let _ = (hub.set_nodelay(true), server.set_nodelay(true));
        let ((from_hub, to_hub), (from_server, to_server)) = (hub.into_split(), server.into_split());
        let held = Arc::new(AtomicBool::new(false));
        tokio::select! {
            () = self.forth(from_hub, to_server, held.clone()) => {}
            () = self.back(from_server, to_hub, held.clone()) => {}
        }
    }

    async fn forth(&self, mut hub: OwnedReadHalf, mut server: OwnedWriteHalf, held: Arc<AtomicBool>) {
        let (mut buffer, mut is_marked) = (vec![0; 64 * 1024], false);
        while let Ok(n @ 1..) = hub.read(&mut buffer).await {
            let bytes = &buffer[..n];
            is_marked |= holds(bytes, self.mark.as_bytes());
            let is_commit = holds(bytes, b"COMMIT\0");
            let trap = *self.trap.borrow();
            if is_marked && is_commit && matches!(trap, Trap::BeforeCommit | Trap::AfterCommit) {
                held.store(true, Ordering::SeqCst);
                if trap == Trap::AfterCommit {
                    let _ = server.write_all(bytes).await;
                }
                self.trap.send_replace(Trap::Sprung);
                // Read on, so that the end of the hub is seen and passed on.
                while let Ok(1..) = hub.read(&mut buffer).await {}
                return;
            }
            is_marked &= !is_commit && !holds(bytes, b"ROLLBACK\0");
            self.pass(&held).await;
            if server.write_all(&buffer[..n]).await.is_err() {
                return;
            }
        }
    }

    async fn back(&self, mut server: OwnedReadHalf, mut hub: OwnedWriteHalf, held: Arc<AtomicBool>) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(n @ 1..) = server.read(&mut buffer).await {
            self.pass(&held).await;
            if hub.write_all(&buffer[..n]).await.is_err() {
                return;
            }
        }
        // A server that hangs up does not end what is held: a cut line carries no farewell either.
        self.pass(&held).await;
    }

    async fn pass(&self, held: &AtomicBool) {
        while self.cut.load(Ordering::SeqCst) || held.load(Ordering::SeqCst) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

fn holds(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|w| w == word)
}
