//! HTTPS for axum: handshakes run beside each other, and each request knows the certificate of its caller.

use std::{io, net::SocketAddr, time::Duration};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use passage_transport::pki_types::CertificateDer;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Who has not shaken hands by then is sent away.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Most connections that have shaken hands and wait.
const WAITING: usize = 64;

/// Gives out connections that have shaken hands.
pub(super) struct Https {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    addr: SocketAddr,
    accepting: tokio::task::JoinHandle<()>,
}

impl Https {
    /// `acceptor` is asked for each connection, so that a renewed certificate counts from the next one.
    pub(super) fn new(socket: TcpListener, acceptor: impl Fn() -> TlsAcceptor + Send + 'static) -> io::Result<Self> {
        let addr = socket.local_addr()?;
        let (give, ready) = mpsc::channel(WAITING);
        let accepting = tokio::spawn(async move {
            loop {
                let Ok((tcp, peer)) = socket.accept().await else {
                    // Out of file handles, most likely.
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                };
                let (acceptor, give) = (acceptor(), give.clone());
                tokio::spawn(async move {
                    if let Ok(Ok(tls)) = timeout(HANDSHAKE, acceptor.accept(tcp)).await {
                        let _ = give.send((tls, peer)).await;
                    }
                });
            }
        });
        Ok(Self { ready, addr, accepting })
    }
}

impl Drop for Https {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Listener for Https {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addr)
    }
}

/// The certificate that the caller has proved to hold, if any.
#[derive(Debug, Clone)]
pub(super) struct Caller(pub(super) Option<CertificateDer<'static>>);

impl Connected<IncomingStream<'_, Https>> for Caller {
    fn connect_info(stream: IncomingStream<'_, Https>) -> Self {
        let (_, session) = stream.io().get_ref();
        Self(session.peer_certificates().and_then(|chain| chain.first()).map(|leaf| leaf.clone().into_owned()))
    }
}
