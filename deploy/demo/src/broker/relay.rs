//! rumqttd leaves Nagle's algorithm on: a second small packet waits until the client's system has acknowledged the first, which it does only after
//! 40 ms. This relay acknowledges at once what the broker sends, and passes every packet on without delay.

use std::io;

use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// Listens on `port` of 127.0.0.1 and connects each client with the broker on `inner`, for as long as the process lives.
pub async fn start(port: u16, inner: u16) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            // A client that goes away is no error of the relay.
            tokio::spawn(async move { join(client, inner).await.ok() });
        }
    });
    Ok(())
}

/// Either side's end is the other's.
async fn join(client: TcpStream, inner: u16) -> io::Result<()> {
    let broker = TcpStream::connect(("127.0.0.1", inner)).await?;
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    let ((from_client, to_client), (from_broker, to_broker)) = (client.into_split(), broker.into_split());
    tokio::select! {
        ended = pass(from_client, to_broker) => ended,
        ended = pass(from_broker, to_client) => ended,
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        // The system forgets this wish now and then, so it is told each time.
        SockRef::from(from.as_ref()).set_tcp_quickack(true)?;
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..read]).await?;
    }
}
