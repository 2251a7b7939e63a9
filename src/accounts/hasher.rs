//! Argon2id password hashes, with bounded and reused memory.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::{
        Error as HashError,
        phc::{Output, ParamsString, PasswordHash, Salt},
    },
};
use secrecy::{ExposeSecret, SecretString};
use tokio::task;

use super::{Error, Password};
use crate::base::limits::{Line, Neighbourhood};

/// A hash takes 19 MiB and tens of milliseconds of one core (argon2's defaults, OWASP's first choice of
/// parameters). Two at once keep the memory small and leave the other cores for reading rows.
const HASHES_AT_ONCE: usize = 2;

/// The most waiting hashes: about two seconds of work. Another one is refused at once, or displaces one of a
/// neighbourhood that has more. This bounds the wait and the memory, and keeps one party with many networks
/// from blocking the sign-ins of others.
const MOST_WAITING: usize = 64;

/// The random bytes of a salt, as RFC 9106 recommends.
const SALT_BYTES: usize = 16;

/// Hashes and verifies passwords, a few at a time.
#[derive(Debug)]
pub(super) struct Hasher {
    /// The operator has no address and waits under a key of its own.
    line: Line<Option<Neighbourhood>>,
    /// The memory blocks that are not in use. They are kept, because an allocator does not return blocks of
    /// this size: a new one for each hash would cost 19 MiB each time.
    idle: Arc<Mutex<Vec<Memory>>>,
}

/// The memory of one hash.
type Memory = Vec<Block>;

impl Hasher {
    pub fn new() -> Self {
        Self { line: Line::new(HASHES_AT_ONCE, MOST_WAITING), idle: Arc::default() }
    }

    /// The PHC string of `password` with a random salt, for a visitor at address `from`.
    pub async fn hash(&self, password: Password, from: Option<IpAddr>) -> Result<String, Error> {
        self.run(from, move |memory| Ok(new_hash(password.bytes(), memory)?.to_string())).await
    }

    /// Whether `attempt` is the password of `stored` (a PHC string). Without a stored hash the answer is no
    /// and takes the same time, so that response times do not reveal which accounts exist.
    pub async fn verify(
        &self,
        attempt: SecretString,
        stored: Option<String>,
        from: Option<IpAddr>,
    ) -> Result<bool, Error> {
        self.run(from, move |memory| {
            let attempt = attempt.expose_secret().as_bytes();
            match stored {
                Some(stored) => Ok(is_made_of(&stored, attempt, memory)?),
                None => {
                    new_hash(attempt, memory)?;
                    Ok(false)
                }
            }
        })
        .await
    }

    /// The permit and the memory move into the blocking task, so that a visitor who hangs up releases them
    /// only when the hash is done.
    async fn run<T: Send + 'static>(
        &self,
        from: Option<IpAddr>,
        work: impl FnOnce(&mut Memory) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let at_work = self.line.enter(from.map(Neighbourhood::from)).await.map_err(|_| Error::Busy)?;
        let idle = Arc::clone(&self.idle);
        task::spawn_blocking(move || {
            let _at_work = at_work;
            let mut memory = idle.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
            let done = work(&mut memory);
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
            done
        })
        .await?
    }
}

fn new_hash(password: &[u8], memory: &mut Memory) -> Result<PasswordHash, HashError> {
    let params = Params::default();
    let salt = Salt::new(&rand::random::<[u8; SALT_BYTES]>())?;
    let params_text = ParamsString::try_from(&params)?;
    let (algorithm, version) = (Algorithm::default(), Version::default());
    let hash = output(Argon2::new(algorithm, version, params), password, &salt, memory)?;
    Ok(PasswordHash {
        algorithm: algorithm.ident(),
        version: Some(version.into()),
        params: params_text,
        salt: Some(salt),
        hash: Some(hash),
    })
}

/// Compares in constant time.
fn is_made_of(stored: &str, attempt: &[u8], memory: &mut Memory) -> Result<bool, HashError> {
    let stored = PasswordHash::new(stored)?;
    let (Some(salt), Some(hash)) = (&stored.salt, &stored.hash) else {
        return Err(HashError::PasswordInvalid);
    };
    let algorithm = Algorithm::try_from(stored.algorithm.as_str())?;
    let version = stored.version.map(Version::try_from).transpose()?.unwrap_or_default();
    let argon2 = Argon2::new(algorithm, version, Params::try_from(&stored)?);
    Ok(output(argon2, attempt, salt, memory)? == *hash)
}

fn output(
    argon2: Argon2<'_>,
    password: &[u8],
    salt: &[u8],
    memory: &mut Memory,
) -> Result<Output, HashError> {
    let mut bytes = [0; Output::MAX_LENGTH];
    let length = argon2.params().output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    let bytes = bytes.get_mut(..length).ok_or(HashError::OutputSize)?;
    let blocks = argon2.params().block_count();
    if memory.len() < blocks {
        memory.resize(blocks, Block::new());
    }
    argon2.hash_password_into_with_memory(password, salt, bytes, memory)?;
    Ok(Output::new(bytes)?)
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    fn password(text: &str) -> Password {
        Password::try_from(SecretString::from(text)).unwrap()
    }

    #[tokio::test]
    async fn a_hash_is_argon2id_and_opens_to_its_password_only() {
        let hasher = Hasher::new();
        let hash = hasher.hash(password("correct horse"), None).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(hasher.verify("correct horse".into(), Some(hash.clone()), None).await.unwrap());
        assert!(!hasher.verify("Correct horse".into(), Some(hash), None).await.unwrap());
        assert!(!hasher.verify("correct horse".into(), None, None).await.unwrap());
    }

    /// Written by the version that let the library allocate its memory.
    #[tokio::test]
    async fn a_hash_that_was_stored_before_still_opens() {
        let stored = argon2::PasswordHasher::hash_password(&Argon2::default(), b"correct horse").unwrap();
        let hasher = Hasher::new();
        assert!(hasher.verify("correct horse".into(), Some(stored.to_string()), None).await.unwrap());
        assert!(!hasher.verify("battery staple".into(), Some(stored.to_string()), None).await.unwrap());
    }

    #[tokio::test]
    async fn many_at_once_use_the_memory_of_the_slots_and_the_rest_are_refused() {
        let hasher = Hasher::new();
        let attempts =
            (0..HASHES_AT_ONCE + MOST_WAITING + 5).map(|_| hasher.verify("guess".into(), None, None));
        let answers = join_all(attempts).await;
        let refused = answers.iter().filter(|answer| matches!(answer, Err(Error::Busy))).count();
        assert_eq!(refused, 5, "{answers:?}");
        assert!(answers.iter().all(|answer| matches!(answer, Ok(false) | Err(Error::Busy))));
        let memories = hasher.idle.lock().unwrap().len();
        assert!((1..=HASHES_AT_ONCE).contains(&memories), "{memories}");
        assert!(!hasher.verify("guess".into(), None, None).await.unwrap(), "there is room again");
    }
}
