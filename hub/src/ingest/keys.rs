//! The hubs' common signing key and certificate authority. Both are made at the first start and kept sealed in the database, so that every hub
//! signs alike.

use passage_protocol::{Millis, sign::Signing};

use crate::{
    args,
    fleet::{Authority, AuthorityError, machine_ms},
    identity::{Keyring, keyring::OpenError},
    store::{Db, StoreError, Tx, work},
};

/// The place of a signing key.
pub(crate) const CONTEXT: &str = "hub signing key";

/// Why the signing key is not there.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The authority of the fleet.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The sealed key cannot be opened.
    #[error(
        "the signing key {id} in the database cannot be opened: {why}; start the hub with the key file that the database was made with"
    )]
    Sealed {
        /// Id of the key.
        id: String,
        /// What failed.
        why: OpenError,
    },
}

/// The keys that hubs sign acks, site manifests, commands and position tokens with.
#[derive(Debug, Clone)]
pub struct HubKeys {
    signing: Signing,
    public: Vec<String>,
    authority: Authority,
    share: String,
}

impl HubKeys {
    /// Opens the keys in the database, or makes the first one. Hubs that start together end up with the same one.
    pub async fn load_or_create(db: &Db, keyring: &Keyring, now: Millis) -> Result<Self, KeysError> {
        let mut tx = db.begin().await?;
        // Any row that all hubs lock will do.
        work::lock_shard_waiting(&mut tx, 0).await?;
        let mut keys = stored(&mut tx, keyring).await?;
        if keys.is_empty() {
            let key = Signing::from_bytes(&rand::random());
            let sealed = keyring.seal(CONTEXT, &key.to_bytes());
            tx.execute(
                "INSERT INTO hub_key (id, public, sealed, made_at) VALUES ($1, $2, $3, $4)",
                args![key.key_id(), key.public(), sealed, now],
            )
            .await?;
            keys.push(key);
        }
        let authority = Authority::load_or_create(&mut tx, keyring, machine_ms()).await?;
        tx.commit().await?;
        let public = keys.iter().map(Signing::public).collect();
        // The oldest: gateways have pinned it for the longest time.
        let signing = keys.swap_remove(0);
        let share = format!("hub-{}", hex::encode(&keyring.hash("broker share", &[])[..10]));
        Ok(Self { signing, public, authority, share })
    }

    /// The key to sign with.
    pub fn signing(&self) -> &Signing {
        &self.signing
    }

    /// Issues the certificates of the fleet.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Name under which the hubs share subscriptions; nobody else knows it.
    pub fn share(&self) -> &str {
        &self.share
    }

    /// All public keys as base64, for `hub_keys` in `gateway.toml`.
    pub fn public(&self) -> &[String] {
        &self.public
    }
}

async fn stored(tx: &mut Tx, keyring: &Keyring) -> Result<Vec<Signing>, KeysError> {
    let rows = tx.fetch("SELECT id, sealed FROM hub_key ORDER BY made_at, id", args![]).await?;
    let mut keys = Vec::with_capacity(rows.len());
    for row in rows {
        let id = row.text(0)?;
        let damaged = |why| KeysError::Sealed { id: id.clone(), why };
        let plain = keyring.open(CONTEXT, &row.blob(1)?).map_err(damaged)?;
        let secret = <[u8; 32]>::try_from(plain.as_slice()).map_err(|_| damaged(OpenError::Damaged))?;
        keys.push(Signing::from_bytes(&secret));
    }
    Ok(keys)
}
