//! Asks a database to cancel what one of its backends is doing.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::upstream::dial;
use crate::upstream::target::Target;
use crate::upstream::{Error, within};

/// The code of a `CancelRequest`.
const CODE: u32 = 80_877_102;

/// Sends a `CancelRequest`, over TLS where the target has it, and waits until the server has taken it.
///
/// # Errors
/// When the server cannot be reached. Whether anything was cancelled the server does not say.
pub async fn send(target: &Target, pid: u32, key: &[u8]) -> Result<(), Error> {
    let mut stream = dial::open(target).await?;
    let length = u32::try_from(key.len().saturating_add(12)).unwrap_or(u32::MAX);
    let mut message = length.to_be_bytes().to_vec();
    message.extend_from_slice(&CODE.to_be_bytes());
    message.extend_from_slice(&pid.to_be_bytes());
    message.extend_from_slice(key);
    within("a cancel", async {
        stream.write_all(&message).await?;
        stream.flush().await?;
        // The server signals the backend, then closes: only then is the cancel on its way.
        let mut rest = [0; 64];
        while stream.read(&mut rest).await.unwrap_or(0) > 0 {}
        Ok(())
    })
    .await
}
