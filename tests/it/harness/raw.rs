//! Simple queries on a stream as the broker hands it over.

use dbgate::upstream::connect::Connection;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Rows of text, or the SQLSTATE and message of the first error.
pub(crate) type Outcome = Result<Vec<Vec<Option<String>>>, (String, String)>;

/// Runs a query string and reads to the end of its answer. A closed connection is SQLSTATE 08006.
pub(crate) async fn query(connection: &mut Connection, sql: &str) -> Outcome {
    start(connection, sql).await;
    finish(connection).await
}

/// Sends a query string and does not wait.
pub(crate) async fn start(connection: &mut Connection, sql: &str) {
    let length = u32::try_from(sql.len() + 5).unwrap();
    let mut message = vec![b'Q'];
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(sql.as_bytes());
    message.push(0);
    let _broken = connection.stream.write_all(&message).await;
    let _broken = connection.stream.flush().await;
}

/// Reads to the end of the answer.
pub(crate) async fn finish(connection: &mut Connection) -> Outcome {
    let mut rows = Vec::new();
    let mut error = None;
    loop {
        let Ok((tag, body)) = message(connection).await else {
            return Err(
                error.unwrap_or(("08006".to_owned(), "the connection is closed".to_owned()))
            );
        };
        match tag {
            b'D' => rows.push(row(&body)),
            b'E' => error = error.or_else(|| Some((field(&body, b'C'), field(&body, b'M')))),
            b'Z' => return error.map_or(Ok(rows), Err),
            _ => {}
        }
    }
}

async fn message(connection: &mut Connection) -> std::io::Result<(u8, Vec<u8>)> {
    let tag = connection.stream.read_u8().await?;
    let length = connection.stream.read_u32().await?;
    let mut body = vec![0; length as usize - 4];
    connection.stream.read_exact(&mut body).await?;
    Ok((tag, body))
}

fn row(body: &[u8]) -> Vec<Option<String>> {
    let count = u16::from_be_bytes([body[0], body[1]]);
    let mut rest = &body[2..];
    (0..count)
        .map(|_| {
            let length = i32::from_be_bytes(rest[..4].try_into().unwrap());
            rest = &rest[4..];
            let length = usize::try_from(length).ok()?;
            let (value, after) = rest.split_at(length);
            rest = after;
            Some(String::from_utf8_lossy(value).into_owned())
        })
        .collect()
}

fn field(body: &[u8], kind: u8) -> String {
    body.split(|b| *b == 0)
        .find(|field| field.first() == Some(&kind))
        .map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
        .unwrap_or_default()
}
