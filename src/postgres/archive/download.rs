//! An archive, from its address into a file, with its checksum.
//!
//! Invariant: no download goes on without bytes, for longer than it may take, or beyond the largest size.

use std::error::Error as _;
use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::Path;

use reqwest::{Client, Response, redirect};
use sha2::{Digest as _, Sha256};

use super::{Archive, ArchiveError, Haste};

/// Three times what the largest known one has.
const MOST: u64 = 160 << 20;
const REDIRECTS: usize = 5;

/// Fetches into an unnamed file of that folder, which is returned at its beginning.
pub(super) async fn into(archive: &Archive, folder: &Path, haste: Haste) -> Result<File, ArchiveError> {
    let host = archive.host();
    let silent = || format!("the download took longer than {} s", haste.whole.as_secs());
    let whole = tokio::time::timeout(haste.whole, fetch(archive, &host, folder, haste)).await;
    whole.unwrap_or_else(|_| Err(ArchiveError::Download { host, why: silent() }))
}

async fn fetch(archive: &Archive, host: &str, folder: &Path, haste: Haste) -> Result<File, ArchiveError> {
    let failed = |error| ArchiveError::Download { host: host.to_owned(), why: causes(error) };
    let client = Client::builder()
        .connect_timeout(haste.connect)
        .read_timeout(haste.silence)
        .redirect(redirect::Policy::limited(REDIRECTS))
        .no_proxy()
        .build()
        .map_err(failed)?;
    let mut response = client.get(&archive.url).send().await.map_err(failed)?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(ArchiveError::Status { host: host.to_owned(), status: response.status().as_u16() });
    }
    let mut file = tempfile::tempfile_in(folder).map_err(ArchiveError::io("create a file in", folder))?;
    let found = keep(&mut response, host, &mut file, folder).await?;
    if found != archive.sha256 {
        return Err(ArchiveError::Checksum {
            host: host.to_owned(),
            found: hex::encode(found),
            expected: hex::encode(archive.sha256),
        });
    }
    file.rewind().map_err(ArchiveError::io("read a file in", folder))?;
    Ok(file)
}

/// Writes the answer down; its checksum.
async fn keep(
    response: &mut Response,
    host: &str,
    file: &mut File,
    folder: &Path,
) -> Result<[u8; 32], ArchiveError> {
    let failed = |error| ArchiveError::Download { host: host.to_owned(), why: causes(error) };
    let (mut sum, mut length) = (Sha256::new(), 0);
    while let Some(bytes) = response.chunk().await.map_err(failed)? {
        length += bytes.len() as u64;
        if length > MOST {
            return Err(ArchiveError::TooLarge { host: host.to_owned(), most: MOST });
        }
        sum.update(&bytes);
        file.write_all(&bytes).map_err(ArchiveError::io("write a file in", folder))?;
    }
    Ok(sum.finalize().into())
}

/// What failed, with its causes; without the address, which may carry a password.
fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        told = format!("{told}: {inner}");
        cause = inner.source();
    }
    told
}
